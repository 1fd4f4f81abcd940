"""A `Failure`: an error in transport, as plain data.

The hub makes failures of its own (a dead engine, a full queue), and of those of engines reads the
plain data. Nothing here unpickles: the pickled exception is bytes to this module.

Sizes are bounded when packing, so that an exception with a gigabyte of text cannot become a
gigabyte on the wire; and reading never raises, since an error that hides an error helps nobody.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import msgpack

from ctrlhub.wire.messages.base import Status

if TYPE_CHECKING:
    from ctrlhub.wire.errors import CtrlHubError
    from ctrlhub.wire.messages import Payload

REMOTE = "remote"
"""The code of what user code raised; every other code is an error ctrl-hub made itself."""
INVALID_REPLY = "invalid_reply"

MAX_EVALUE_BYTES = 64 * 1024
MAX_TRACEBACK_BYTES = 256 * 1024
MAX_PICKLED_BYTES = 1024 * 1024
MAX_NAME_BYTES = 1024
MAX_FAILURE_BYTES = 2 * 1024 * 1024
"""More than the bounded fields together can take; refused unread above it."""

_ERROR, _PARTLY = int(Status.ERROR), int(Status.PARTLY)

_MARK_BYTES = 64
"""Room for the mark where something was cut out."""


@dataclass(frozen=True, slots=True)
class Failure:
    """An error in transport.

    Parameters
    ----------
    code
        ``"remote"`` for what user code raised, else the code of a class in `ctrlhub.wire.errors`.
    ename, evalue, traceback
        Name of the exception's class, its text, its formatted traceback.
    engine_id, method
        Where it happened, and doing what (``"apply"``, ``"execute"`` …), where known.
    pickled
        The exception itself, where it could be pickled and was small enough.
    engine_uuid
        The key of the engine, where known.
    """

    code: str
    ename: str
    evalue: str
    traceback: str = ""
    engine_id: int | None = None
    method: str | None = None
    pickled: bytes | None = None
    engine_uuid: str | None = None

    @classmethod
    def from_error(
        cls, error: CtrlHubError, *, engine_id: int | None = None, method: str | None = None
    ) -> Failure:
        """Describe an error of ctrl-hub's own making (not what user code raised)."""
        if engine_id is None:
            engine_id = error.engine_id
        return cls(error.code, type(error).__name__, str(error), engine_id=engine_id, method=method)


def pack_failure(failure: Failure) -> bytes:
    """Encode a failure, within the limits of this module.

    Text that is too long loses its middle and says so; a pickled exception that is too long is
    left out, and arrives as a `RemoteError` with the text.
    """
    pickled = failure.pickled
    packed: bytes = msgpack.packb(
        {
            "code": _bounded(failure.code, MAX_NAME_BYTES),
            "ename": _bounded(failure.ename, MAX_NAME_BYTES),
            "evalue": _bounded(failure.evalue, MAX_EVALUE_BYTES),
            "traceback": _bounded(failure.traceback, MAX_TRACEBACK_BYTES),
            "engine_id": failure.engine_id,
            "method": None if failure.method is None else _bounded(failure.method, MAX_NAME_BYTES),
            "pickled": None if pickled is None or len(pickled) > MAX_PICKLED_BYTES else pickled,
            **_uuid(failure.engine_uuid),
        }
    )
    return packed


def _uuid(key: str | None) -> dict[str, str]:
    return {} if key is None else {"engine_uuid": _bounded(key, MAX_NAME_BYTES)}


def unpack_failure(data: bytes | bytearray | memoryview) -> Failure:
    """Decode a failure; what cannot be read is a failure too, with code ``"invalid_reply"``.

    Unknown fields are ignored; those with a default may be missing.
    """
    size = memoryview(data).nbytes
    if size > MAX_FAILURE_BYTES:
        return _too_large(size)
    try:
        fields = msgpack.unpackb(data)
    except Exception as error:  # msgpack has no common base for all that bad bytes can cause
        return _invalid(f"{type(error).__name__}: {error}")
    if not isinstance(fields, dict):
        return _invalid(f"not a map but {type(fields).__name__}")
    for name, allowed in _TYPES.items():
        if type(fields.get(name)) not in allowed:
            return _invalid(f"its field {name!r} is {type(fields.get(name)).__name__}")
    return Failure(
        fields["code"],
        fields["ename"],
        fields["evalue"],
        fields.get("traceback") or "",
        fields.get("engine_id"),
        fields.get("method"),
        fields.get("pickled"),
        fields.get("engine_uuid"),
    )


def failure_of(payload: Payload) -> Failure:
    """Decode the failure that a payload holds, in however many parts it has come; it never raises."""
    if isinstance(payload, bytes):
        return unpack_failure(payload)
    try:
        size = sum(memoryview(part).nbytes for part in payload)
        if size > MAX_FAILURE_BYTES:
            return _too_large(size)
        return unpack_failure(b"".join(payload))
    except TypeError:
        return _invalid("it did not come as bytes")


SOME_ITEMS = "some of its items raised, and others did not: its result has them all"


def summary_of(status: int, payload: Payload) -> str:
    """Say in one line what was wrong with a request, of its `Status` and what it gave.

    Empty where nothing was, or nothing is known of it.
    """
    if status == _PARTLY:
        return SOME_ITEMS
    if status != _ERROR or payload == ():  # it was not kept
        return ""
    failure = failure_of(payload)
    return f"{failure.ename}: {failure.evalue}"[:MAX_NAME_BYTES]


_NONE: Any = type(None)
_TYPES: dict[str, tuple[type, ...]] = {
    "code": (str,),
    "ename": (str,),
    "evalue": (str,),
    "traceback": (str, _NONE),
    "engine_id": (int, _NONE),
    "method": (str, _NONE),
    "pickled": (bytes, _NONE),
    "engine_uuid": (str, _NONE),
}


def _invalid(why: str) -> Failure:
    return Failure(INVALID_REPLY, "InvalidReply", f"an error report could not be read: {why}")


def _too_large(size: int) -> Failure:
    return _invalid(f"it has {size} bytes, more than {MAX_FAILURE_BYTES}")


def _bounded(text: str, limit: int) -> str:
    """Make text that is valid UTF-8 and at most ``limit`` bytes long, by cutting its middle out."""
    raw = text.encode("utf-8", "backslashreplace")
    if len(raw) > limit:
        half = (limit - _MARK_BYTES) // 2
        mark = f"\n[… {len(raw) - 2 * half} bytes left out …]\n".encode()
        raw = raw[:half] + mark + raw[-half:]
    return raw.decode("utf-8", "ignore")

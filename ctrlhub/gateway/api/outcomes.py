"""How requests have ended, as REST tells it: from rows as they came, without unpickling. No I/O."""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from math import isfinite
from typing import Any

from ctrlhub.client.rows import OK, RAISED, VALUE, Row, is_cancelled, is_ok
from ctrlhub.wire.encoded import JSON, OCTETS, Encoded, open_plainly
from ctrlhub.wire.errors import (
    CtrlHubError,
    InvalidRequest,
    LimitExceeded,
    OutOfMemory,
    PermissionDenied,
    ResultLost,
    SerializationError,
    StoreError,
    error_for,
)
from ctrlhub.wire.failure import Failure, failure_of
from ctrlhub.wire.ids import text_of
from ctrlhub.wire.messages import Status
from ctrlhub.wire.plain_pickle import TooLarge

MOST_JSON = 16 * 1024 * 1024
"""So much JSON (bytes) is made here of a value that was not encoded by its engine, or told with its request."""

MOST_PARTS = 1_000_000
"""And of so many parts."""

PART = 1024 * 1024
"""So many bytes of a value are told at once: who reads slowly holds no more."""

VALUES = frozenset((JSON, OCTETS))
"""What values are: a task that could say anything would have its page shown as one of the gateway's."""

DONE, FAILED, CANCELLED = "done", "failed", "cancelled"
SUBMITTED = "submitted"
"""Of what has not ended, where the hub was not asked whether it runs, or does not know it yet."""

STATES = ("queued", "running", DONE, FAILED, CANCELLED)
STATE_OF_RECORD = {"ok": DONE, "error": FAILED, "aborted": CANCELLED}
"""What is said here of the states that the hub's records have."""

_CANCELLED, _PARTLY, _ERROR = int(Status.CANCELLED), int(Status.PARTLY), int(Status.ERROR)

REFUSALS = LimitExceeded, StoreError, PermissionDenied, InvalidRequest
"""What the hub says to requests that it does not take."""

_REFUSED = frozenset({LimitExceeded.code, StoreError.code})
"""What it says by results. Other errors of its own end requests that it had taken."""


class NotAsSaid(SerializationError, code="not_as_said"):
    """What a request returned is not what it says it is."""


class NotKept(ResultLost):
    """A request is done, and what it returned was too large to be kept, or has made room for others."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a request has ended.

    Parameters
    ----------
    id
        Its id.
    state
        ``done``, ``failed`` or ``cancelled``.
    engine
        Where it ran; None if it did not.
    started, completed
        Unix times in seconds; 0 if it did not run.
    value
        What came of it, if it is done and this can be said.
    error
        Type, message, traceback and engine, if it has failed; why there is no value, if it is done and
        there is none.
    output
        What it put out.
    """

    id: int
    state: str
    engine: int | None
    started: float
    completed: float
    value: Encoded | None
    error: Mapping[str, Any] | None
    output: Mapping[str, Any]

    @property
    def head(self) -> dict[str, Any]:
        """All but the value."""
        return {
            "id": text_of(self.id),
            "state": self.state,
            "engine": self.engine,
            "started": when(self.started),
            "completed": when(self.completed),
            "error": self.error,
            **self.output,
        }


def outcome_of(row: Row, media_types: frozenset[str] = VALUES) -> Outcome:
    """Return what a row says.

    Parameters
    ----------
    row
        The row.
    media_types
        What its value may be.
    """
    number, status, payload, engine, started, elapsed, extras = row
    state = DONE if is_ok(row) else CANCELLED if is_cancelled(row) else FAILED
    value, error = None, None
    if status == OK:
        try:
            value = _encoded(payload, media_types)
        except SerializationError as why:
            error = _of_ours(why)
    elif status == VALUE:  # of our own making: there are none that are not plain
        value = Encoded(JSON, b"null")
    elif status == RAISED and isinstance(payload, NotKept):
        state, error = DONE, {**_NOWHERE, "type": ResultLost.__name__, "message": str(payload)}
    elif status == RAISED:
        error = _of_ours(payload)
    elif status == _PARTLY:
        error = {**_NOWHERE, "type": "PartlyFailed", "message": (
            "some of its items raised: only a Python client can tell them apart"
        )}  # fmt: skip
    elif status != _CANCELLED or payload:
        error = _of_failure(failure_of(payload), engine)
    return Outcome(
        number, state, engine if engine >= 0 else None, started, started + elapsed if started else 0.0,
        value, error, output_of(extras),
    )  # fmt: skip


def is_lost(row: Row) -> bool:
    """Tell whether the hub has said that it has not, or not any more, what came of a request."""
    return row[1] == _ERROR and failure_of(row[2]).code == ResultLost.code


def not_kept(row: Row, record: Mapping[str, Any] | None) -> Row:
    """Return the row to tell of, with what the hub has on record: what is done has not failed for being lost."""
    if record is None or STATE_OF_RECORD.get(record["status"]) != DONE or not is_lost(row):
        return row
    return (row[0], RAISED, NotKept(failure_of(row[2]).evalue), *row[3:])


def refusal_in(row: Row) -> CtrlHubError | None:
    """Return the error with which the hub has refused a request; None for one that it has taken.

    It may come as a result, which says what a store or a limit had against it, or as a message.
    """
    status, payload, engine = row[1:4]
    if status == RAISED and isinstance(payload, REFUSALS) and not isinstance(payload, OutOfMemory):
        return payload
    if status == _ERROR and engine < 0:
        failure = failure_of(payload)
        if failure.code in _REFUSED:
            return error_for(failure.code)(failure.evalue)
    return None


def is_refused(record: Mapping[str, Any]) -> bool:
    """Tell whether a record of the hub is of a request that it has refused."""
    name, _, _ = (record["error"] or "").partition(":")
    never_ran = record["engine_id"] is None and not record["started"]
    return never_ran and name in (LimitExceeded.__name__, StoreError.__name__)


def pieces(outcome: Outcome) -> Iterator[Any]:
    """Yield the JSON of an outcome with its value, in pieces: a large value is not copied.

    A value that is no JSON, or too much of it to be looked through, is told by its size.
    """
    value = outcome.value
    within = False
    if value is not None and value.media_type == JSON:
        try:
            within = _is_within(value)
        except NotAsSaid as error:
            outcome = replace(outcome, value=None, error=_of_ours(error))
            value = None
    head = json.dumps(outcome.head, ensure_ascii=False).encode("utf-8", "replace")
    yield head[:-1]
    if value is None:
        yield b', "value": null}'
    elif within:
        yield b', "value": '
        for place in range(0, value.nbytes, PART):
            yield value.part(place, PART)
        yield b"}"
    else:
        about = {"media_type": value.media_type, "bytes": value.nbytes}
        yield b', "value": null, "body": ' + json.dumps(about).encode() + b"}"


def value_in(value: Encoded) -> Any:
    """Return what the JSON of an encoded value says, which an engine has made, or whoever has run code there.

    Raises
    ------
    NotAsSaid
        It is none.
    TooLarge
        It is too much.
    """
    if value.nbytes > MOST_JSON:
        raise TooLarge(f"this is JSON of more than {MOST_JSON >> 20} MiB")
    data = value.part(0, value.nbytes)
    if len(data) > MOST_PARTS and data.count(b",") + data.count(b"[") + data.count(b"{") > MOST_PARTS:
        raise TooLarge(f"this is JSON of more than {MOST_PARTS} parts")
    try:
        return json.loads(data.decode(), parse_constant=_no_constant)
    except RecursionError:
        raise TooLarge("this is JSON that is nested too deep") from None
    except ValueError as error:
        raise NotAsSaid(f"what it returned as JSON is none: {error}") from None


def _is_within(value: Encoded) -> bool:
    """Tell whether a value's JSON can stand within that of its request.

    It is looked through: what is no JSON would spoil all that stands around it.
    """
    try:
        value_in(value)
    except TooLarge:
        return False
    return True


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


def when(seconds: float | None) -> str | None:
    """Return a Unix time as REST says it: ISO 8601, in UTC; None for 0, and for what is no time, as of a broken clock."""
    if not seconds:
        return None
    try:
        moment = datetime.fromtimestamp(seconds, UTC)
    except (ValueError, OverflowError, OSError):
        return None
    return moment.isoformat(timespec="microseconds").replace("+00:00", "Z")


def output_of(extras: Any) -> dict[str, Any]:
    """Return what a request put out, as its row or its record has it."""
    known = extras if isinstance(extras, Mapping) else {}
    return {
        "stdout": _text(known.get("stdout")),
        "stderr": _text(known.get("stderr")),
        "displays": plain(known.get("outputs") or []),
        "execute_result": plain(known.get("execute_result")),
    }


def plain(value: Any) -> Any:
    """Return plain data of the wire as JSON has it: bytes become base64, keys text, numbers that are none null."""
    if isinstance(value, bytes | bytearray | memoryview):
        return b64encode(value).decode()
    if isinstance(value, Mapping):
        return {str(name): plain(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [plain(each) for each in value]
    if isinstance(value, float) and not isfinite(value):  # as browsers write them
        return None
    return value if isinstance(value, str | int | float | None) else str(value)


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


_NOWHERE = {"type": "", "message": "", "traceback": "", "engine": None}


def _of_failure(failure: Failure, engine: int) -> dict[str, Any]:
    where = failure.engine_id if failure.engine_id is not None else engine
    return {
        "type": failure.ename,
        "message": failure.evalue,
        "traceback": failure.traceback,
        "engine": where if where >= 0 else None,
    }


def _of_ours(error: BaseException) -> dict[str, Any]:
    """Return an error that came to be here, or at the hub."""
    return {
        "type": type(error).__name__,
        "message": str(error),
        "traceback": "",
        "engine": error.engine_id if isinstance(error, CtrlHubError) else None,
    }


def _encoded(payload: Any, media_types: frozenset[str]) -> Encoded:
    value = open_plainly(payload)
    if isinstance(value, Encoded):
        if value.media_type not in media_types:
            raise NotAsSaid(f"what it returned says it is {value.media_type[:100]!r}, which no value here is")
        return value
    if isinstance(value, bytes | bytearray | memoryview):
        return Encoded(OCTETS, value)
    return Encoded(JSON, _json_of(value))


class _Encoder(json.JSONEncoder):
    def default(self, value: Any) -> Any:
        if isinstance(value, set | frozenset):
            return list(value)
        return super().default(value)


def _json_of(value: Any) -> bytes:
    """Make JSON of plain data, which may name one part a thousand times, up to a size."""
    text = bytearray()
    try:
        for count, piece in enumerate(_Encoder(allow_nan=False).iterencode(value)):
            text += piece.encode("ascii")
            if len(text) > MOST_JSON or count > MOST_PARTS:
                raise TooLarge(
                    f"the value takes more than {MOST_JSON >> 20} MiB as JSON, or has more than {MOST_PARTS} "
                    "parts: run the function by name, which has the engine make it, or return bytes"
                )
    except (TypeError, ValueError, RecursionError) as error:
        raise SerializationError(f"the value cannot be said in JSON: {error}") from None
    return bytes(text)

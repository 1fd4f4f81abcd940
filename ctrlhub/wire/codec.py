"""Messages to frames and back: one msgpack header ``[major, kind, fields]``, then raw buffers.

Decoding trusts nothing. Unknown fields are ignored (so that peers of the same major version may add
some), unknown kinds and wrong types are refused, and rows are checked here, once, so that nothing
behind the codec has to.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import MISSING, fields
from itertools import repeat
from operator import attrgetter, call
from typing import Any

import msgpack

from ctrlhub.wire.errors import InvalidRequest, ProtocolMismatch, SegmentLost
from ctrlhub.wire.limits import (
    BATCH_BYTES,
    INLINE_BYTES,
    MAX_FRAMES,
    MAX_HEADER_BYTES,
    MAX_ID,
    MAX_TEXT,
    PROTOCOL_MAJOR,
)
from ctrlhub.wire.messages import KINDS, OUTPUT_STREAMS, Buffer, Message, Payload, PayloadRef
from ctrlhub.wire.segments import Carried, Keep, Segment, SegmentRef, nbytes_of

# Half a surrogate pair in a label must not end its sender's loop.
_pack = msgpack.Packer(use_bin_type=True, unicode_errors="backslashreplace").pack
_unpack = msgpack.unpackb


def encode(message: Message, shares: bool = False) -> list[Buffer]:
    """Return the frames of a message: the header, then the message's own buffers.

    Parameters
    ----------
    message
        The message.
    shares
        Its receiver can open segments of ours: they are referred to, instead of their bytes sent.
    """
    spec = _SPECS[message.kind]
    body = spec.fields_of(message)
    if not spec.has_frames or not message.frames:  # type: ignore[attr-defined]
        return [_pack((PROTOCOL_MAJOR, message.kind, body))]
    frames: list[Buffer] = list(message.frames)  # type: ignore[attr-defined]
    segments = _part_segments(frames, shares)
    envelope = (PROTOCOL_MAJOR, message.kind, body, *((segments,) if segments else ()))
    return [_pack(envelope), *frames]


def _part_segments(frames: list[Buffer], shares: bool) -> list[tuple[int, ...]]:
    """Replace segments among frames by nothing, and return what they are; or by their bytes."""
    found: list[tuple[int, ...]] = []
    for index, frame in enumerate(frames):
        if type(frame) is Segment:
            if shares:
                found.append((index, frame.descriptor, frame.inode, frame.nbytes))
            frames[index] = b"" if shares else frame.view()
        elif type(frame) is SegmentRef:
            found.append((index, frame.descriptor, frame.inode, frame.nbytes, frame.pid))
            frames[index] = b""
        elif type(frame) is Carried:
            found.append((index,))
            frames[index] = frame.segment.view()
    return found


def decode(header: Buffer, frames: Sequence[Buffer] = ()) -> Message:
    """Return the message of a header and the frames behind it.

    Where the sender refers to a segment, a `SegmentRef` stands in the place of the frame.

    Raises
    ------
    ProtocolMismatch
        The header is of another major version.
    InvalidRequest
        Anything else is wrong with it.
    """
    if len(header) > MAX_HEADER_BYTES or len(frames) > MAX_FRAMES:
        raise InvalidRequest(f"message of {len(header)} header bytes and {len(frames)} frames")
    try:
        envelope = _unpack(header, use_list=False)
    except (
        Exception
    ) as error:  # msgpack raises many types, ValueError and RecursionError among them
        raise InvalidRequest(f"header is not msgpack: {type(error).__name__}") from error
    if type(envelope) is not tuple or len(envelope) != 3:
        return _decode_longer(envelope, frames)
    return _spec_of(*envelope).build(envelope[2], frames)


def _decode_longer(envelope: Any, frames: Sequence[Buffer]) -> Message:
    """Return the message of an envelope with references to segments, or more that we do not know."""
    if type(envelope) is not tuple or len(envelope) < 3:
        raise InvalidRequest("header is not [major, kind, fields]")
    spec = _spec_of(*envelope[:3])
    if spec.has_frames:
        frames = _with_references(frames, envelope[3])
    return spec.build(envelope[2], frames)


def _spec_of(major: Any, kind: Any, body: Any) -> _Spec:
    if type(major) is not int:
        raise InvalidRequest("header is not [major, kind, fields]")
    if major != PROTOCOL_MAJOR:
        raise ProtocolMismatch(
            f"the peer speaks protocol {major}, this side {PROTOCOL_MAJOR}: "
            "install the same major version of ctrl-hub on both"
        )
    spec = _SPECS.get(kind) if type(kind) is str else None
    if spec is None or type(body) is not dict:
        raise InvalidRequest(f"unknown kind of message: {str(kind)[:80]!r:.200}")
    return spec


def _with_references(frames: Sequence[Buffer], segments: Any) -> list[Buffer]:
    """Put references to segments in the place of the frames that stand for them."""
    placed = list(frames)
    try:
        for index, *numbers in segments:
            if type(index) is not int or not 0 <= index < len(placed):
                raise ValueError("there is no such frame")
            placed[index] = SegmentRef.of(numbers) if numbers else Keep(placed[index])
    except (TypeError, ValueError) as error:
        raise InvalidRequest(f"malformed segments: {error}") from error
    return placed


def resolve(ref: PayloadRef, frames: Sequence[Buffer]) -> Payload:
    """Return the payload that a row refers to.

    Raises
    ------
    SegmentLost
        A segment of it could not be opened.
    """
    if type(ref) is bytes:
        return ref
    first, count = ref
    payload = tuple(frames[first : first + count])
    for part in payload:
        if type(part) is SegmentRef:
            raise SegmentLost(f"{part.nbytes} bytes in shared memory have been let go")
    return payload


def size_of(payload: Payload) -> int:
    """Return the bytes of a payload."""
    if isinstance(payload, bytes):
        return len(payload)
    return sum(nbytes_of(buffer) for buffer in payload)


def size_of_extras(value: Any) -> int:
    """Return about how many bytes the extras of a row, or a part of them, take in a header."""
    if isinstance(value, str | bytes):
        return len(value)
    if isinstance(value, Mapping):
        return sum(len(key) + size_of_extras(each) for key, each in value.items())
    if isinstance(value, list | tuple):
        return sum(map(size_of_extras, value))
    return 8


class FrameList:
    """The frames of a message under construction, and what room its header has left.

    Payloads of any kind share that room, arguments and functions alike: so no number of small ones
    makes a header that is too large to be parsed.
    """

    __slots__ = ("_room", "frames")

    def __init__(self) -> None:
        self.frames: list[Buffer] = []
        self._room = BATCH_BYTES

    def add(self, payload: Payload) -> PayloadRef:
        """Return what stands in the row for a payload.

        Large ones get frames of their own, and so do small ones once the header has enough.
        """
        if type(payload) is bytes:
            size = len(payload)
            if size <= INLINE_BYTES and size <= self._room:
                self._room -= size
                return payload
            payload = (payload,)
        first = len(self.frames)
        self.frames.extend(payload)
        return first, len(payload)


# ---------------------------------------------------------------- the checks

Check = Callable[[Any, int], bool]
"""(value, number of frames behind the header) -> is it well formed?"""


def _is_int(value: Any, _: int) -> bool:
    return type(value) is int and -1 <= value <= MAX_ID


def _is_str(value: Any, _: int) -> bool:
    return type(value) is str


def _is_bytes(value: Any, _: int) -> bool:
    return type(value) is bytes


def _is_bool(value: Any, _: int) -> bool:
    return type(value) is bool


def _is_float(value: Any, _: int) -> bool:
    return type(value) in (float, int)


def _is_anything(value: Any, _: int) -> bool:
    return True


def _is_map(value: Any, _: int) -> bool:
    return type(value) is dict and all(type(key) is str for key in value)


def _is_text_map(value: Any, _: int) -> bool:
    return _is_map(value, _) and all(type(v) is str and len(v) <= MAX_TEXT for v in value.values())


def _sequence_of(check: Check) -> Check:
    def is_sequence(value: Any, n: int) -> bool:
        if type(value) is not tuple:
            return False
        for item in value:  # noqa: SIM110 - a generator costs more than most sequences here
            if not check(item, n):
                return False
        return True

    return is_sequence


def _is_payload(value: Any, n: int) -> bool:
    if type(value) is bytes:
        return True
    if type(value) is not tuple or len(value) != 2:
        return False
    first, count = value
    return type(first) is int and type(count) is int and first >= 0 and 0 < count <= n - first


def _is_ranges(value: Any, _: int) -> bool:
    if type(value) is not tuple:
        return False
    for pair in value:
        if type(pair) is not tuple or len(pair) != 2:
            return False
        first, last = pair
        if type(first) is not int or type(last) is not int or not 0 <= first <= last <= MAX_ID:
            return False
    return True


def _is_function_row(row: Any, n: int) -> bool:
    return (
        type(row) is tuple and len(row) == 2 and type(row[0]) is bytes and _is_payload(row[1], n)
    )


def _is_template_rows(value: Any, _: int) -> bool:
    return type(value) is tuple and all(
        type(row) is tuple
        and len(row) >= 4
        and type(row[0]) is bytes
        and _is_int(row[1], 0)
        and _is_int(row[2], 0)
        and type(row[3]) is str
        and len(row[3]) <= MAX_TEXT
        for row in value
    )


# The rows of hot messages. Written out column by column: they are most of what a hub decodes.


def _is_submit_rows(value: Any, n: int) -> bool:
    if type(value) is not tuple:
        return False
    for row in value:
        if type(row) is not tuple or len(row) != 3:
            return False
        request, template, payload = row
        if type(request) is not int or type(template) is not int or request < 0:
            return False
        if type(payload) is not bytes and not _is_payload(payload, n):
            return False
    return True


def _is_run_rows(value: Any, n: int) -> bool:
    if type(value) is not tuple:
        return False
    for row in value:
        if type(row) is not tuple or len(row) != 4:
            return False
        request, attempt, template, payload = row
        if type(request) is not int or type(attempt) is not int or type(template) is not int:
            return False
        if request < 0 or (type(payload) is not bytes and not _is_payload(payload, n)):
            return False
    return True


def _is_result_rows(value: Any, n: int) -> bool:
    if type(value) is not tuple:
        return False
    for row in value:
        if type(row) is not tuple or len(row) != 7:
            return False
        request, attempt, status, payload, started, elapsed, extras = row
        if type(request) is not int or type(attempt) is not int or type(status) is not int:
            return False
        if request < 0 or not 0 <= status <= 3:
            return False
        if type(started) is not float or type(elapsed) is not float:
            return False
        if type(payload) is not bytes and not _is_payload(payload, n):
            return False
        if extras is not None and not _is_map(extras, n):
            return False
    return True


def _is_completed_rows(value: Any, n: int) -> bool:
    if type(value) is not tuple:
        return False
    for row in value:
        if type(row) is not tuple or len(row) != 7:
            return False
        request, status, payload, engine, started, elapsed, extras = row
        if type(request) is not int or type(status) is not int or type(engine) is not int:
            return False
        if request < 0 or not 0 <= status <= 3:
            return False
        if type(started) is not float or type(elapsed) is not float:
            return False
        if type(payload) is not bytes and not _is_payload(payload, n):
            return False
        if extras is not None and not _is_map(extras, n):
            return False
    return True


def _is_output_items(value: Any, _: int) -> bool:
    return type(value) is tuple and all(
        type(item) is tuple
        and len(item) >= 3
        and type(item[0]) is str
        and type(item[1]) is int
        and 0 <= item[1] <= MAX_ID
        and type(item[2]) is (str if item[0] in OUTPUT_STREAMS else dict)
        for item in value
    )


_CHECKS: Mapping[str, Check] = {
    "int": _is_int,
    "str": _is_str,
    "bytes": _is_bytes,
    "bool": _is_bool,
    "float": _is_float,
    "Any": _is_anything,
    "Ranges": _is_ranges,
    "PayloadRef": _is_payload,
    "Mapping[str, str]": _is_text_map,
    "Mapping[str, Any]": _is_map,
    "Sequence[str]": _sequence_of(_is_str),
    "Sequence[int]": _sequence_of(_is_int),
    "Sequence[bytes]": _sequence_of(_is_bytes),
    "Sequence[PayloadRef]": _sequence_of(_is_payload),
    "Sequence[Mapping[str, Any]]": _sequence_of(_is_map),
    "Sequence[FunctionRow]": _sequence_of(_is_function_row),
    "Sequence[TemplateRow]": _is_template_rows,
    "Sequence[SubmitRow]": _is_submit_rows,
    "Sequence[RunRow]": _is_run_rows,
    "Sequence[ResultRow]": _is_result_rows,
    "Sequence[CompletedRow]": _is_completed_rows,
    "Sequence[OutputItem]": _is_output_items,
}
"""A check for every annotation that a message's field may have."""


def _values_of(names: Sequence[str]) -> Callable[[Message], Iterable[Any]]:
    """Return what gets the attributes of these names, in order."""
    if len(names) > 1:
        return attrgetter(*names)
    one = [attrgetter(name) for name in names]
    return lambda message: [get(message) for get in one]


class _Spec:
    """How one class of message is read and written."""

    __slots__ = ("_checks", "_defaults", "_make", "_values", "cls", "has_frames", "names", "required")

    def __init__(self, cls: type[Message]) -> None:
        all_fields = fields(cls)
        self.cls = cls
        self._make: Callable[..., Message] = cls
        self.has_frames = all_fields[-1].name == "frames" if all_fields else False
        own = [field for field in all_fields if field.name != "frames"]
        self.names = tuple(field.name for field in own)
        self.required = frozenset(field.name for field in own if field.default is MISSING)
        self._checks = tuple(_CHECKS[str(field.type)] for field in own)
        self._defaults = {field.name: field.default for field in own}
        self._values = _values_of(self.names)

    def fields_of(self, message: Message) -> dict[str, Any]:
        return dict(zip(self.names, self._values(message), strict=True))

    def build(self, body: dict[Any, Any], frames: Sequence[Buffer]) -> Message:
        if tuple(body) != self.names:
            body = self._arranged(body)
        count = len(frames)
        values = body.values()
        if not all(map(call, self._checks, values, repeat(count))):
            pairs = zip(self.names, map(call, self._checks, values, repeat(count)), strict=True)
            malformed = next(name for name, is_well_formed in pairs if not is_well_formed)
            raise InvalidRequest(f"{self.cls.kind}: malformed {malformed}")
        if self.has_frames:
            return self._make(*values, tuple(frames))
        return self._make(*values)

    def _arranged(self, body: Mapping[Any, Any]) -> dict[str, Any]:
        """Bring the fields of a peer of another version into our order, with our defaults."""
        missing = self.required - body.keys()
        if missing:
            raise InvalidRequest(f"{self.cls.kind}: no {', '.join(sorted(missing))}")
        return {name: body.get(name, default) for name, default in self._defaults.items()}


def _specs(kinds: Iterable[type[Message]]) -> Mapping[str, _Spec]:
    return {cls.kind: _Spec(cls) for cls in kinds}


_SPECS = _specs(KINDS.values())

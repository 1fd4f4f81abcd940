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

from ctrlhub.wire.checks import CHECKS
from ctrlhub.wire.errors import InvalidRequest, ProtocolMismatch, SegmentLost
from ctrlhub.wire.limits import (
    BATCH_BYTES,
    INLINE_BYTES,
    MAX_FRAMES,
    MAX_HEADER_BYTES,
    MAX_ITEMS,
    PROTOCOL_MAJOR,
    WHOLE_BYTES,
)
from ctrlhub.wire.messages import KINDS, Buffer, Message, Payload, PayloadRef
from ctrlhub.wire.segments import Carried, Keep, Segment, SegmentRef, nbytes_of

CONTAINER_BYTES = 24
"""What a map or list counts beside what is in it: so what a request may display (`OUTPUT_DISPLAY_BYTES`)
has no more of them than a field may have (`MAX_CONTAINERS`)."""

# Half a surrogate pair in a label must not end its sender's loop.
_pack = msgpack.Packer(use_bin_type=True, unicode_errors="backslashreplace").pack
_unpack = msgpack.unpackb


def encode(message: Message, shares: bool = False) -> list[Buffer]:
    """Return the frames of a message: the header, then the message's own buffers.

    Of a large message (`limits.WHOLE_BYTES`) the segments that are not referred to are left as they are,
    for whoever cuts it into parts (`ctrlhub.wire.parts`).

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
    stays = not shares and sum(map(nbytes_of, filter(_has_bytes, frames))) > WHOLE_BYTES
    for index, frame in enumerate(frames):
        if type(frame) is Segment:
            if shares:
                found.append((index, frame.descriptor, frame.stamp, frame.nbytes))
            frames[index] = b"" if shares else frame if stays else frame.view()
        elif type(frame) is SegmentRef:
            found.append((index, frame.descriptor, frame.stamp, frame.nbytes, frame.pid))
            frames[index] = b""
        elif type(frame) is Carried:
            found.append((index,))
            frames[index] = frame.segment if stays else frame.segment.view()
    return found


def _has_bytes(frame: Buffer) -> bool:
    return type(frame) is not SegmentRef


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
        # What takes less than that has no more items.
        envelope = _unpack(header, use_list=False) if len(header) <= MAX_ITEMS else _counted(header)
    except InvalidRequest:
        raise
    except (
        Exception
    ) as error:  # msgpack raises many types, ValueError and RecursionError among them
        raise InvalidRequest(f"header is not msgpack: {type(error).__name__}") from error
    if type(envelope) is not tuple or len(envelope) != 3:
        return _decode_longer(envelope, frames)
    return _spec_of(*envelope).build(envelope[2], frames)


def _counted(header: Buffer) -> Any:
    """Unpack a large header, unless it has more items than are worth the time of whoever has to look at them."""
    left = MAX_ITEMS

    def count(items: Any) -> Any:
        nonlocal left
        left -= len(items)
        if left < 0:
            raise InvalidRequest(f"the maps and lists of a header have {MAX_ITEMS} items at most")
        return items

    return _unpack(
        header,
        use_list=False,
        list_hook=count,
        object_hook=count,
        max_array_len=MAX_ITEMS,
        max_map_len=MAX_ITEMS,
    )


def kind_of(header: Buffer) -> str:
    """Return the kind of message that a header says it is, without a look at the rest; empty if it says none.

    It is what `decode` would take it for, if it takes it at all.
    """
    unpacker = msgpack.Unpacker(use_list=False, max_buffer_size=MAX_HEADER_BYTES)
    try:
        unpacker.feed(header)
        unpacker.read_array_header()
        unpacker.skip()
        kind = unpacker.unpack()
    except Exception:  # as in `decode`, which says what is wrong
        return ""
    return kind if type(kind) is str else ""


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
        return CONTAINER_BYTES + sum(len(key) + size_of_extras(each) for key, each in value.items())
    if isinstance(value, list | tuple):
        return CONTAINER_BYTES + sum(map(size_of_extras, value))
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


# ---------------------------------------------------------------- classes and their fields


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
        self._checks = tuple(CHECKS[str(field.type)] for field in own)
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

"""Messages over WebSocket: the frames of one, on one of four streams, as one binary message.

A WebSocket carries all streams of a peer. Each of its messages is a message of the protocol, as it
would be on ZeroMQ: a head that tells stream and sizes, then the frames as they are.
"""

from __future__ import annotations

from collections.abc import Sequence
from struct import Struct, pack, unpack_from

from ctrlhub.wire.errors import InvalidRequest
from ctrlhub.wire.limits import MAX_FRAMES
from ctrlhub.wire.messages import Buffer, Stream

MSGPACK = "ctrlhub.v1.msgpack"
"""The subprotocol of this module."""

JSON = "ctrlhub.v1.json"
"""The subprotocol of `ctrlhub.wire.web_json`."""

CONNECT_PATH = "api/v1/connect"
"""Where a gateway takes WebSockets of these subprotocols, behind its own address."""

CONNECTION_PATH = "api/v1/connection"
"""Where it tells who comes what a connection file would."""

ALIGNMENT = 16
"""Each frame begins at a multiple of this (bytes), so that arrays can be used where they are."""

WEB_MESSAGE_BYTES = 6 * 1024 * 1024
"""The largest WebSocket message to a gateway. What is larger than `WHOLE_BYTES` travels in parts."""

WEB_ANSWER_BYTES = 32 * 1024 * 1024
"""The largest WebSocket message of a gateway: a header may be large, and has frames behind it."""

STREAMS = (Stream.HUB, Stream.MULTIENGINE, Stream.TASK, Stream.IOPUB)
"""The streams by their numbers."""

_NUMBERS = {stream: number for number, stream in enumerate(STREAMS)}
_HEAD = Struct("!II")
_ALONE = Struct("!III4x")
_ALONE_BYTES = _ALONE.size


def pack_message(stream: Stream, frames: Sequence[Buffer]) -> bytes:
    """Return a message as it travels.

    Parameters
    ----------
    stream
        Its stream.
    frames
        The header, and the frames behind it.
    """
    number = _NUMBERS[stream]
    if len(frames) == 1:
        return b"".join((_ALONE.pack(number, 1, _nbytes(frames[0])), frames[0]))
    sizes = [_nbytes(frame) for frame in frames]
    pieces: list[Buffer] = [pack(f"!{2 + len(sizes)}I", number, len(sizes), *sizes)]
    at = _HEAD.size + 4 * len(sizes)
    for frame, size in zip(frames, sizes, strict=True):
        gap = -at % ALIGNMENT
        if gap:
            pieces.append(bytes(gap))
        pieces.append(frame)
        at += gap + size
    return b"".join(pieces)


def unpack_message(data: bytes | bytearray | memoryview) -> tuple[Stream, bytes, list[Buffer]]:
    """Return the stream of a message, its header, and views of the frames behind that.

    Raises
    ------
    InvalidRequest
        It is none.
    """
    total = len(data)
    if total < _HEAD.size:
        raise InvalidRequest(f"a message of {total} bytes has no head")
    number, count = _HEAD.unpack_from(data)
    if number >= len(STREAMS):
        raise InvalidRequest(f"there is no stream {number}")
    if not 1 <= count <= MAX_FRAMES + 1 or total < _HEAD.size + 4 * count:
        raise InvalidRequest(f"a message of {total} bytes cannot have {count} frames")
    view = memoryview(data)
    if count == 1:
        (size,) = unpack_from("!I", data, _HEAD.size)
        if size != total - _ALONE_BYTES:
            raise _wrong_sizes()
        return STREAMS[number], bytes(view[_ALONE_BYTES:]), []
    at = _HEAD.size + 4 * count
    frames: list[Buffer] = []
    for size in unpack_from(f"!{count}I", data, _HEAD.size):
        at += -at % ALIGNMENT
        frames.append(view[at : at + size])
        at += size
    if at != total:
        raise _wrong_sizes()
    return STREAMS[number], bytes(frames[0]), frames[1:]


def _nbytes(frame: Buffer) -> int:
    return len(frame) if type(frame) is bytes else memoryview(frame).nbytes


def _wrong_sizes() -> InvalidRequest:
    return InvalidRequest("the sizes of a message's frames are not its own")

"""A value that an engine has encoded for those who must not unpickle: bytes, and what they are.

Whoever runs functions by name (the gateway's REST interface) has the engine make JSON of what they
return. It travels as any result does, pickled; but the pickle names this one class and nothing else, so
that it can be opened by a reader that cannot import or call (`ctrlhub.wire.plain_pickle`).
"""

from __future__ import annotations

import pickle
from collections.abc import Sequence
from typing import Any

from ctrlhub.wire.errors import SerializationError
from ctrlhub.wire.messages import Buffer, Payload
from ctrlhub.wire.plain_pickle import Makers, TooLarge, read_plain
from ctrlhub.wire.unread import Unread

JSON = "application/json"
OCTETS = "application/octet-stream"

MOST_PICKLE = 32 * 1024 * 1024
"""A pickle of more bytes that is not at hand is not read, but for one of bytes alone."""


class Encoded:
    """Bytes, and what they are.

    Parameters
    ----------
    media_type
        `JSON`, or `OCTETS` for bytes as they were.
    data
        The bytes; large ones travel beside the pickle, uncopied, and may be `Unread`.
    """

    __slots__ = ("data", "media_type")

    @property
    def nbytes(self) -> int:
        """How many bytes."""
        return self.data.nbytes if isinstance(self.data, Unread) else memoryview(self.data).nbytes

    def part(self, start: int, nbytes: int) -> bytes:
        """Return some of the bytes; of what is elsewhere no more is read."""
        if isinstance(self.data, Unread):
            return self.data.read(start, min(nbytes, self.nbytes - start))
        return bytes(memoryview(self.data).cast("B")[start : start + nbytes])

    def __init__(self, media_type: str, data: Buffer) -> None:
        self.media_type = media_type
        self.data = data

    def __reduce_ex__(self, protocol: Any) -> tuple[Any, ...]:
        return Encoded, (self.media_type, pickle.PickleBuffer(self.data))


def open_plainly(payload: Payload) -> Any:
    """Return what was pickled if it is plain data, or an `Encoded`; nothing is imported or called.

    Plain data are None, truth values, numbers, text, bytes, and lists, tuples, sets and dicts of these.

    Bytes that travel beside the pickle in a segment, or are elsewhere, stay there: they are given as `Unread`.

    Parameters
    ----------
    payload
        What `ctrlhub.wire.serialize.dumps` gave, as it has come.

    Raises
    ------
    OfAClass
        It is something else.
    TooLarge
        It has too many parts, or too long ones.
    SerializationError
        It cannot be read.
    """
    parts: Sequence[Any] = [payload] if isinstance(payload, bytes) else list(payload)
    if not parts:
        raise SerializationError("the value cannot be read: there is nothing of it")
    first, *buffers = parts
    if isinstance(first, Unread):
        alone = _bytes_alone(first)
        if alone is not None:
            return alone
        if first.nbytes > MOST_PICKLE:
            raise TooLarge(
                f"the value takes {first.nbytes} bytes, of {MOST_PICKLE} that are read here: run the function by name, "
                "which has the engine make JSON of it, or return bytes"
            )
        first = first.read(0, first.nbytes)
    return read_plain(first, buffers, _MAKERS)


def _bytes_alone(pickled: Unread) -> Encoded | None:
    """Return the bytes that a pickle consists of, which stay where they are; None if there is more in it."""
    head = pickled.read(0, min(11, pickled.nbytes))
    for word, size in ((b"B", 4), (b"\x8e", 8)):
        start = 3 + size
        if head[:1] == b"\x80" and head[2:3] == word and len(head) >= start:
            count = int.from_bytes(head[3:start], "little")
            end = pickled.nbytes - start - count
            if 0 < end <= 3 and pickled.read(start + count, end) in _ENDS:
                return Encoded(OCTETS, Slice(pickled, start, count))
    return None


class Slice(Unread):
    """A part of bytes that are elsewhere.

    Parameters
    ----------
    whole
        What it is a part of.
    start, nbytes
        Which part.
    """

    __slots__ = ("_start", "_whole", "nbytes")

    def __init__(self, whole: Unread, start: int, nbytes: int) -> None:
        self._whole = whole
        self._start = start
        self.nbytes = nbytes

    def read(self, start: int, nbytes: int) -> bytes:
        """Return a part of it."""
        return self._whole.read(self._start + start, min(nbytes, self.nbytes - start))


def _encoded(media_type: Any, data: Any) -> Encoded:
    if type(media_type) is not str or (type(data) not in _BYTES and not isinstance(data, Unread)):
        raise TypeError("an encoded value is a media type and bytes")
    return Encoded(media_type, data)


def _bytearray(data: Any = b"") -> bytearray:
    """Return it, of bytes alone: of a number it would be as large as that says."""
    if type(data) is not bytes:
        raise TypeError("a bytearray is made of bytes")
    return bytearray(data)


_ENDS = frozenset((b".", b"\x94.", b"q\x00."))
"""How a pickle ends behind its only part, which it may take note of."""

_BYTES = frozenset((bytes, bytearray, memoryview))

_MAKERS: Makers = {
    (Encoded.__module__, Encoded.__qualname__): _encoded,
    ("builtins", "bytearray"): _bytearray,  # which pickle has had a word of its own for since protocol 5
}

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
from ctrlhub.wire.plain_pickle import Makers, read_plain
from ctrlhub.wire.segments import Segment

JSON = "application/json"
OCTETS = "application/octet-stream"


class Encoded:
    """Bytes, and what they are.

    Parameters
    ----------
    media_type
        `JSON`, or `OCTETS` for bytes as they were.
    data
        The bytes; large ones travel beside the pickle, uncopied.
    """

    __slots__ = ("data", "media_type")

    def __init__(self, media_type: str, data: Buffer) -> None:
        self.media_type = media_type
        self.data = data

    def __reduce_ex__(self, protocol: Any) -> tuple[Any, ...]:
        return Encoded, (self.media_type, pickle.PickleBuffer(self.data))


def open_plainly(payload: Payload) -> Any:
    """Return what was pickled if it is plain data, or an `Encoded`; nothing is imported or called.

    Plain data are None, truth values, numbers, text, bytes, and lists, tuples, sets and dicts of these.

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
    first, *buffers = [part.view() if type(part) is Segment else part for part in parts]
    return read_plain(first, buffers, _MAKERS)


def _encoded(media_type: Any, data: Any) -> Encoded:
    if type(media_type) is not str or type(data) not in _BYTES:
        raise TypeError("an encoded value is a media type and bytes")
    return Encoded(media_type, data)


def _bytearray(data: Any = b"") -> bytearray:
    """Return it, of bytes alone: of a number it would be as large as that says."""
    if type(data) is not bytes:
        raise TypeError("a bytearray is made of bytes")
    return bytearray(data)


_BYTES = frozenset((bytes, bytearray, memoryview))

_MAKERS: Makers = {
    (Encoded.__module__, Encoded.__qualname__): _encoded,
    ("builtins", "bytearray"): _bytearray,  # which pickle has had a word of its own for since protocol 5
}

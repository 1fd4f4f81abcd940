"""A value that an engine has encoded for those who must not unpickle: bytes, and what they are.

Whoever runs functions by name (the gateway's REST interface) has the engine make JSON of what they
return. It travels as any result does, pickled; but the pickle names this one class and nothing else, so
that it can be opened without the power to import and to call (`open_plainly`).
"""

from __future__ import annotations

import io
import pickle
from collections.abc import Sequence
from typing import Any, NoReturn

from ctrlhub.wire.errors import SerializationError
from ctrlhub.wire.messages import Buffer, Payload
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


class OfAClass(SerializationError, code="of_a_class"):
    """A value is no plain data, and is not to be opened here.

    Its message names the class.
    """


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
    SerializationError
        It cannot be read.
    """
    parts: Sequence[Any] = [payload] if isinstance(payload, bytes) else list(payload)
    first, *buffers = [part.view() if type(part) is Segment else part for part in parts]
    try:
        return _Plainly(io.BytesIO(first), buffers=buffers).load()
    except SerializationError:
        raise
    except Exception as error:  # whatever pickle makes of spoilt bytes
        raise SerializationError(
            f"the value cannot be read: {type(error).__name__}: {error}"
        ) from None


class _Plainly(pickle.Unpickler):
    """Knows one class."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == (Encoded.__module__, Encoded.__qualname__):
            return Encoded
        if (module, name) == ("builtins", "bytearray"):  # which pickle has no word of its own for
            return bytearray
        raise OfAClass(
            f"the value holds a {module}.{name}, which only a Python client can open: have the function "
            "return what JSON can say"
        )

    def persistent_load(self, pid: Any) -> NoReturn:
        raise OfAClass("the value names something outside of it, which only a Python client can open")

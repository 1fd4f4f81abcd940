"""Objects to buffers and back, where ipyparallel has it: for messages of one's own between engines."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ctrlhub.wire.messages import Buffer
from ctrlhub.wire.prepickled import PrePickled as PrePickled
from ctrlhub.wire.serialize import dumps, loads


def serialize_object(obj: object, **thresholds: Any) -> list[Buffer]:
    """Serialize an object, as arguments of calls are.

    Parameters
    ----------
    obj
        Anything that can be pickled, by reference or by value.
    **thresholds
        Kept for programs that pass them.

    Returns
    -------
    list of buffers
        A pickle, and the memory of large arrays, which is not copied.

    Raises
    ------
    SerializationError
        It cannot be pickled.
    """
    payload = dumps(obj)
    return [payload] if isinstance(payload, bytes) else list(payload)


def deserialize_object(buffers: Sequence[Buffer], g: Any = None) -> tuple[Any, list[Buffer]]:
    """Rebuild an object from all of the buffers that `serialize_object` gave.

    Parameters
    ----------
    buffers
        The buffers, in whatever form they arrived.
    g
        Kept for programs that pass a namespace.

    Returns
    -------
    tuple
        The object, and an empty list: what is left over.
    """
    return loads(tuple(buffers)), []

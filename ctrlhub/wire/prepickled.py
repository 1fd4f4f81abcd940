"""Objects that are pickled once and sent many times."""

from __future__ import annotations

from typing import Any

from ctrlhub.wire.serialize import dumps_inline, loads


class PrePickled:
    """An object as it is now, pickled once however often it is sent; it arrives as itself.

    Worth it for a large argument of many calls. One that stays the same is better pushed once, and
    named with a `Reference`.

    Parameters
    ----------
    obj
        The object.

    Raises
    ------
    SerializationError
        It cannot be pickled.
    """

    __slots__ = ("_data",)

    def __init__(self, obj: Any) -> None:
        self._data = dumps_inline(obj)

    def __reduce__(self) -> tuple[Any, ...]:
        return loads, (self._data,)

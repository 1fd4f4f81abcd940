"""Pickling by value what plain pickle cannot: with cloudpickle, or with dill if one says so.

Which of them is a setting of the process, as in ipyparallel.
"""

from __future__ import annotations

import functools
import io
import pickle
import sys
from collections.abc import Callable
from types import CodeType
from typing import Any, Protocol, TypeAlias

import cloudpickle

from ctrlhub.wire.errors import SerializationError
from ctrlhub.wire.naming import LRU_CACHED, is_importable

CLOUDPICKLE, DILL = "cloudpickle", "dill"

StaysInside: TypeAlias = Callable[[pickle.PickleBuffer], bool]
"""Says of a buffer whether it stays in the pickle."""

_PROTOCOL = 5
_NO_FILE = "<dynamic-code>"
"""The name that cloudpickle gives to the file of all code."""


class _Pickler(Protocol):
    def dump(self, obj: object, /) -> None: ...


def used() -> str:
    """Return the name of what pickles by value in this process."""
    return CLOUDPICKLE if _pickler is _ByValue else DILL


def use(name: str) -> None:
    """Choose what pickles by value, in this process, from now on.

    Parameters
    ----------
    name
        ``"cloudpickle"`` or ``"dill"``.

    Raises
    ------
    SerializationError
        It is not installed here.
    """
    global _pickler
    if name == CLOUDPICKLE:
        _pickler = _ByValue
    elif name == DILL:
        _pickler = _dill_pickler()
    else:
        raise ValueError(f"what pickles is {CLOUDPICKLE!r} or {DILL!r}, not {name!r}")


def dump_by_value(obj: object, stays_inside: StaysInside | None) -> bytes:
    """Pickle an object, and what it names that nobody else can import."""
    file = io.BytesIO()
    _pickler(file, _PROTOCOL, stays_inside).dump(obj)
    return file.getvalue()


class _ByValue(cloudpickle.Pickler):  # type: ignore[misc]  # it has no annotations
    """Cloudpickle, and two things that it does in another way.

    What ``functools.lru_cache`` made is only ever pickled by name there. And it gives all code one
    file name, where tracebacks should lead to the user's source.
    """

    def reducer_override(self, obj: Any) -> Any:
        if type(obj) is LRU_CACHED and not is_importable(obj):
            return _lru_cached, (obj.__wrapped__, obj.cache_parameters())
        if type(obj) is CodeType:
            make, args = self.dispatch_table[CodeType](obj)
            return make, tuple(obj.co_filename if _is_no_file(part) else part for part in args)
        return super().reducer_override(obj)


_pickler: Callable[[io.BytesIO, int, StaysInside | None], _Pickler] = _ByValue


def _dill_pickler() -> Callable[[io.BytesIO, int, StaysInside | None], _Pickler]:
    try:
        import dill
    except ImportError as error:
        raise SerializationError(
            f"dill cannot be imported here ({sys.executable}): install it, where the client runs and "
            "where the engines run; or do without, since cloudpickle sends functions by value as well"
        ) from error

    def pickler(file: io.BytesIO, protocol: int, stays_inside: StaysInside | None) -> _Pickler:
        # Of a function's globals those that it uses, as with cloudpickle; not all, nor by name.
        made: _Pickler = dill.Pickler(file, protocol, buffer_callback=stays_inside, recurse=True)
        return made

    return pickler


def _is_no_file(part: object) -> bool:
    return type(part) is str and part == _NO_FILE


def _lru_cached(function: Callable[..., Any], parameters: dict[str, Any]) -> Callable[..., Any]:
    cached: Callable[..., Any] = functools.lru_cache(**parameters)(function)
    return cached

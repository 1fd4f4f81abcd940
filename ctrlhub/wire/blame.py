"""Which part of an object is to blame, when the whole cannot be pickled.

Only asked once something has failed, so it may take its time: it tries the parts of the object,
then the parts of the part that fails, and so on, and gives the way there as Python would write it:
``['model'].layers[2].lock``.
"""

from __future__ import annotations

import functools
import types
from collections.abc import Callable, Iterable, Iterator
from itertools import islice

MAX_DEPTH = 12
MAX_PARTS = 1000
"""So many parts of one object are tried."""

_STATE_METHODS = ("__reduce_ex__", "__reduce__", "__getstate__")


def culprit(obj: object, is_good: Callable[[object], bool]) -> str:
    """Give the path to the innermost part that is not good; empty if no part is known to be.

    Parameters
    ----------
    obj
        What is not good as a whole.
    is_good
        Whether a part is.
    """
    path = ""
    for _ in range(MAX_DEPTH):
        for step, part in islice(_parts(obj), MAX_PARTS):
            if not is_good(part):
                path += f", its{step}" if path and step.startswith(" ") else step
                obj = part
                break
        else:
            break
    return path and f"{path.lstrip('. ')} (of type {type(obj).__qualname__})"


def _parts(obj: object) -> Iterator[tuple[str, object]]:
    """Give the parts of an object that pickle would look at, as far as that is plain."""
    if isinstance(obj, (list, tuple)):
        for position, part in enumerate(obj):
            yield f"[{position}]", part
    elif isinstance(obj, dict):
        for key, part in obj.items():
            yield f" key {key!r:.40}", key
            yield f"[{key!r:.40}]", part
    elif isinstance(obj, (set, frozenset)):
        for part in obj:
            yield " member", part
    elif isinstance(obj, functools.partial):
        yield ".func", obj.func
        yield from _steps(".args", enumerate(obj.args))
        yield from _steps(".keywords", obj.keywords.items())
    elif isinstance(obj, types.MethodType):
        yield ".__self__", obj.__self__
        yield ".__func__", obj.__func__
    elif isinstance(obj, types.FunctionType):
        yield from _function_parts(obj)
    elif _has_plain_state(type(obj)):
        for name, part in getattr(obj, "__dict__", {}).items():
            yield f".{name}", part


def _function_parts(function: types.FunctionType) -> Iterator[tuple[str, object]]:
    for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=False):
        try:
            yield f" variable {name!r} of an outer function", cell.cell_contents
        except ValueError:  # not assigned yet: nothing to send
            continue
    yield from _steps(" default", enumerate(function.__defaults__ or ()))
    yield from _steps(" default", (function.__kwdefaults__ or {}).items())
    for name in function.__code__.co_names:
        if name in function.__globals__:
            yield f" global {name!r}", function.__globals__[name]
    for name, part in vars(function).items():
        yield f".{name}", part


def _steps(of: str, items: Iterable[tuple[object, object]]) -> Iterator[tuple[str, object]]:
    for key, part in items:
        yield f"{of}[{key!r}]", part


def _has_plain_state(cls: type) -> bool:
    """Whether pickle takes an instance's ``__dict__``, and no method of its own making."""
    return all(getattr(cls, name, None) is getattr(object, name, None) for name in _STATE_METHODS)

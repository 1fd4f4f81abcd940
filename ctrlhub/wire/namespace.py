"""Functions sent by value, and the names they expect to find on the engine.

``view.push({"a": 1}); view.apply(lambda: a)`` works although the lambda comes without ``a``: what
it uses and did not bring along is looked up in the engine's namespace, at each call. What it did
bring along is its own, so that two clients may each have a ``k``. And a name that it declares
``global`` and did not bring along is assigned in the namespace, for the next one to find.

A function has one dict of globals, and Python allows no second. So the names in question are
copied: in before the call, out after it.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Iterator, MutableMapping
from types import FunctionType, MethodType
from typing import Any, TypeAlias

from ctrlhub.wire.naming import LRU_CACHED, global_names, is_importable, written_names

MAX_OBJECTS = 10_000
"""So many objects are looked at in search of functions."""

Namespace: TypeAlias = MutableMapping[str, Any]
_Place: TypeAlias = tuple[dict[str, Any], str]

_ABSENT = object()


def in_namespace(function: Callable[..., Any], namespace: Namespace) -> Callable[..., Any]:
    """Give a function just loaded its place in a namespace.

    Returns
    -------
    callable
        The function itself, if it and the functions it brought along need no names from there.
    """
    read: dict[tuple[int, str], _Place] = {}
    written: dict[tuple[int, str], _Place] = {}
    for found in _functions_in(function):
        names = found.__globals__
        for name in global_names(found.__code__):
            if name not in names:
                read[id(names), name] = names, name
        for name in written_names(found.__code__):
            if name not in names:
                written[id(names), name] = names, name
    if not read:
        return function
    return _Visitor(function, namespace, tuple(read.values()), tuple(written.values()))


class _Visitor:
    """A function that is at home elsewhere, and uses names of a namespace."""

    def __init__(
        self,
        function: Callable[..., Any],
        namespace: Namespace,
        read: tuple[_Place, ...],
        written: tuple[_Place, ...],
    ) -> None:
        functools.update_wrapper(self, function)
        self._function = function
        self._namespace = namespace
        self._read = read
        self._written = written

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        namespace = self._namespace
        for names, name in self._read:
            value = namespace.get(name, _ABSENT)
            if value is not _ABSENT:
                names[name] = value
            elif name in names:
                del names[name]
        try:
            return self._function(*args, **kwargs)
        finally:
            for names, name in self._written:
                if name in names:
                    namespace[name] = names[name]
                else:
                    namespace.pop(name, None)


def _functions_in(root: object) -> Iterator[FunctionType]:
    """Find the functions that came by value with an object just loaded."""
    waiting = [root]
    seen: dict[int, object] = {}  # the objects too, lest an id be used again
    while waiting and len(seen) < MAX_OBJECTS:
        obj = waiting.pop()
        if id(obj) in seen:
            continue
        seen[id(obj)] = obj
        if isinstance(obj, FunctionType):
            if not _is_at_home(obj):
                yield obj
                waiting += _inside_function(obj)
        else:
            waiting += _inside(obj)


def _is_at_home(function: FunctionType) -> bool:
    """Whether its globals are those of a module here: then it was imported, not sent."""
    module = sys.modules.get(function.__globals__.get("__name__", ""))
    return module is not None and vars(module) is function.__globals__


def _inside_function(function: FunctionType) -> Iterator[object]:
    for cell in function.__closure__ or ():
        try:
            yield cell.cell_contents
        except ValueError:  # not assigned yet
            continue
    yield from function.__defaults__ or ()
    yield from (function.__kwdefaults__ or {}).values()
    yield from vars(function).values()
    for name in global_names(function.__code__):
        yield function.__globals__.get(name)


def _inside(obj: object) -> Iterator[object]:
    if isinstance(obj, functools.partial):
        yield from (obj.func, *obj.args, *obj.keywords.values())
    elif isinstance(obj, MethodType):
        yield from (obj.__func__, obj.__self__)
    elif isinstance(obj, (list, tuple, set, frozenset)):
        yield from obj
    elif isinstance(obj, dict):
        yield from obj.values()
    elif isinstance(obj, type):
        if not is_importable(obj):
            yield from vars(obj).values()
            yield from obj.__bases__
    elif isinstance(obj, (staticmethod, classmethod)):
        yield obj.__func__
    elif isinstance(obj, property):
        yield from (obj.fget, obj.fset, obj.fdel)
    elif isinstance(obj, LRU_CACHED):
        yield obj.__wrapped__
    elif not is_importable(type(obj)):
        yield type(obj)
        yield from getattr(obj, "__dict__", {}).values()

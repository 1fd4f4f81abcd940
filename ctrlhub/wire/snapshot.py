"""What a function depends on, remembered so exactly that a change shows.

The serialized form of a function that is sent by value holds, besides its code, the values of its
defaults, cells and globals, and those of the functions among them, and so on. A `Snapshot` holds
the same objects. The form may be used again while the function still has these very objects, if
none of them can have changed inside: so a snapshot is only taken where all of them are immutable,
or functions of the same kind, or known to the other side by name. Where in doubt there is none.

Comparing is by identity and takes about a microsecond; this is the path of every submission.
"""

from __future__ import annotations

import re
import sys
from operator import is_ as _is
from types import BuiltinFunctionType, FunctionType, GenericAlias, ModuleType, NoneType, UnionType
from typing import Any, TypeAlias

from ctrlhub.wire.naming import (
    MAIN,
    global_names,
    is_by_value,
    is_importable,
    registered_by_value,
)

MAX_FUNCTIONS = 64
"""A function that depends on more functions than this is not remembered."""

MAX_ITEMS = 1000
"""Nor is one with more values, or with a longer tuple among them."""

_ABSENT = object()
"""Stands for a global that is not there; once it is, it matters."""

_IMMUTABLE = frozenset(
    (int, float, complex, str, bytes, bool, type(None), type(...), type(NotImplemented))
) | {range, re.Pattern}

_NAMED = (FunctionType, BuiltinFunctionType, type)
"""What is pickled by name where that can be found."""

_Items: TypeAlias = tuple[tuple[str, ...], tuple[Any, ...]]
"""The names and the values of a dict."""

_NO_ITEMS: _Items = ((), ())


class _Doubt(Exception):
    """Something was met that may change without a trace."""


class _Shape:
    """One function as it was, its globals aside."""

    __slots__ = (
        "annotations",
        "attributes",
        "cells",
        "code",
        "defaults",
        "doc",
        "globals",
        "kwdefaults",
        "module",
        "name",
        "qualname",
    )

    def __init__(self, function: FunctionType) -> None:
        self.code = function.__code__
        self.globals = function.__globals__
        self.defaults = function.__defaults__ or ()
        self.cells = cells_of(function)
        self.kwdefaults = _items(function.__kwdefaults__)
        self.attributes = _items(function.__dict__)
        self.annotations = _items(function.__annotations__)
        self.name = function.__name__
        self.qualname = function.__qualname__
        self.module = function.__module__
        self.doc = function.__doc__

    def values(self) -> list[Any]:
        of_dicts = (*self.kwdefaults[1], *self.attributes[1], *self.annotations[1])
        return [*self.defaults, *self.cells, self.doc, *of_dicts]

    def fits(self, function: FunctionType) -> bool:
        """Whether a function is as this one was; it may be another object."""
        return (
            function.__code__ is self.code
            and function.__globals__ is self.globals
            and _are_same(function.__defaults__ or (), self.defaults)
            and (function.__closure__ is None or _are_same(cells_of(function), self.cells))
            and _has_items(function.__kwdefaults__, self.kwdefaults)
            and _has_items(function.__dict__, self.attributes)
            and _has_items(function.__annotations__, self.annotations)
            and function.__name__ == self.name
            and function.__qualname__ == self.qualname
            and function.__module__ == self.module
            and function.__doc__ is self.doc
        )


class Snapshot:
    """Everything that the serialized form of a function depends on."""

    __slots__ = ("_globals", "_helpers", "_modules", "_named", "_registered", "_shape")

    def __init__(self, function: FunctionType) -> None:
        look = _Look(function)
        self._shape = look.shapes.pop(id(function))[1]
        self._helpers = tuple(look.shapes.values())
        self._globals = tuple(look.globals)
        self._named = tuple(
            value for value in look.named.values() if value.__module__ != "builtins"
        )
        # What cloudpickle sends along with a package depends on the submodules imported by now.
        self._modules = len(sys.modules) if look.has_packages else None
        self._registered = registered_by_value()

    def holds_for(self, function: FunctionType) -> bool:
        """Whether the serialized form made at the time is still that of the function."""
        for names, name, value in self._globals:
            if names.get(name, _ABSENT) is not value:
                return False
        for helper, shape in self._helpers:
            if not shape.fits(helper):
                return False
        for named in self._named:
            if not is_importable(named):
                return False
        return (
            self._shape.fits(function)
            and (self._modules is None or self._modules == len(sys.modules))
            and self._registered == registered_by_value()
        )


def snapshot_of(function: FunctionType) -> Snapshot | None:
    """Take a snapshot; None where something the function depends on could change unseen."""
    try:
        return Snapshot(function)
    except _Doubt:
        return None


def cells_of(function: FunctionType) -> tuple[Any, ...]:
    """Give the contents of a function's cells; an empty one contains itself."""
    found = []
    for cell in function.__closure__ or ():
        try:
            found.append(cell.cell_contents)
        except ValueError:  # not assigned yet; once it is, its contents differ from the cell
            found.append(cell)
    return tuple(found)


class _Look:
    """A walk over what a function depends on; raises `_Doubt` at the first doubt."""

    def __init__(self, function: FunctionType) -> None:
        self.shapes: dict[int, tuple[FunctionType, _Shape]] = {}
        self.globals: list[tuple[dict[str, Any], str, Any]] = []
        self.named: dict[int, Any] = {}
        self.has_packages = False
        self._seen: set[tuple[int, str]] = set()
        self._at_function(function)

    def _at_function(self, function: FunctionType) -> None:
        if id(function) in self.shapes:
            return
        if len(self.shapes) >= MAX_FUNCTIONS:
            raise _Doubt
        shape = _Shape(function)
        self.shapes[id(function)] = function, shape
        for value in shape.values():
            self._at(value)
        names = function.__globals__
        for name in global_names(shape.code):
            if (id(names), name) not in self._seen:
                self._seen.add((id(names), name))
                self._at_global(names, name)

    def _at_global(self, names: dict[str, Any], name: str) -> None:
        value = names.get(name, _ABSENT)
        self.globals.append((names, name, value))
        if len(self.globals) > MAX_ITEMS:
            raise _Doubt
        if value is not _ABSENT:
            self._at(value)

    def _at(self, value: Any) -> None:
        kind = type(value)
        if kind in _IMMUTABLE:
            return
        if kind is tuple or kind is frozenset:
            self._at_all(value)
        elif kind is FunctionType and not is_importable(value):
            self._at_function(value)
        elif kind is ModuleType:
            self._at_module(value)
        elif kind is GenericAlias or kind is UnionType or kind.__module__ == "typing":
            self._at_annotation(value)
        elif issubclass(kind, _NAMED) and is_importable(value):
            self.named[id(value)] = value
        elif value is not NoneType:  # known to pickle, and the half of every Optional
            raise _Doubt

    def _at_all(self, values: tuple[Any, ...] | frozenset[Any]) -> None:
        if len(values) > MAX_ITEMS:
            raise _Doubt
        for value in values:
            self._at(value)

    def _at_module(self, module: ModuleType) -> None:
        name = module.__name__
        if name == MAIN or sys.modules.get(name) is not module or is_by_value(name):
            raise _Doubt
        self.has_packages = self.has_packages or hasattr(module, "__path__")

    def _at_annotation(self, value: Any) -> None:
        """Look into ``list[int]``, ``int | None``, ``Optional[T]``: as good as what it names."""
        arguments = getattr(value, "__args__", None)
        if type(arguments) is not tuple:
            raise _Doubt
        self._at_all(arguments)
        origin = getattr(value, "__origin__", None)
        if isinstance(origin, type):
            self._at(origin)


def _are_same(current: tuple[Any, ...], remembered: tuple[Any, ...]) -> bool:
    if current is remembered:
        return True
    return len(current) == len(remembered) and all(map(_is, current, remembered))


def _items(current: dict[str, Any] | None) -> _Items:
    return (tuple(current), tuple(current.values())) if current else _NO_ITEMS


def _has_items(current: dict[str, Any] | None, remembered: _Items) -> bool:
    names, values = remembered
    if not current:
        return not names
    return (
        len(current) == len(names)
        and all(map(_is, current.values(), values))
        and tuple(current) == names
    )

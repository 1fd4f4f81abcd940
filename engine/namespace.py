"""The engine's namespace, and how functions that came by value see it (docs/engine-namespace.md).

A function that travels by value (one of the client's ``__main__``, a lambda, an inner function)
arrives with the globals it uses, as they were at the time. Names that were not there are looked up
here, in the namespace of the engine, and names that the function declares ``global`` and assigns
are variables of the namespace.
"""

from __future__ import annotations

import builtins
import dis
import functools
import sys
from collections.abc import Callable, Iterator
from types import CodeType, FunctionType, ModuleType
from typing import Any

from ctrlhub.engine.retiring import Counted
from ctrlhub.wire.dependencies import dependent
from ctrlhub.wire.each_row import EachRow
from ctrlhub.wire.naming import is_importable

MAIN = "__main__"

_HOLDERS = (dependent, EachRow, Counted)
"""What holds a function, and is itself imported by name."""

_ASSIGNED = "_the_value_that_is_assigned"

_LOADS = frozenset(("LOAD_GLOBAL", "LOAD_NAME"))
_STORES = frozenset(("STORE_GLOBAL", "DELETE_GLOBAL"))
_OWN = frozenset(("__builtins__", "__name__", "__doc__", "__file__", "__package__"))
"""Entries of a function's globals that the client did not capture."""


class Fallback(dict[str, Any]):
    """Python's builtins, and behind them the namespace.

    As ``__builtins__`` of a dictionary of globals it is asked for every name that is in neither.
    """

    def __init__(self, namespace: dict[str, Any]) -> None:
        super().__init__(vars(builtins))
        self._namespace = namespace

    def __missing__(self, name: str) -> Any:
        return self._namespace[name]


class Namespace:
    """The one persistent namespace of an engine: the globals of its ``__main__`` module.

    Attributes
    ----------
    names : dict
        The namespace itself.
    module : module
        What it is the globals of.
    on_clear : callable
        Called when everything has been forgotten.
    """

    def __init__(self) -> None:
        self.module = ModuleType(MAIN)
        self.names: dict[str, Any] = vars(self.module)
        self.names["__builtins__"] = builtins
        self.on_clear: Callable[[], object] = _nothing
        self._initial = dict(self.names)
        self._fallback = Fallback(self.names)

    def install(self) -> None:
        """Be the process's ``__main__``, so that what is defined here can be pickled by name."""
        sys.modules[MAIN] = self.module

    def clear(self) -> None:
        """Forget everything."""
        self.names.clear()
        self.names.update(self._initial)
        self.on_clear()

    def assign(self, name: str, value: Any) -> None:
        """Set a name, or an attribute or item such as ``model.alpha`` or ``table['x']``."""
        value = self.adopt(value)
        if name.isidentifier():
            self.names[name] = value
        else:
            exec(f"{name} = {_ASSIGNED}", self.names, {_ASSIGNED: value})

    def adopt(self, call: Any) -> Any:
        """Return a callable that came from a client, so that it sees the namespace.

        What was imported by name is returned as it is.
        """
        if isinstance(call, functools.partial):
            return functools.partial(self.adopt(call.func), *call.args, **call.keywords)
        if not _is_by_value(call):
            return call.adopted(self.adopt) if type(call) in _HOLDERS else call
        adoption = _Adoption(self.names, self._fallback)
        function = adoption.adopted(call)
        return adoption.writing_back(function) if adoption.assigned else function


def _nothing() -> None:
    """Nobody else has to forget."""


class _Adoption:
    """One function, and those it brought along, on their way into a namespace.

    Functions of one client module share their globals here too. Three cases:

    * Nothing was captured: the functions run in the namespace itself.
    * Something was captured: they keep globals of their own, an exact dictionary, since Python is
      several times slower with anything else. The builtins they name are entered there as well,
      and what is still missing is found through ``__builtins__``, which is a `Fallback`.
    * They assign globals besides: each call ends with moving those to the namespace.
    """

    def __init__(self, names: dict[str, Any], fallback: Fallback) -> None:
        self._names = names
        self._fallback = fallback
        self._globals: dict[int, dict[str, Any]] = {}
        self._adopted: dict[int, FunctionType] = {}
        self.assigned: dict[tuple[int, str], dict[str, Any]] = {}

    def adopted(self, function: FunctionType) -> FunctionType:
        """Return a function with globals that lead to the namespace."""
        known = self._adopted.get(id(function))
        if known is not None:
            return known
        scope = self._scope_of(function)
        copy = FunctionType(
            function.__code__, scope, function.__name__, function.__defaults__, function.__closure__
        )
        copy.__kwdefaults__ = function.__kwdefaults__
        copy.__annotations__ = function.__annotations__
        copy.__qualname__ = function.__qualname__
        copy.__module__ = function.__module__
        copy.__doc__ = function.__doc__
        copy.__dict__.update(function.__dict__)
        self._adopted[id(function)] = copy
        for cell in function.__closure__ or ():
            self._adopt_cell(cell)
        self._note_names(function, scope)
        return copy

    def _scope_of(self, function: FunctionType) -> dict[str, Any]:
        own = function.__globals__
        scope = self._globals.get(id(own))
        if scope is not None:
            return scope
        captured = {name: value for name, value in own.items() if name not in _OWN}
        if not captured:
            scope = self._globals[id(own)] = self._names
            return scope
        scope = self._globals[id(own)] = dict(own)
        scope["__builtins__"] = self._fallback
        for name, value in captured.items():
            if type(value) is FunctionType and value.__globals__ is own:
                scope[name] = value  # in place first: it may refer to itself
        for name, value in captured.items():
            scope[name] = self._within(value)
        return scope

    def _adopt_cell(self, cell: Any) -> None:
        try:
            value = cell.cell_contents
        except ValueError:  # not assigned yet
            return
        within = self._within(value)
        if within is not value:
            cell.cell_contents = within

    def _within(self, value: Any) -> Any:
        """Return a captured value, if it is a function as one that sees the namespace."""
        if type(value) is functools.partial:
            return functools.partial(self._within(value.func), *value.args, **value.keywords)
        if type(value) is dependent:
            return value.adopted(self._within)
        return self.adopted(value) if _is_by_value(value) else value

    def _note_names(self, function: FunctionType, scope: dict[str, Any]) -> None:
        if scope is self._names:
            return
        for code in _codes(function.__code__):
            for instruction in dis.get_instructions(code):
                name = instruction.argval
                if instruction.opname in _STORES:
                    if name in scope:
                        self._names.setdefault(name, scope.pop(name))
                    self.assigned[id(scope), name] = scope
                elif instruction.opname in _LOADS and name not in scope:
                    builtin = vars(builtins).get(name)
                    if builtin is not None:
                        scope[name] = builtin

    def writing_back(self, function: FunctionType) -> Callable[..., Any]:
        """Return a function that moves what it assigned to the namespace, however it ends."""
        names, assigned = self._names, self.assigned

        @functools.wraps(function)
        def call(*args: Any, **kwargs: Any) -> Any:
            try:
                return function(*args, **kwargs)
            finally:
                for (_, name), scope in assigned.items():
                    if name in scope:
                        names[name] = scope.pop(name)

        return call


def _is_by_value(function: object) -> bool:
    """Whether this is a function that came with globals of its own, not one that is at home here.

    Besides those of ``__main__`` these are lambdas, inner functions, and what was registered to be
    sent by value, of any module.
    """
    if type(function) is not FunctionType:
        return False
    owner = sys.modules.get(function.__globals__.get("__name__", ""))
    if owner is not None and vars(owner) is function.__globals__:
        return False
    return not is_importable(function)


def _codes(code: CodeType) -> Iterator[CodeType]:
    yield code
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _codes(constant)

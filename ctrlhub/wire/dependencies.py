"""What a function needs where it runs: `require`, `depend`, `dependent`, `interactive`.

The condition travels with the function and is asked on the engine, before each call. If it is not
met, the call raises `UnmetDependency`: a task then goes to another engine (the hub sees a status,
and looks into nothing), a call of an explicit engine fails.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Mapping
from types import FunctionType, ModuleType
from typing import Any

from ctrlhub.wire.errors import ImpossibleDependency, UnmetDependency
from ctrlhub.wire.naming import MAIN
from ctrlhub.wire.references import arrived_in

_HEAP_TYPE = 1 << 9
"""Flag of the classes that were made by a class statement (CPython's Py_TPFLAGS_HEAPTYPE)."""


class dependent:
    """A function with a condition; calling it asks the condition first.

    Parameters
    ----------
    func
        The function.
    condition
        Called before it; the function runs unless this returns False or raises
        `UnmetDependency`.
    *args, **kwargs
        Arguments of the condition.
    """

    func: Callable[..., Any]
    condition: Callable[..., Any]

    def __init__(
        self,
        func: Callable[..., Any],
        condition: Callable[..., Any],
        /,
        *args: Any,
        **kwargs: Any,
    ) -> None:
        functools.update_wrapper(self, func)
        self.func = func
        self.condition = condition
        self.args = args
        self.kwargs = kwargs

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Call the function, if the condition is met here."""
        if self.condition(*self.args, **self.kwargs) is False:
            asked = getattr(self.condition, "__name__", repr(self.condition))
            raise UnmetDependency(f"{asked} is not met here, on which {self._name} depends")
        return self.func(*args, **kwargs)

    def __repr__(self) -> str:
        return f"<{self._name}, which depends on {self.condition!r}>"

    @property
    def _name(self) -> str:
        return getattr(self.func, "__name__", None) or repr(self.func)

    def adopted(self, adopt: Callable[[Any], Any]) -> dependent:
        """Return it with what it calls adopted by an engine's namespace."""
        return dependent(adopt(self.func), adopt(self.condition), *self.args, **self.kwargs)


class depend:
    """Decorator: the function runs only where ``condition(*args, **kwargs)`` is met.

    Parameters
    ----------
    condition
        Asked on the engine before each call. If it returns False, or raises `UnmetDependency`, a
        task goes to another engine; when none is left it fails with `ImpossibleDependency`.
    *args, **kwargs
        Its arguments.

    Examples
    --------
    >>> @depend(os.path.exists, "/data/calibration")
    ... def calibrate(image): ...
    """

    def __init__(self, condition: Callable[..., Any], /, *args: Any, **kwargs: Any) -> None:
        if not callable(condition):
            raise TypeError(f"a condition can be called, {condition!r} cannot")
        self.condition = condition
        self.args = args
        self.kwargs = kwargs

    def __call__(self, f: Callable[..., Any]) -> dependent:
        """Decorate a function."""
        return dependent(f, self.condition, *self.args, **self.kwargs)


def require(*objects: str | ModuleType | Callable[..., Any], **mapping: Any) -> depend:
    """Decorate a function that needs modules, functions or values in the engine's namespace.

    Parameters
    ----------
    *objects
        Names of modules, or modules, which are imported into the namespace before each call; and
        functions or classes, which are set there under their names.
    **mapping
        Values to be set there, by name.

    Raises
    ------
    TypeError
        One of the objects has no name: give it one, ``require(name=object)``.

    Examples
    --------
    >>> @require("numpy", helper)
    ... def norm(a):
    ...     return helper(numpy.linalg.norm(a))
    """
    modules: list[str] = []
    values: dict[str, Any] = dict(mapping)
    for thing in objects:
        if isinstance(thing, str):
            modules.append(thing)
        elif isinstance(thing, ModuleType):
            modules.append(thing.__name__)
        else:
            name = getattr(thing, "__name__", None)
            if not isinstance(name, str):
                raise TypeError(f"{thing!r} has no name to go by: use require(name=...)")
            values[name] = thing
    return depend(_provide, tuple(modules), values)


def _provide(modules: tuple[str, ...], values: Mapping[str, Any]) -> None:
    """Import modules and set values in the engine's namespace."""
    home = arrived_in()
    names: dict[str, Any] = vars(sys.modules[MAIN]) if home is None else home.names
    for module in modules:
        try:
            exec(f"import {module}", names)
        except ImportError as error:
            raise UnmetDependency(
                f"{module} is required, and cannot be imported here ({error}): install it on the "
                "engines, or send it there with client.upload()"
            ) from error
    for name, value in values.items():
        names[name] = value if home is None else home.adopt(value)


def is_unmet(error: BaseException) -> bool:
    """Say whether an exception tells that another engine should try."""
    kind = type(error)
    return issubclass(kind, UnmetDependency) and not issubclass(kind, ImpossibleDependency)


def interactive(f: Callable[..., Any]) -> Callable[..., Any]:
    """Have a function, or a class, treated as if it were defined in ``__main__``.

    One of a module is otherwise imported by its name on the engines, and sees the module's names.
    This one is sent by value, and its globals are those of the engine's namespace.

    Parameters
    ----------
    f
        The function, which is not changed; or the class, which is of ``__main__`` from now on.
    """
    if isinstance(f, type) and f.__flags__ & _HEAP_TYPE:
        f.__module__ = MAIN
        return f
    if not isinstance(f, FunctionType):
        raise TypeError(f"a function or class of one's own is needed, not {f!r}")
    names = vars(sys.modules[MAIN])
    copy = FunctionType(f.__code__, names, f.__name__, f.__defaults__, f.__closure__)
    copy.__kwdefaults__ = f.__kwdefaults__
    copy.__annotations__ = f.__annotations__
    copy.__qualname__ = f.__qualname__
    copy.__doc__ = f.__doc__
    copy.__dict__.update(f.__dict__)
    copy.__module__ = MAIN
    return copy


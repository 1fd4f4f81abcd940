"""What an engine does for a task of the original kind: all its steps as one call.

Nothing of another client comes between the steps, and a step that fails ends the task alone.
"""

from __future__ import annotations

import linecache
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from ctrlhub.wire.errors import UnmetDependency
from ctrlhub.wire.references import Home, arrived_in

PROPERTIES = "properties"
"""The name of the engine's variable that conditions are asked about."""

_SOURCE = "<task>"
"""Where tracebacks say that an expression stands; the last one is shown."""


@dataclass(frozen=True, slots=True)
class Frame:
    """What goes before and after a task.

    Attributes
    ----------
    clear_before, clear_after
        Whether the engine's namespace is emptied then.
    depend
        Asked with the engine's properties; where it is not true the task goes to another engine.
    """

    clear_before: bool = False
    clear_after: bool = False
    depend: Callable[[Mapping[str, Any]], Any] | None = None

    def enter(self) -> Home:
        """Do what goes before; return the namespace.

        Raises
        ------
        UnmetDependency
            The task is not to run here.
        """
        home = arrived_in()
        if home is None:
            raise RuntimeError("a task runs on an engine, and this is none")
        if self.depend is not None:
            _check(home.adopt(self.depend), home.names.get(PROPERTIES, {}))
        if self.clear_before:
            home.clear()
        return home


def _check(depend: Callable[[Mapping[str, Any]], Any], properties: Any) -> None:
    try:
        met = depend(properties)
    except Exception as error:  # most often: this engine has no such property
        raise UnmetDependency(f"depend raised {type(error).__name__}: {error}") from error
    if not met:
        raise UnmetDependency(f"depend is not met by the properties {properties!r}")


def run_expression(
    frame: Frame, expression: str, push: Mapping[str, Any], pull: tuple[str, ...]
) -> list[Any]:
    """Set names, run statements, and return the values of names, in the engine's namespace."""
    home = frame.enter()
    names = home.names
    try:
        for name, value in push.items():
            names[name] = home.adopt(value)
        lines = expression.splitlines(keepends=True)
        linecache.cache[_SOURCE] = (len(expression), None, lines, _SOURCE)
        exec(compile(expression, _SOURCE, "exec", dont_inherit=True), names)
        return [_value(names, name) for name in pull]
    finally:
        if frame.clear_after:
            home.clear()


def _value(names: dict[str, Any], name: str) -> Any:
    if name not in names:
        raise NameError(f"name {name!r} is to be pulled and is not defined")
    return names[name]


def run_function(
    frame: Frame,
    function: Callable[..., Any],
    args: tuple[Any, ...],
    kwargs: Mapping[str, Any],
) -> Any:
    """Call a function that sees the engine's namespace; return its value."""
    home = frame.enter()
    try:
        return home.adopt(function)(*args, **kwargs)
    finally:
        if frame.clear_after:
            home.clear()

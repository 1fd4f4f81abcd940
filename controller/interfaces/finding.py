"""Finding the interfaces and the scheme that a configuration names."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Any

from ctrlhub.controller.config import SCHEME_GROUP
from ctrlhub.controller.core.policies import Policy
from ctrlhub.controller.core.schemes import SCHEMES
from ctrlhub.controller.interfaces.base import Interface

GROUP = "ctrlhub.interfaces"
"""The entry point group of interfaces."""

BUILT_IN = {
    "multiengine": "ctrlhub.controller.interfaces.multiengine:MultiEngine",
    "control": "ctrlhub.controller.interfaces.control:Control",
    "start_hooks": "ctrlhub.controller.interfaces.start_hooks:StartHookInterface",
    "logs": "ctrlhub.controller.interfaces.logs:Logs",
    "tasks": "ctrlhub.controller.interfaces.taskqueue:TaskQueue",
    "query": "ctrlhub.controller.interfaces.query:Query",
    "sessions": "ctrlhub.controller.interfaces.sessions:SessionsInterface",
    "history": "ctrlhub.controller.interfaces.history:HistoryQuery",
    "telemetry": "ctrlhub.controller.interfaces.telemetry:TelemetryQuery",
    "output": "ctrlhub.controller.interfaces.output:OutputOfAll",
}
"""Known without reading the metadata of every installed package, which takes longer than to start."""


def find_interfaces(names: Sequence[str]) -> list[type[Interface]]:
    """Return the classes of interfaces, in order.

    Raises
    ------
    ValueError
        A name that is neither built in nor an entry point, or an entry point that is no interface.
    """
    return [_find(name) for name in names]


def _find(name: str) -> type[Interface]:
    if name in BUILT_IN:
        module, _, attribute = BUILT_IN[name].partition(":")
        found = getattr(import_module(module), attribute)
    else:
        found = _from_entry_point(name)
    if not (isinstance(found, type) and issubclass(found, Interface)):
        raise ValueError(f"interface {name!r} is {found!r}, which is not a subclass of Interface")
    if found.name != name:
        raise ValueError(f"interface {name!r} calls itself {found.name!r}")
    return found


def find_policy(name: str) -> Callable[[], Policy]:
    """Return what makes the policy of a scheme: of our own, of an entry point, or named by its module.

    Raises
    ------
    ValueError
        There is none of that name, or it makes no policy.
    """
    make = SCHEMES.get(name)
    if make is not None:
        return make
    found = _plugged_in(name)
    made = found()
    lacks = [method for method in _POLICY if not callable(getattr(made, method, None))]
    if lacks:
        raise ValueError(f"scheme {name!r} is no policy: it lacks {', '.join(lacks)}")
    return found  # type: ignore[no-any-return]


_POLICY = ("add", "discard", "next", "check", "__len__")


def _plugged_in(name: str) -> Any:
    module, colon, attribute = name.partition(":")
    if colon:
        return getattr(import_module(module), attribute)
    from importlib.metadata import entry_points

    for point in entry_points(group=SCHEME_GROUP):
        if point.name == name:
            return point.load()
    raise ValueError(f"there is no scheme {name!r}")


def _from_entry_point(name: str) -> object:
    from importlib.metadata import entry_points

    points = tuple(entry_points(group=GROUP))
    for point in points:
        if point.name == name:
            return point.load()
    known = sorted({*BUILT_IN, *(point.name for point in points)})
    raise ValueError(f"there is no interface {name!r}; there are: {', '.join(known)}")

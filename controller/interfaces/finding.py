"""Finding the interfaces that a configuration names."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module

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
    "history": "ctrlhub.controller.interfaces.history:HistoryQuery",
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


def _from_entry_point(name: str) -> object:
    from importlib.metadata import entry_points

    points = tuple(entry_points(group=GROUP))
    for point in points:
        if point.name == name:
            return point.load()
    known = sorted({*BUILT_IN, *(point.name for point in points)})
    raise ValueError(f"there is no interface {name!r}; there are: {', '.join(known)}")

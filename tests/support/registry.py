"""Engines to register, callbacks that remember, and every way to reach a registry."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ctrlhub.controller.service import ControllerAdapterBase, ControllerService, IControllerBase


@dataclass(frozen=True)
class Engine:
    """The least that can be registered."""

    key: str = "key"


class Calls(list[Any]):
    """A callback that remembers its calls, as (args, kwargs)."""

    def __call__(self, *args: Any, **kwargs: Any) -> None:
        """Remember this call."""
        self.append((args, kwargs))

    # Callbacks are recognised by equality; two of these are never the same one.
    __eq__ = object.__eq__
    __hash__ = object.__hash__

    @property
    def ids(self) -> list[int]:
        """The ids it was called with."""
        return [args[0] for args, _ in self]


def direct(service: ControllerService) -> IControllerBase:
    """Reach the registry itself."""
    return service


def adapted(service: ControllerService) -> IControllerBase:
    """Reach it through an interface."""
    return ControllerAdapterBase(service)


def adapted_twice(service: ControllerService) -> IControllerBase:
    """Reach it through an interface on an interface."""
    return ControllerAdapterBase(ControllerAdapterBase(service))


WAYS = (direct, adapted, adapted_twice)


def register(controller: IControllerBase, *keys: str) -> list[int]:
    """Register an engine for each key, and return the ids they got."""
    return [controller.register_engine(Engine(key))["id"] for key in keys]

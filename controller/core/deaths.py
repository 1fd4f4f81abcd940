"""The engines that died while they ran a task: what is told when it is given up. No I/O.

They are stored, so that a task which kills its engines is stopped after as many of them when the hub
is restarted in between.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ctrlhub.controller.core.effects import Commit, Drop, Keep, Outbox
from ctrlhub.controller.core.engines import Engine

DEATHS = "deaths/"
"""Deaths are kept under this and the task's id."""

LONGEST = 300
"""So many characters are kept of a cause."""


class Deaths:
    """The deaths that tasks are charged with, in words, by the task's id.

    Parameters
    ----------
    outbox
        Where effects go.
    """

    __slots__ = ("_of", "_outbox")

    def __init__(self, outbox: Outbox) -> None:
        self._of: dict[int, tuple[str, ...]] = {}
        self._outbox = outbox

    def __contains__(self, number: int) -> bool:
        return number in self._of

    def charge(self, engine: Engine, number: int) -> None:
        """Charge a task with the death of an engine."""
        cause = (engine.cause or "it was unregistered").partition("\n")[0][:LONGEST]
        told = self._of[number] = (*self._of.get(number, ()), f"engine {engine.id}: {cause}")
        self._outbox.add(Commit((Keep(f"{DEATHS}{number}", told),)))

    def before(self, number: int) -> str:
        """Tell of all deaths of a task but the last; empty if there was one only."""
        earlier = self._of.get(number, ())[:-1]
        return "".join(f"\nbefore that, {told}" for told in earlier)

    def take_back(self, kept: Mapping[str, Any]) -> None:
        """Take back what the hub before this one has stored."""
        found = ((name, told) for name, told in kept.items() if name.startswith(DEATHS))
        self._of.update({int(name.removeprefix(DEATHS)): told for name, told in found})

    def count(self, number: int) -> int:
        """Return how many deaths a task is charged with."""
        return len(self._of.get(number, ()))

    def numbers(self) -> list[int]:
        """Return the tasks that are charged with any."""
        return list(self._of)

    def forget(self, number: int) -> None:
        """Forget a task: it has ended."""
        if self._of.pop(number, None) is not None:
            self._outbox.add(Commit((Drop(f"{DEATHS}{number}"),)))

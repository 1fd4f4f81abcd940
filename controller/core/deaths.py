"""The engines that died while they ran a task: what is told when it is given up. No I/O.

They are stored, so that a task which kills its engines is stopped after as many of them when the hub
is restarted in between. The death of each process counts once, however often, and to however many
hubs, its nanny tells of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ctrlhub.controller.core.effects import Commit, Drop, Keep, Outbox
from ctrlhub.controller.core.engines import Engine
from ctrlhub.controller.core.tasks import Task

DEATHS = "deaths/"
"""Deaths are kept under this and the task's id."""

LONGEST = 300
"""So many characters are kept of a cause."""

MOST_EARLY = 4096
"""So many deaths are remembered of which tasks are to blame that nobody knows yet."""


@dataclass(frozen=True, slots=True)
class Death:
    """The end of a process of an engine.

    Attributes
    ----------
    incarnation
        Which process it was.
    engine
        The engine's id; -1 if that is unknown.
    cause
        How it ended, in words, its last ones included.
    """

    incarnation: bytes
    engine: int
    cause: str

    @staticmethod
    def of(engine: Engine, task: int) -> Death:
        """Return the death of an engine, as a task may know of it."""
        cause = engine.end_of(task) or "it was unregistered"
        return Death(engine.session.incarnation, engine.id, cause)

    def briefly(self) -> str:
        """Tell of it in a line."""
        name = f"engine {self.engine}" if self.engine >= 0 else "an engine"
        return f"{name}: {self.cause.partition(chr(10))[0][:LONGEST]}"


class Deaths:
    """The deaths that tasks are charged with, by the task's id.

    Parameters
    ----------
    outbox
        Where effects go.
    """

    __slots__ = ("_early", "_of", "_outbox")

    def __init__(self, outbox: Outbox) -> None:
        self._of: dict[int, tuple[tuple[bytes, str], ...]] = {}
        self._early: dict[int, list[Death]] = {}
        self._outbox = outbox

    def __contains__(self, number: int) -> bool:
        return number in self._of

    def charge(self, task: Task, death: Death) -> None:
        """Charge a task with a death, or with the loss of an engine that may come back."""
        told = (*self._of.get(task.id, ()), (death.incarnation, death.briefly()))
        self._of[task.id] = told
        task.losses = len(told)
        self._outbox.add(Commit((Keep(f"{DEATHS}{task.id}", told),)))

    def charge_once(self, task: Task, death: Death) -> bool:
        """Charge a task with what a nanny tells; False if it was charged with that process before."""
        if any(incarnation == death.incarnation for incarnation, _ in self._of.get(task.id, ())):
            return False
        self.charge(task, death)
        return True

    def story(self, number: int, death: Death) -> str:
        """Say why a task was given up: of each of its engines how it died, of the last one in full."""
        told = self._of[number]
        name = f"engine {death.engine}" if death.engine >= 0 else "an engine"
        earlier = "".join(f"\nbefore that, {line}" for _, line in told[:-1])
        return (
            f"{name} was lost while it ran this task, the {_ordinal(len(told))} to be: "
            f"{death.cause}{earlier}"
        )

    # ------------------------------------------------------------ of tasks that are to come

    @property
    def some_are_early(self) -> bool:
        """Whether tasks may come that are to be charged."""
        return bool(self._early)

    def expect(self, number: int, death: Death) -> None:
        """Remember a death for a task that its client may still have to give."""
        if len(self._early) < MOST_EARLY or number in self._early:
            self._early.setdefault(number, []).append(death)

    def take_early(self, task: Task) -> Death | None:
        """Charge a task that has come with what is remembered; return the last death of that."""
        deaths = [death for death in self._early.pop(task.id, ()) if self.charge_once(task, death)]
        return deaths[-1] if deaths else None

    # ------------------------------------------------------------ across hubs

    def take_back(self, kept: Mapping[str, Any]) -> None:
        """Take back what the hub before this one has stored."""
        for name, told in kept.items():
            if name.startswith(DEATHS):
                number = int(name.removeprefix(DEATHS))
                self._of[number] = tuple((bytes(which), line) for which, line in told)

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


def _ordinal(n: int) -> str:
    if n % 100 in (11, 12, 13):
        return f"{n}th"
    return f"{n}{({1: 'st', 2: 'nd', 3: 'rd'}).get(n % 10, 'th')}"

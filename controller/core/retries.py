"""Retries: whether a task that raised is run again. No I/O.

How often one has raised is stored, so that it is not run more often where the hub is restarted.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ctrlhub.controller.core.effects import Commit, Drop, Keep, Outbox
from ctrlhub.controller.core.tasks import Task
from ctrlhub.wire.failure import failure_of
from ctrlhub.wire.messages import Payload

RAISED = "raised/"
"""How often a task has raised is kept under this and its id."""


def is_run_again(task: Task, failure: Payload) -> bool:
    """Tell whether a task that ended with a failure is run again.

    One that was interrupted is not: whoever did that wanted it to end.
    """
    if task.failures >= task.template.retries or task.stopping:
        return False
    return failure_of(failure).ename != KeyboardInterrupt.__name__


class Raised:
    """How often tasks have raised that are run again, by id.

    Parameters
    ----------
    outbox
        Where effects go.
    """

    __slots__ = ("_of", "_outbox")

    def __init__(self, outbox: Outbox) -> None:
        self._of: dict[int, int] = {}
        self._outbox = outbox

    def charge(self, task: Task) -> None:
        """Take note that a task has raised."""
        task.failures = self._of[task.id] = task.failures + 1
        self._outbox.add(Commit((Keep(f"{RAISED}{task.id}", task.failures),)))

    def take_back(self, kept: Mapping[str, Any]) -> None:
        """Take back what the hub before this one has stored."""
        found = ((name, times) for name, times in kept.items() if name.startswith(RAISED))
        self._of.update({int(name.removeprefix(RAISED)): times for name, times in found})

    def count(self, number: int) -> int:
        """Return how often a task has raised."""
        return self._of.get(number, 0)

    def numbers(self) -> list[int]:
        """Return the tasks that have raised."""
        return list(self._of)

    def forget(self, number: int) -> None:
        """Forget a task: it has ended."""
        if self._of.pop(number, None) is not None:
            self._outbox.add(Commit((Drop(f"{RAISED}{number}"),)))

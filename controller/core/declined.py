"""Tasks that some engines have declined: their dependencies were not met there.

They wait apart from the others, by the set of the engines that declined, so that an engine finds
what it may still try without a look at each task. Sets are of engines, not of ids: another process
with the same id may well meet what the former did not.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Collection

from ctrlhub.controller.core.engines import Engine
from ctrlhub.controller.core.tasks import Task, TaskState
from ctrlhub.wire.errors import ImpossibleDependency
from ctrlhub.wire.failure import failure_of
from ctrlhub.wire.messages import Payload


def impossible(failure: Payload = b"") -> ImpossibleDependency:
    """Make the error of a task that every engine has declined.

    Parameters
    ----------
    failure
        What the last of them said, packed; empty if that is not known.
    """
    error = "no engine meets what this task depends on"
    if failure:
        last = failure_of(failure)
        error += f"; the last one said: {last.ename}: {last.evalue}"
    return ImpossibleDependency(error)


class DeclinedTasks:
    """Queued tasks that some engines have declined, first come first."""

    __slots__ = ("_count", "_groups")

    def __init__(self) -> None:
        self._groups: dict[frozenset[Engine], OrderedDict[Task, None]] = {}
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def add(self, task: Task, *, first: bool = False) -> None:
        """Queue a task for engines that have not declined it; `first`: before all others."""
        group = self._groups.setdefault(task.declined, OrderedDict())
        group[task] = None
        self._count += 1
        if first:
            group.move_to_end(task, last=False)

    def discard(self, task: Task) -> None:
        """Take out a task."""
        group = self._groups.get(task.declined)
        if group is None or task not in group:
            return
        del group[task]
        self._count -= 1
        if not group:
            del self._groups[task.declined]

    def first_for(self, engine: Engine) -> Task | None:
        """Return the first task that an engine has not declined."""
        for declined, group in self._groups.items():
            if engine not in declined:
                return next(iter(group))
        return None

    def hopeless(self, engines: Collection[Engine]) -> list[Task]:
        """Take out the tasks that all of these engines have declined."""
        found: list[Task] = []
        for declined in [d for d in self._groups if engines and d.issuperset(engines)]:
            group = self._groups.pop(declined)
            self._count -= len(group)
            found += group
        return found

    def check(self) -> None:
        """Assert that groups and count agree, and that all of it is queued."""
        assert self._count == sum(len(group) for group in self._groups.values())
        for declined, group in self._groups.items():
            assert group
            assert declined
            for task in group:
                assert task.state is TaskState.QUEUED
                assert task.declined == declined

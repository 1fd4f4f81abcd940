"""The part of `TaskQueue` that tells what is on record."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import replace

from ctrlhub.controller.core.effects import Commit, SaveRequests
from ctrlhub.controller.core.functions import Function
from ctrlhub.controller.core.sessions import Session
from ctrlhub.controller.core.tasks import Task
from ctrlhub.controller.interfaces.recorded import Particulars
from ctrlhub.controller.interfaces.task_reclaims import TaskReclaims


class TaskRecords(TaskReclaims):
    """Tells of tasks, and does them again."""

    def particulars(self, request: Task) -> Particulars:
        """Return what a record says of a task."""
        template, engine = request.template, request.engine
        number = engine.id if engine is not None else -1
        return Particulars(
            "apply", template.label, template.submitted, number, self.is_running(request)
        )

    def resubmit(self, caller: Session, request: Task, number: int) -> None:
        """Queue a task again."""
        self._count_new(caller)
        self.submitted += 1
        template = replace(request.template, submitted=self.context.now())
        again = self._records[number] = Task(number, caller, template, request.payload)
        self._place([again])
        self.outbox.add(Commit((SaveRequests([(number, again)]),), ()))

    def _functions_of(self, requests: Iterable[Task]) -> set[Function]:
        return {template.function for template in {request.template for request in requests}}

    def numbers_on(self, engine: int) -> list[int]:
        """Return the ids of the tasks that an engine has."""
        return [task.id for task in self._scheduler.tasks_of(engine)]

    def running_on(self, engine: int) -> tuple[int, str, float] | None:
        """Return the first of the tasks that an engine has: its id, label, and since when it is that."""
        return self._scheduler.first_of(engine)

    def depths(self, most: int) -> tuple[Counter[tuple[Session, int]], float | None, int]:
        """Return what waits for an engine by client and priority, since when, and how much it is in all.

        Of the former two no more than `most` lines are looked at.
        """
        return (*self._scheduler.depths(most), self._scheduler.queued)

    @property
    def waiting(self) -> int:
        """How many tasks wait for something else than an engine."""
        return self.unassigned - self._scheduler.queued

    def numbers_waiting(self, most: int) -> list[int]:
        """Return the ids of the first tasks that wait for an engine."""
        return [task.id for task in self._scheduler.waiting(most)]

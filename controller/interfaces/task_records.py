"""The part of `TaskQueue` that tells what is on record."""

from __future__ import annotations

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
        template = replace(request.template, submitted=self.context.now())
        again = self._records[number] = Task(number, caller, template, request.payload)
        self._place([again])
        self.outbox.add(Commit((SaveRequests([(number, again)]),), ()))

    def _functions_of(self, requests: Iterable[Task]) -> set[Function]:
        return {template.function for template in {request.template for request in requests}}

    def numbers_on(self, engine: int) -> list[int]:
        """Return the ids of the tasks that an engine has."""
        return [task.id for task in self._scheduler.tasks_of(engine)]

    def numbers_waiting(self, most: int) -> list[int]:
        """Return the ids of the first tasks that wait for an engine."""
        return [task.id for task in self._scheduler.waiting(most)]

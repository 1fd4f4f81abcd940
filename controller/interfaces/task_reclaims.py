"""The part of `TaskQueue` that takes work back from busy engines for idle ones."""

from __future__ import annotations

from ctrlhub.controller.core.engines import Engine
from ctrlhub.controller.core.reclaims import Reclaims
from ctrlhub.controller.core.sessions import Session
from ctrlhub.controller.core.tasks import Task
from ctrlhub.controller.interfaces.base import Context
from ctrlhub.controller.interfaces.task_explain import TaskExplanations
from ctrlhub.controller.service import IControllerBase
from ctrlhub.wire.ids import select
from ctrlhub.wire.messages import GaveBack, GiveBack, Stream


class TaskReclaims(TaskExplanations):
    """Takes back what has not begun.

    Parameters
    ----------
    controller, context
        As for `Interface`.
    """

    def __init__(self, controller: IControllerBase, context: Context) -> None:
        super().__init__(controller, context)
        self._reclaims = Reclaims(self._scheduler)

    def _reclaim(self, now: float) -> None:
        for slot, most in self._reclaims.look(now):
            if not slot.engine.session.send(self.outbox, Stream.TASK, GiveBack(most)):
                slot.asked, slot.closed = 0, False
        if self._reclaims.due is not None:
            self.context.alarm.at(self._reclaims.due)

    def gave_back(self, session: Session, message: GaveBack, stream: Stream, now: float) -> None:
        """Queue again what an engine will not run; nobody is charged for that."""
        engine = session.engine
        slot = self._scheduler.slot_of(engine) if engine is not None else None
        if engine is None or slot is None:
            return
        tasks = [slot.tasks[number] for number in select(message.requests, slot.tasks)]
        since, asked, slot.asked = slot.since, slot.asked, 0
        self._scheduler.left(engine, tasks, now)
        slot.since = since
        slot.closed = bool(slot.tasks)
        slot.spent = len(tasks) < asked
        again: list[Task] = []
        for task in tasks:
            if task.stopping:
                self._end_stopped(task, engine.id)
            else:
                self._requeue(task)
                again.append(task)
        self._scheduler.add_first(again)

    def _forget_question(self, engine: Engine | None) -> None:
        """Expect no answer of an engine any more: its connection was lost, or it is gone."""
        slot = self._scheduler.slot_of(engine) if engine is not None else None
        if slot is not None:
            slot.asked, slot.closed, slot.spent = 0, False, False

    def next_deadline(self) -> float | None:
        """Say when `tick` is due."""
        times = (super().next_deadline(), self._reclaims.due)
        return min((due for due in times if due is not None), default=None)

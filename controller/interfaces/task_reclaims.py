"""The part of `TaskQueue` that takes work back: for idle engines, or since it has waited too long."""

from __future__ import annotations

from ctrlhub.controller.core.engines import Engine
from ctrlhub.controller.core.reclaims import Reclaims
from ctrlhub.controller.core.sessions import Session
from ctrlhub.controller.core.slots import Slot
from ctrlhub.controller.core.tasks import Task, TaskState
from ctrlhub.controller.interfaces.base import Context
from ctrlhub.controller.interfaces.task_explain import TaskExplanations
from ctrlhub.controller.service import IControllerBase
from ctrlhub.wire.errors import TaskTimeout
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
        self._expired: dict[Task, TaskTimeout] = {}
        self._doubted: set[Task] = set()

    def _reclaim(self, now: float) -> None:
        for slot, most in self._reclaims.look(now):
            self._ask(slot, most)
        if self._reclaims.due is not None:
            self.context.alarm.at(self._reclaims.due)

    def _ask(self, slot: Slot, most: int) -> None:
        slot.asked, slot.closed = most, True
        if not slot.engine.session.send(self.outbox, Stream.TASK, GiveBack(most)):
            slot.asked, slot.closed = 0, False

    def _time_out_ahead(self, task: Task, error: TaskTimeout) -> None:
        """End a task that an engine has, once that has said that it has not begun it."""
        slot = self._scheduler.slot_of(task.engine) if task.engine is not None else None
        if slot is None or slot.spent or task.stopping or self.is_running(task):
            return
        self._expired[task] = error
        self._ask_for_all(slot)

    def _ask_whether_begun(self, task: Task) -> None:
        """Ask an engine to give back a task, which it does unless that runs."""
        slot = self._scheduler.slot_of(task.engine) if task.engine is not None else None
        if slot is not None:
            self._doubted.add(task)
            self._ask_for_all(slot)

    def _ask_for_all(self, slot: Slot) -> None:
        """Ask for all that may not have begun."""
        if not slot.asked:
            self._ask(slot, len(slot.tasks) - (not slot.engine.commands))

    def gave_back(self, session: Session, message: GaveBack, stream: Stream, now: float) -> None:
        """Queue again what an engine will not run, if it may wait still; nobody is charged for that."""
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
                continue
            error = self._expired.get(task)
            self._requeue(task)
            if error is not None:
                self._fail(task, error)
            else:
                again.append(task)
        self._scheduler.add_first(again)
        if self._expired or self._doubted:
            self._look_at_kept(slot)

    def _look_at_kept(self, slot: Slot) -> None:
        """Ask for what was not asked for yet; what an engine keeps nevertheless runs, or has run."""
        wanted = self._expired.keys() | self._doubted
        kept = [task for task in slot.tasks.values() if task in wanted]
        may_have_more = len(slot.tasks) > 1 or slot.engine.commands
        if kept and may_have_more and not slot.spent:
            self._ask_for_all(slot)
            return
        for task in kept:
            self._expired.pop(task, None)
            if task in self._doubted:
                self._doubted.discard(task)
                self._note_begun(task)

    def _forget_question(self, engine: Engine | None) -> None:
        """Expect no answer of an engine any more: its connection was lost, or it is gone."""
        slot = self._scheduler.slot_of(engine) if engine is not None else None
        if slot is not None:
            slot.asked, slot.closed, slot.spent = 0, False, False
            for task in self._expired.keys() & slot.tasks.values() if self._expired else ():
                del self._expired[task]
                self._timeouts.set(task, self.context.now())  # to be looked at anew
            self._doubted.difference_update(slot.tasks.values())

    def _requeue(self, task: Task) -> None:
        super()._requeue(task)
        if self._expired:
            self._expired.pop(task, None)
        if self._doubted:
            self._doubted.discard(task)

    def _untrack(self, task: Task) -> None:
        super()._untrack(task)
        self._expired.pop(task, None)
        self._doubted.discard(task)

    def next_deadline(self) -> float | None:
        """Say when `tick` is due."""
        times = (super().next_deadline(), self._reclaims.due)
        return min((due for due in times if due is not None), default=None)

    def check(self) -> None:
        """Assert that what is to be taken back is with engines."""
        super().check()
        assert all(task.state is TaskState.DISPATCHED for task in self._expired)
        assert all(task.state is TaskState.DISPATCHED for task in self._doubted)
        assert self._expired.keys() | self._doubted <= self._tracked

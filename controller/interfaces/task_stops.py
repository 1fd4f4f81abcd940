"""The part of `TaskQueue` that stops tasks: by their client's wish, or because they run for too long.

A task that runs is interrupted. Where its options say so, its engine is restarted if it goes on for
longer than its `grace`: that also ends what does not listen.

A time limit counts from when a task is the first of those that its engine has: what it takes to get
there counts, too, which is little. An engine that has a command may run that before the task, or have
it wait behind the task. So it is looked soon: where there is no command then, the task has begun. Where
there is one, the engine is asked to give the task back, and keeps it only if it runs.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable, Sequence
from typing import Any

from ctrlhub.controller.core.deadlines import Deadlines
from ctrlhub.controller.core.engines import Engine
from ctrlhub.controller.core.sessions import Session
from ctrlhub.controller.core.slots import Slot
from ctrlhub.controller.core.tasks import Task, TaskState
from ctrlhub.controller.interfaces.arguments import checked_grace, checked_ranges
from ctrlhub.controller.interfaces.base import Context, exposed
from ctrlhub.controller.interfaces.nanny_orders import has_nanny, may_have_nanny
from ctrlhub.controller.interfaces.task_waits import TaskWaits
from ctrlhub.controller.service import IControllerBase
from ctrlhub.wire.errors import TimeLimitExceeded
from ctrlhub.wire.ids import Ranges, select, text_of, to_ranges
from ctrlhub.wire.messages import Interrupt, Restart, Role, Status, Stream

log = logging.getLogger(__name__)

SOON = 0.25
"""So soon (seconds) it is looked again for a nanny that is away for a moment."""

SURE = 0.5
"""After so long (seconds) a task that is the first of an engine without commands has begun."""

PAUSE = 0.25
"""For so long (seconds) an engine with commands is not asked whether a task has begun."""

AGAIN = 5.0
"""After so long (seconds) an engine is asked again, if its answer was lost."""


class TaskStops(TaskWaits):
    """Stops tasks.

    Parameters
    ----------
    controller, context
        As for `Interface`.
    """

    def __init__(self, controller: IControllerBase, context: Context) -> None:
        super().__init__(controller, context)
        self._limited: set[Task] = set()
        self._since: dict[Task, float] = {}
        self._begun: set[Task] = set()
        self._limits: Deadlines[Task] = Deadlines(context.alarm.at)
        self._graces: Deadlines[Task] = Deadlines(context.alarm.at)
        self._granted: dict[Task, float] = {}
        self._overdue: dict[Task, TimeLimitExceeded] = {}

    # ------------------------------------------------------------ because their client wants it

    @exposed(Role.SUBMIT)
    def cancel(
        self, caller: Session, requests: Sequence[Sequence[int]], grace: float | None = None
    ) -> dict[str, Any]:
        """Stop one's own tasks: queued ones at once, running ones by interrupt.

        What an engine has in stock is interrupted, too, but is not among those that run: it ends there
        without having begun, unless it begins at this moment.

        Those that go on for longer than `grace` seconds, or than they were submitted with if that is
        None, have their engine restarted.
        """
        seconds = checked_grace(grace)
        ranges = checked_ranges(requests)
        self._early.expect(ranges, caller.number, self._records)
        tasks = self._own(caller, ranges)
        running = to_ranges(sorted(task.id for task in tasks if self.is_running(task)))
        return {**self._stop(tasks, seconds), "running": running}

    @exposed(Role.SUBMIT)
    def withdraw(self, caller: Session, requests: Sequence[Sequence[int]]) -> dict[str, Any]:
        """Stop those of one's own tasks that do not run yet; what runs goes on, and may begin on its way."""
        tasks = self._own(caller, checked_ranges(requests))
        running = {task for task in tasks if self._is_first(task)}
        answer = self._stop(task for task in tasks if task not in running)
        return {**answer, "running": to_ranges(sorted(task.id for task in running))}

    def stop_anyones(self, numbers: Collection[int], grace: float | None) -> dict[str, Any]:
        """Stop tasks, whoever's they are, as `cancel` does; also those of a client that is gone."""
        return self._stop([self._records[n] for n in numbers if n in self._records], grace)

    def _own(self, caller: Session, requests: Ranges) -> list[Task]:
        """Return those of a client's tasks that are here."""
        ids = select(requests, self._records)
        return [self._records[n] for n in ids if self._records[n].session is caller]

    def _is_first(self, task: Task) -> bool:
        """Tell whether a task is the one that its engine runs, or will run next."""
        slot = self._scheduler.slot_of(task.engine) if task.engine is not None else None
        return slot is not None and _runs(slot, task)

    def is_running(self, task: Task) -> bool:
        """Tell whether a task runs, and does not wait on an engine for what is before it."""
        engine = task.engine
        return engine is not None and not engine.commands and self._is_first(task)

    def _stop(self, tasks: Iterable[Task], grace: float | None = None) -> dict[str, Any]:
        cancelled: list[int] = []
        finished: list[int] = []
        running: dict[Engine, list[Task]] = {}
        for task in tasks:
            if task.state is TaskState.ENDED:
                finished.append(task.id)
            elif task.engine is not None:
                running.setdefault(task.engine, []).append(task)
            else:
                cancelled.append(task.id)
                if task.state is TaskState.QUEUED:
                    self._scheduler.cancelled(task)
                self._end_here(task, Status.CANCELLED, b"")
        for engine, those in running.items():
            self._interrupt_tasks(engine, those, grace)
        interrupted = [task.id for those in running.values() for task in those]
        return {
            "cancelled": to_ranges(sorted(cancelled)),
            "interrupted": to_ranges(sorted(interrupted)),
            "finished": to_ranges(sorted(finished)),
        }

    def _interrupt_tasks(
        self, engine: Engine, tasks: Iterable[Task], wished: float | None = None
    ) -> None:
        for task in tasks:
            task.stopping = True
            grace = task.template.options.grace if wished is None else wished
            # A wish that is repeated, since its answer was lost, gives no more time.
            if grace is not None and (task not in self._graces or self._granted[task] != grace):
                self._granted[task] = grace
                self._tracked.add(task)
                self._graces.set(task, self.context.now() + grace)
        self._interrupt(engine, [task.id for task in tasks])

    def _interrupt(self, engine: Engine, ids: Iterable[int]) -> None:
        requests = to_ranges(sorted(ids))
        if requests:
            engine.session.send(self.outbox, Stream.HUB, Interrupt(requests))

    # ------------------------------------------------------------ because they run for too long

    def _limit(self, task: Task) -> None:
        """Take note of a task that has a time limit."""
        self._limited.add(task)
        self._tracked.add(task)

    def _look_at_first(self, engine: Engine) -> None:
        """Begin to count the time of the task that an engine runs."""
        slot = self._scheduler.slot_of(engine)
        task = next(iter(slot.tasks.values()), None) if slot is not None else None
        if task is not None and task in self._limited and task not in self._limits:
            self._begin_limit(task)

    def _look_at_first_alone(self, engine: Engine) -> None:
        """Count the time of the task that an engine runs, and of no other that was taken for it."""
        for task in self._scheduler.tasks_of(engine.id)[1:]:
            self._limits.discard(task)
            self._since.pop(task, None)
            self._begun.discard(task)
        self._look_at_first(engine)

    def _begin_limit(self, task: Task) -> None:
        limit = task.template.options.time_limit
        if limit is not None and not task.stopping:
            now = self.context.now()
            self._since[task] = now
            self._limits.set(task, now + min(limit, SURE))

    def _requeue(self, task: Task) -> None:
        """Take a task back from an engine: another run has all the time that its limit says."""
        task.requeue()
        if self._since:
            self._since.pop(task, None)
            self._limits.discard(task)
        if self._begun:
            self._begun.discard(task)

    def _stop_overdue(self, now: float) -> None:
        for task in self._limits.take_due(now):
            engine, limit, since = task.engine, task.template.options.time_limit, self._since[task]
            if engine is None or limit is None:
                continue
            if not self._has_begun(task, engine):
                again = now + AGAIN if now >= since + PAUSE else since + PAUSE
                self._limits.set(task, again)
                if now >= since + PAUSE:
                    self._ask_whether_begun(task)
                continue
            self._begun.add(task)
            if now < since + limit:
                self._limits.set(task, since + limit)
                continue
            self._overdue[task] = _overrun(task, engine)
            self._interrupt_tasks(engine, [task])

    def _has_begun(self, task: Task, engine: Engine) -> bool:
        """Tell whether a task is known to run, as the first that its engine has."""
        slot = self._scheduler.slot_of(engine)
        if slot is None or not _runs(slot, task):
            return False
        return not engine.commands or slot.spent or task in self._begun

    def _ask_whether_begun(self, task: Task) -> None:
        """Have an engine say whether it has begun a task; then the time is looked at again."""
        raise NotImplementedError

    def _note_begun(self, task: Task) -> None:
        """Take note that a task runs; since when, nobody knows."""
        now, limit = self.context.now(), task.template.options.time_limit
        self._begun.add(task)
        if limit is not None and task in self._limits:
            self._since[task] = now
            self._limits.set(task, now + limit)
        if task in self._graces:
            self._graces.set(task, now)

    def _limit_exceeded(
        self, task: Task, engine: Engine, status: int, elapsed: float
    ) -> TimeLimitExceeded | None:
        """Return the error of a task that was interrupted for its limit, perhaps by a former hub.

        That is how it ends even if it has caught the interrupt and gone on; but what it has done in
        time counts, though the interrupt was on its way.
        """
        limit = task.template.options.time_limit
        if limit is None:
            return None
        if status == Status.CANCELLED and not task.stopping and elapsed >= limit / 2:
            return _overrun(task, engine)  # nobody here has asked for it
        if status == Status.CANCELLED or elapsed >= limit:
            return self._overdue.get(task)
        return None

    # ------------------------------------------------------------ because they do not listen

    def _kill_deaf(self, now: float) -> None:
        for task in self._graces.take_due(now):
            engine = task.engine
            slot = self._scheduler.slot_of(engine) if engine is not None else None
            if engine is None or slot is None:
                continue
            if not self._has_begun(task, engine):
                # What runs instead is not to be killed for it.
                self._graces.set(task, now + max(0.1, self._granted[task]))
                if _runs(slot, task):
                    self._ask_whether_begun(task)
            else:
                self._kill(engine, task)

    def _kill(self, engine: Engine, task: Task) -> None:
        why = f"task {text_of(task.id)} went on for {self._granted[task]:g} s after it was interrupted"
        nanny = engine.session.nanny
        if nanny is None or not has_nanny(engine):
            if may_have_nanny(engine):
                self._graces.set(task, self.context.now() + SOON)
            else:
                log.warning("%s, and engine %d has no nanny that could restart it", why, engine.id)
            return
        log.warning("%s: engine %d is restarted", why, engine.id)
        engine.restart = why
        if task in self._overdue:
            limit = task.template.options.time_limit
            self._overdue[task] = TimeLimitExceeded(
                f"it has run for longer than its time_limit of {limit:g} s on engine {engine.id}, went "
                f"on for {self._granted[task]:g} s after it was interrupted, and was killed with its "
                "engine, which is restarted"
            )
        restart = Restart(engine.key, engine.session.incarnation, why, at_once=True)
        nanny.send(self.outbox, Stream.HUB, restart)

    def _untrack(self, task: Task) -> None:
        super()._untrack(task)
        self._limited.discard(task)
        self._limits.discard(task)
        self._since.pop(task, None)
        self._begun.discard(task)
        self._graces.discard(task)
        self._granted.pop(task, None)
        self._overdue.pop(task, None)

    def _end_stopped(self, task: Task, engine: int) -> None:
        """End a task that was to stop, with the reason."""
        error = self._overdue.get(task)
        if error is None:
            self._end_here(task, Status.CANCELLED, b"")
        else:
            self._fail(task, error, engine)

    # ------------------------------------------------------------ time

    def tick(self, now: float) -> None:
        """Do what is due."""
        super().tick(now)
        if self._limits:
            self._stop_overdue(now)
        if self._graces:
            self._kill_deaf(now)

    def next_deadline(self) -> float | None:
        """Say when `tick` is due."""
        times = (super().next_deadline(), self._limits.next, self._graces.next)
        return min((due for due in times if due is not None), default=None)

    def check(self) -> None:
        """Assert that what is watched has not ended."""
        super().check()
        assert self._since.keys() <= self._limited <= self._tracked
        assert set(self._limits) <= self._since.keys()
        assert self._begun <= self._tracked
        assert set(self._graces) <= self._granted.keys() <= self._tracked
        assert self._overdue.keys() <= self._limited


def _overrun(task: Task, engine: Engine) -> TimeLimitExceeded:
    limit = task.template.options.time_limit
    return TimeLimitExceeded(
        f"it has run for longer than its time_limit of {limit:g} s on engine {engine.id}, and was "
        "interrupted"
    )


def _runs(slot: Slot, task: Task) -> bool:
    return next(iter(slot.tasks.values()), None) is task

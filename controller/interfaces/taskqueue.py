"""TaskQueue: load-balanced tasks.

Clients submit batches; the scheduler places each task on an engine with room; results go back in
batches. A task survives the engine it runs on: after a loss the one that was running there is run
again, at most `engine_retries` times, and those that had not begun go back to the queue uncharged.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

from ctrlhub.controller.core.deaths import Death
from ctrlhub.controller.core.deliveries import Outcome
from ctrlhub.controller.core.effects import Commit, SaveResults
from ctrlhub.controller.core.engines import Engine
from ctrlhub.controller.core.losses import Fate, fates
from ctrlhub.controller.core.retries import is_run_again
from ctrlhub.controller.core.sessions import Session
from ctrlhub.controller.core.tasks import Task, TaskState, Template
from ctrlhub.controller.interfaces.base import Context
from ctrlhub.controller.interfaces.batches import Times, run_messages
from ctrlhub.controller.interfaces.live import Relay
from ctrlhub.controller.interfaces.task_returns import is_adopted
from ctrlhub.controller.interfaces.task_submissions import TaskSubmissions
from ctrlhub.controller.service import IControllerBase
from ctrlhub.wire.codec import resolve
from ctrlhub.wire.failure import Failure, pack_failure
from ctrlhub.wire.ids import Ranges, select
from ctrlhub.wire.messages import (
    Functions,
    GaveBack,
    NeedFunctions,
    Payload,
    Received,
    ResultRow,
    Results,
    Status,
    Stream,
    SubmitTasks,
)

# As plain numbers: rows have those, and comparing with an enumeration's member costs ten times as much.
_ERROR, _CANCELLED, _UNMET = int(Status.ERROR), int(Status.CANCELLED), int(Status.UNMET)


class TaskQueue(TaskSubmissions, Relay):
    """The interface for load-balanced tasks."""

    name = "tasks"
    streams = frozenset({Stream.TASK})
    handlers = {  # noqa: RUF012 - a constant; the base class types it
        SubmitTasks: "submit",
        Results: "results",
        Received: "received",
        GaveBack: "gave_back",
        NeedFunctions: "need_functions",
        Functions: "functions",
        **Relay.relayed,
    }

    def __init__(self, controller: IControllerBase, context: Context) -> None:
        super().__init__(controller, context)
        self._again: list[Task] = []
        self.follow_engines(self._engine_came, self._engine_went)

    # ------------------------------------------------------------ from engines

    def results(self, session: Session, message: Results, stream: Stream, now: float) -> None:
        """Take results; each is acknowledged once stored, also one that comes too late."""
        engine = session.engine
        saved: list[tuple[int, Any]] = []
        taken: dict[Template, list[float]] = {}
        left: list[Task] = []
        left_out: list[tuple[list[float], float]] = []
        known, frames = self._tasks.get, message.frames
        template, times = None, []
        strange: list[int] = []
        for row in message.rows:
            task = known(row[0])
            if task is None or not engine or task.engine is not engine or (
                task.attempt != row[1] and not is_adopted(task, row[1])
            ):  # fmt: skip
                self.duplicates += 1
                if task is None:
                    strange.append(row[0])
                continue
            left.append(task)
            if task.template is not template:  # most batches are of one
                template = task.template
                times = taken.setdefault(template, [])
            times.append(row[5])
            if row[2] == _UNMET and not task.stopping:
                self._declined(task, engine, resolve(row[3], frames))
                left_out.append((times, row[5]))
                continue
            outcome = self._take(task, engine, row, frames)
            if outcome is not None:
                saved.append((task.id, outcome))
            elif task.state is not TaskState.ENDED:
                left_out.append((times, row[5]))
        self._measure(taken, left_out, saved, now)
        if engine is not None and left:
            engine.completed += len(left)
            self._scheduler.left(engine, left, now)
            if self._limited:
                self._look_at_first(engine)
        if self._again:
            self._scheduler.add_each(self._again)
            self._again = []
        then = self.acknowledgement(session, stream, message, strange)
        self.outbox.add(Commit((SaveResults(saved),), then))

    def _take(
        self, task: Task, engine: Engine, row: ResultRow, frames: Sequence[Any]
    ) -> Outcome | None:
        number, _, status, ref, started, elapsed, extras = row
        payload = ref if type(ref) is bytes else resolve(ref, frames)
        if status == _CANCELLED and self._unasked and self._was_unasked(engine, task):
            self._requeue(task)
            self._again.append(task)
            return None
        if (self._overdue or status == _CANCELLED) and (
            error := self._limit_exceeded(task, engine, status, elapsed)
        ):
            status, payload = _ERROR, pack_failure(Failure.from_error(error))
        elif status == _ERROR and is_run_again(task, payload):
            self._raised.charge(task)
            self.retried += 1
            self._tracked.add(task)
            self._requeue(task)
            self._again.append(task)
            return None
        if status == _UNMET:  # and nobody wants it any more
            status, payload = _CANCELLED, b""
        outcome = (number, status, payload, engine.id, started, elapsed, extras)
        return outcome if self._end(task, outcome) else None

    def _declined(self, task: Task, engine: Engine, failure: Payload) -> None:
        """Have another engine try, and remember why this one would not."""
        self._requeue(task)
        task.needs = task.needs.without(engine)
        self._reasons[task] = failure
        self._tracked.add(task)
        self._again.append(task)

    def client_of(self, engine: Engine, request: int) -> Session | None:
        """Return the client of a task, if an engine has it."""
        task = self._tasks.get(request)
        return task.session if task is not None and task.engine is engine else None

    def running_of(self, session: Session) -> Iterator[tuple[Engine, int]]:
        """Return the engines that run a task of a client, as far as that is known, and which."""
        for number in self.engines:
            task = next(iter(self._scheduler.tasks_of(number)), None)
            if task is not None and task.session is session and task.engine is not None:
                yield task.engine, task.id

    def need_functions(
        self, session: Session, message: NeedFunctions, stream: Stream, now: float
    ) -> None:
        """Send an engine the functions it has forgotten."""
        session.send(self.outbox, stream, self._functions.wanted(message.digests))

    def bound(self, session: Session, stream: Stream, held: Ranges, now: float) -> None:
        """Send again what a lost connection may have swallowed."""
        if stream is Stream.IOPUB:
            self.client_connected(session)
        if stream is not Stream.TASK:
            return
        self._deliveries.send_again(session)
        if session in self._lacking:
            self._retry(session, now)
        if session.engine is not None:
            self._take_claimed(session.engine, held)
            self._bind_engine(session.engine, held, now)

    def _bind_engine(self, engine: Engine, held: Ranges, now: float) -> None:
        """Give an engine what it lacks, and tell it what to stop.

        It says which tasks it has, but not which attempts: those after the first are always given
        again, and it ignores those it has.
        """
        self._forget_question(engine)
        given = self._scheduler.tasks_of(engine.id)
        present = set(select(held, {task.id: task for task in given}))
        stopped = [task for task in given if task.stopping and task.id not in present]
        self._scheduler.left(engine, stopped, now)
        for task in stopped:
            self._end_stopped(task, engine.id)
        lacking = [t for t in given if not t.stopping and (t.attempt > 0 or t.id not in present)]
        if lacking:
            for task in lacking:
                task.attempt = max(0, task.attempt)
            self._functions.forget_engine(engine.id)
            self._run(engine, lacking)
        self._interrupt(engine, [t.id for t in given if t.stopping and t.id in present])
        self._scheduler.offer(engine)

    # ------------------------------------------------------------ the engines

    def _engine_came(self, number: int) -> None:
        engine = self.engine(number)
        self._functions.forget_engine(number)
        self._scheduler.add_engine(engine)

    def _engine_went(self, number: int) -> None:
        self._functions.forget_engine(number)
        gone = self._scheduler.engine_of(number)
        self._forget_question(gone)
        if gone is not None:
            self._expect_back(gone.session)
            self._await_no_more(gone)
            self._forget_strays(gone)
        tasks = self._scheduler.remove_engine(number)
        if not tasks:
            return
        engine = tasks[0].engine
        assert engine is not None
        again = []
        charged = sum(task.losses for task in tasks)
        for task, fate in fates(engine, tasks, self._deaths):
            if task.losses:
                self._tracked.add(task)
            if fate is Fate.RUN_AGAIN:
                self._requeue(task)
                again.append(task)
            elif fate is Fate.CANCELLED:
                self._end_stopped(task, engine.id)
            else:
                self._give_up_on(task, Death.of(engine, task.id))
        self._scheduler.add_first(again)
        self.orphaned += sum(task.losses for task in tasks) - charged
        self.reclaimed += len(again)

    def drains(self, engine: Engine) -> None:
        """Give an engine no more tasks; it gives back what it has not begun."""
        self._scheduler.retire(engine)

    # ------------------------------------------------------------ each turn

    def flush(self, now: float) -> None:
        """Acknowledge, dispatch, deliver."""
        super().flush(now)
        for session, messages in tuple(self._waiting.items()):
            if messages[0].after <= session.last_command and session not in self._lacking:
                self._retry(session, now)
        if self._accepted:
            self._acknowledge()
        if self._ended:
            self._settle()
        if self._scheduler.stranded:
            self._end_hopeless()
        if self._deliveries.behind or self._paused:
            self._pause_and_go_on()
        # Results that come faster than they can be stored would fill the hub's memory.
        if self._scheduler.queued and not self.context.store.is_behind:
            for engine, tasks in self._scheduler.assign(now):
                self._run(engine, tasks)
        if self._scheduler.crowded:
            self._reclaim(now)
        self._deliveries.flush()

    def _run(self, engine: Engine, tasks: Sequence[Task]) -> None:
        """Send tasks to an engine, in messages within the limits."""
        if self._limited:
            self._look_at_first(engine)
        times = Times(self.context.now(), self.context.figures.unix_offset)
        for message in run_messages(engine, tasks, self._functions, self._values, times):
            engine.session.send(self.outbox, Stream.TASK, message)

    def check(self) -> None:
        """Assert that queue, slots, counts and records agree."""
        self._scheduler.check()
        super().check()
        states = [task.state for task in self._tasks.values()]
        assert states.count(TaskState.QUEUED) == self._scheduler.queued
        assert states.count(TaskState.DISPATCHED) == self._scheduler.dispatched
        kept = Counter(t.session for t in self._tasks.values() if not t.session.ended)
        assert Counter(self._kept) == kept
        ended = self.done + self.failed + self.cancelled
        outstanding = len(states) - states.count(TaskState.ENDED)
        assert self.submitted + self.returned == ended + outstanding
        assert self._lacking <= set(self._waiting)
        assert not any(session.ended for session in (*self._waiting, *self._accepted))

"""The part of `TaskQueue` for tasks that wait: for other requests, and not for longer than they may.

They also wait for their client, while that is behind with reading what others of its have brought.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any

from ctrlhub.controller.core.deadlines import Deadlines
from ctrlhub.controller.core.deliveries import Outcome
from ctrlhub.controller.core.dependencies import (
    Dependencies,
    Freed,
    Unknown,
    forgotten,
    of_former_hub,
)
from ctrlhub.controller.core.needs import Needs
from ctrlhub.controller.core.sessions import Session
from ctrlhub.controller.core.tasks import Task, TaskState
from ctrlhub.controller.interfaces.base import Context, exposed
from ctrlhub.controller.interfaces.recorded import Recorded
from ctrlhub.controller.interfaces.task_ends import TaskEnds
from ctrlhub.controller.service import IControllerBase
from ctrlhub.wire.errors import (
    CtrlHubError,
    DependencyTimeout,
    ImpossibleDependency,
    TaskTimeout,
)
from ctrlhub.wire.failure import failure_of
from ctrlhub.wire.ids import session_of
from ctrlhub.wire.messages import Payload, Role
from ctrlhub.wire.options import PLAIN

ON_ITS_WAY = 5.0
"""How long (seconds) tasks wait for a request of another client that has not arrived: whoever names it
may be quicker than who makes it."""

PATIENCE = 15.0
"""How long (seconds) tasks that no engine fits wait for one that was there and may come back."""


class TaskWaits(TaskEnds):
    """Lets tasks wait.

    Parameters
    ----------
    controller, context
        As for `Interface`.
    """

    def __init__(self, controller: IControllerBase, context: Context) -> None:
        super().__init__(controller, context)
        self._dependencies = Dependencies(self._outcome_of, self._watch_for_tasks)
        self._ended: list[Outcome] = []
        self._paused: dict[Session, dict[Task, None]] = {}
        self._expected: Deadlines[int] = Deadlines(context.alarm.at)
        self._unplaced: dict[int, Task] = {}
        self._values: dict[Task, dict[int, Payload]] = {}
        self._timeouts: Deadlines[Task] = Deadlines(context.alarm.at)
        self._reasons: dict[Task, Payload] = {}
        self._returning: Deadlines[Session] = Deadlines(context.alarm.at)

    # ------------------------------------------------------------ new tasks

    def _place(self, tasks: Sequence[Task]) -> None:
        """Queue new tasks of one client, or have them wait."""
        if all(template.options is PLAIN for template in {task.template for task in tasks}):
            self._scheduler.add(tasks)
            return
        # Those that are not placed yet are not known: so no circle can be made.
        self._unplaced = {task.id: task for task in tasks}
        ready: list[Task] = []
        for task in tasks:
            options = task.template.options
            if options.timeout is not None:
                self._tracked.add(task)
                self._timeouts.set(task, task.template.submitted + options.timeout)
            if options.time_limit is not None:
                self._limit(task)
            if options.waits:
                self._wait(task, ready)
            else:
                ready.append(task)
            del self._unplaced[task.id]
        self._scheduler.add_each(ready)

    def _limit(self, task: Task) -> None:
        """Take note of a task that has a time limit."""
        raise NotImplementedError

    def _wait(self, task: Task, ready: list[Task]) -> None:
        task.wait()
        self._tracked.add(task)
        try:
            freed = self._dependencies.add(task)
        except CtrlHubError as error:
            self._fail(task, error)
            return
        if freed is not None:
            self._free(freed)
            ready.append(task)

    def _free(self, freed: Freed) -> None:
        task = freed.task
        task.release()
        if freed.targets is not None:
            task.needs = task.needs.within(freed.targets)
        if freed.values:
            self._values[task] = freed.values

    def _is_held_back(self, task: Task) -> bool:
        """Tell whether a task waits for engines to say what they have."""
        raise NotImplementedError

    def _untrack(self, task: Task) -> None:
        super()._untrack(task)
        self._timeouts.discard(task)
        self._values.pop(task, None)
        self._dependencies.discard(task)
        self._reasons.pop(task, None)
        if self._paused and task.session in self._paused:
            self._paused[task.session].pop(task, None)

    # ------------------------------------------------------------ clients that do not read

    def _pause_and_go_on(self) -> None:
        """Queue nothing of clients that are behind; and again what is theirs who have caught up."""
        behind = self._deliveries.behind
        for session in behind:
            paused = self._paused.setdefault(session, {})
            for task in self._scheduler.take_out(session):
                task.wait()
                paused[task] = None
                self._tracked.add(task)
        for session in [session for session in self._paused if session not in behind]:
            tasks = self._paused.pop(session)
            for task in tasks:
                task.release()
            self._scheduler.add_each(tasks)

    # ------------------------------------------------------------ the ends of others

    @cached_property
    def _recorded(self) -> tuple[Recorded[Any], ...]:
        """The interfaces whose requests can be waited for, this one first."""
        found = (i for i in self.context.interfaces.values() if isinstance(i, Recorded))
        return tuple(sorted(found, key=lambda interface: interface is not self))

    def _outcome_of(self, number: int) -> Outcome | Unknown:
        if number in self._unplaced:
            return Unknown.NOWHERE
        for interface in self._recorded:
            found = interface.find(number)
            if found is not None:
                return Unknown.PENDING if found[1] is None else found[1]
        for interface in self._recorded:
            well = interface.has_ended(number)
            if well is not None:
                return forgotten(number, well, interface.place_of(number))
        # What its client had of a former hub was met there, or the task would not have been kept.
        session = self.context.sessions.of_number(session_of(number))
        if session is not None and session.returned and self.context.is_settling():
            return of_former_hub(number)
        asking = next(iter(self._unplaced.values()), None)
        if asking is None or session is None or not session.role.is_client:
            return Unknown.NOWHERE
        if session is asking.session:
            return Unknown.NOWHERE
        return Unknown.EXPECTED

    def _watch_for_tasks(self, number: int) -> None:
        has_it = [each for each in self._recorded if each.find(number) is not None]
        if not has_it:
            self._expected.set(number, self.context.now() + ON_ITS_WAY)
        for interface in has_it or self._recorded:
            interface.watch(number, self._ended_elsewhere)

    def _give_up_expected(self, number: int) -> None:
        """Wait no more for what has not arrived, nor where it has not."""
        lacking = [each for each in self._recorded if each.find(number) is None]
        for interface in lacking:
            interface.unwatch(number)
        if len(lacking) == len(self._recorded):
            for task, error in self._dependencies.never_came(number):
                self._fail(task, error)

    def _ended_elsewhere(self, outcome: Outcome) -> None:
        self._ended.append(outcome)
        self.context.alarm.at(self.context.now())

    def _settle(self) -> None:
        """Let tasks run, or fail, that have waited for what has ended; and those behind them."""
        ready: list[Task] = []
        for outcome in self._ended:  # which grows meanwhile
            for each in self._dependencies.ended(outcome):
                if isinstance(each, Freed):
                    self._free(each)
                    ready.append(each.task)
                else:
                    self._fail(*each)
        self._ended.clear()
        self._scheduler.add_each(ready)

    # ------------------------------------------------------------ in vain

    def _end_hopeless(self) -> None:
        """End the tasks that no engine fits, unless one may come."""
        for task in self._scheduler.hopeless(self._may_come):
            self._give_up(task)

    def _give_up(self, task: Task) -> None:
        error = self._scheduler.why_nobody(task.needs)
        reason = self._reasons.get(task)
        if reason is not None:
            last = failure_of(reason)
            error += f"; the last one said: {last.ename}: {last.evalue}"
        self._fail(task, ImpossibleDependency(error))

    def _may_come(self, needs: Needs) -> bool:
        """Tell whether an engine that fits may be on its way: it is restarted, or the hub was."""
        sessions = self.context.sessions
        if self.context.is_settling() and any(session.returned for session in sessions):
            return True
        return any(not (s.ended or self._is_here(s)) for s in self._returning)

    def _expect_back(self, session: Session) -> None:
        """Wait for an engine that has gone, for a while: it may be restarted, or out of reach."""
        self._returning.set(session, self.context.now() + PATIENCE)

    def _is_here(self, session: Session) -> bool:
        return session.engine is not None and session.engine.id in self.engines

    # ------------------------------------------------------------ time

    def _time_out(self, now: float) -> None:
        for task in self._timeouts.take_due(now):
            waited = (
                f"it has waited for more than its timeout of {task.template.options.timeout:g} s"
            )
            if task in self._dependencies:
                self._fail(task, DependencyTimeout(f"{waited}: {self._why(task)}"))
            elif task.state is TaskState.WAITING:
                self._fail(task, TaskTimeout(f"{waited}: {self._why(task)}"))
            elif task.state is TaskState.QUEUED:
                reason = self._why(task)
                self._scheduler.cancelled(task)
                self._fail(task, TaskTimeout(f"{waited}: {reason}"))
            elif task.state is TaskState.DISPATCHED:
                self._time_out_ahead(task, TaskTimeout(f"{waited}: {self._why(task)}"))

    def _time_out_ahead(self, task: Task, error: TaskTimeout) -> None:
        """End a task that an engine has and has not begun."""
        raise NotImplementedError

    def tick(self, now: float) -> None:
        """Do what is due."""
        super().tick(now)
        if self._timeouts:
            self._time_out(now)
        for number in self._expected.take_due(now):
            self._give_up_expected(number)
        for _ in self._returning.take_due(now):
            continue  # `flush` ends what has waited for it

    def next_deadline(self) -> float | None:
        """Say when `tick` is due: at once, if another interface has ended something behind us."""
        if self._ended:
            return self.context.now()
        back = self._returning.next if self._scheduler.stranded else None
        times = (super().next_deadline(), self._timeouts.next, self._expected.next, back)
        return min((due for due in times if due is not None), default=None)

    # ------------------------------------------------------------ what is said of it

    def _why(self, task: Task) -> str:
        """Say why a task does not run."""
        raise NotImplementedError

    @property
    def unassigned(self) -> int:
        """How many tasks no engine has: they wait for one, for other requests, or for their client."""
        paused = sum(map(len, self._paused.values()))
        return self._scheduler.queued + len(self._dependencies) + paused

    @exposed(Role.VIEW)
    def counts(self, caller: Session) -> dict[str, int]:
        """Return how many tasks are queued, running, done and failed."""
        return self.summary()

    def summary(self) -> dict[str, int]:
        """Return how many tasks are queued and running, and since this hub has begun done and failed.

        What engines were given ahead of time is queued still, as their own lines of the status say;
        and so is what waits for other requests.
        """
        running, ahead = self._scheduler.running, self._scheduler.dispatched
        return {
            "queued": self.unassigned + ahead - running,
            "running": running,
            "done": self.done,
            "failed": self.failed,
        }

    def check(self) -> None:
        """Assert that those who wait are known."""
        super().check()
        self._dependencies.check()
        assert not self._unplaced
        waiting = {t for t in self._records.values() if t.state is TaskState.WAITING}
        waiting = {task for task in waiting if not self._is_held_back(task)}
        paused = {task for tasks in self._paused.values() for task in tasks}
        assert {task for task in self._tracked if task in self._dependencies} == waiting - paused
        assert paused <= waiting & self._tracked
        assert len(self._dependencies) + len(paused) == len(waiting)
        assert not any(session.ended for session in self._paused)
        assert not any(task.state is TaskState.ENDED for task in (*self._tracked, *self._values))

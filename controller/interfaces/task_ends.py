"""The part of `TaskQueue` that ends tasks, and counts how they ended."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from ctrlhub.controller.core.deliveries import Outcome
from ctrlhub.controller.core.effects import Commit, SaveResults
from ctrlhub.controller.core.functions import Function
from ctrlhub.controller.core.saved import SavedTask
from ctrlhub.controller.core.scheduler import Scheduler
from ctrlhub.controller.core.schemes import ORDERS
from ctrlhub.controller.core.tasks import Task, Template
from ctrlhub.controller.interfaces.base import Context
from ctrlhub.controller.interfaces.finding import find_policy
from ctrlhub.controller.interfaces.returning import Returning
from ctrlhub.controller.service import IControllerBase
from ctrlhub.wire.errors import CtrlHubError
from ctrlhub.wire.failure import Failure, pack_failure
from ctrlhub.wire.messages import Status, Stream

# As plain numbers: comparing with an enumeration's member costs ten times as much.
_OK, _CANCELLED = int(Status.OK), int(Status.CANCELLED)


class TaskEnds(Returning[Task, SavedTask]):
    """Ends tasks.

    Parameters
    ----------
    controller, context
        As for `Interface`.
    """

    stream = Stream.TASK
    duplicates = 0
    """How many results came a second time, or of nobody's task."""

    def __init__(self, controller: IControllerBase, context: Context) -> None:
        super().__init__(controller, context)
        config = context.config
        self._scheduler = Scheduler(find_policy(config.task_scheme), ORDERS[config.task_order])
        self._tracked: set[Task] = set()
        self.done = self.failed = self.cancelled = 0
        self.retried = self.reclaimed = self.orphaned = 0

    def _end(self, task: Task, outcome: Outcome) -> bool:
        """End a task and deliver its outcome; False when there is nobody to deliver it to."""
        task.finish()
        if outcome[1] == _OK:
            self.done += 1
        elif outcome[1] == _CANCELLED:
            self.cancelled += 1
        else:
            self.failed += 1
            self.context.figures.failed(outcome, task.template.label, self.context.now())
        if self._tracked and task in self._tracked:
            self._tracked.discard(task)
            self._untrack(task)
        followers = self._followers
        if followers.of or followers.watchers or (outcome[6] and self._output.watchers):
            self._tell_followers(outcome)
        session = task.session
        if session.ended:
            self._bury(task, outcome)
            return False
        self._deliveries.add(session, outcome)
        return True

    def _untrack(self, task: Task) -> None:
        """Forget what is kept of a task for which more is done than to run it."""

    def _end_here(self, task: Task, status: Status, payload: bytes, engine: int = -1) -> None:
        """End a task with an outcome of the hub's own making."""
        outcome = (task.id, int(status), payload, engine, 0.0, 0.0, None)
        ends = self._end(task, outcome)
        self.context.figures.ends_here()
        if ends:
            self._save_new()
            self.outbox.add(Commit((SaveResults([(task.id, outcome)]),), ()))

    def _measure(
        self,
        taken: Mapping[Template, list[float]],
        left_out: Iterable[tuple[list[float], float]],
        saved: Sequence[tuple[int, Outcome]],
        now: float,
    ) -> None:
        """Learn how long the tasks of a batch took; `left_out` are runs that have ended no task."""
        figures = self.context.figures
        ran: dict[Function, list[float]] = {}
        for template, times in taken.items():
            ran.setdefault(template.function, []).extend(times)
        for function, times in ran.items():
            function.took(sum(times) / len(times), len(times))
        for times, elapsed in left_out:
            times.remove(elapsed)
        ended = 0
        for template, times in taken.items():
            if times:
                ended += len(times)
                figures.took(template.submitted, times, now)
        for place in figures.ends(ended, now) or ():
            if place < len(saved):  # clients of others have gone
                number, outcome = saved[place]
                figures.sample(outcome, self._records[number].template.label, "task", now)

    def figures(self) -> dict[str, int]:
        """Return what is counted of tasks, since this hub has begun."""
        return {
            "tasks_submitted": self.submitted,
            "tasks_returned": self.returned,
            "tasks_done": self.done,
            "tasks_failed": self.failed,
            "tasks_cancelled": self.cancelled,
            "tasks_retried": self.retried,
            "tasks_reclaimed": self.reclaimed,
            "tasks_orphaned": self.orphaned,
            "tasks_duplicate": self.duplicates,
        }

    def _save_new(self) -> None:
        """Have new tasks stored: what becomes of one has to stand behind it."""
        raise NotImplementedError

    def _fail(self, task: Task, error: CtrlHubError, engine: int = -1) -> None:
        """End a task with an error."""
        self._end_here(task, Status.ERROR, pack_failure(Failure.from_error(error)), engine)

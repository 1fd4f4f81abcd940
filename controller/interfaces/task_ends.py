"""The part of `TaskQueue` that ends tasks: with an outcome, or because their client wants it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from ctrlhub.controller.core.deliveries import Outcome
from ctrlhub.controller.core.effects import Commit, SaveResults
from ctrlhub.controller.core.engines import Engine
from ctrlhub.controller.core.scheduler import Scheduler
from ctrlhub.controller.core.sessions import Session
from ctrlhub.controller.core.tasks import Task, TaskState
from ctrlhub.controller.interfaces.arguments import checked_ranges
from ctrlhub.controller.interfaces.base import Context, exposed
from ctrlhub.controller.interfaces.recorded import Recorded
from ctrlhub.controller.service import IControllerBase
from ctrlhub.wire.ids import select, to_ranges
from ctrlhub.wire.messages import Interrupt, Status, Stream

# As plain numbers: comparing with an enumeration's member costs ten times as much.
_OK, _ERROR = int(Status.OK), int(Status.ERROR)


class TaskEnds(Recorded[Task]):
    """Ends tasks and counts how they ended.

    Parameters
    ----------
    controller, context
        As for `Interface`.
    """

    def __init__(self, controller: IControllerBase, context: Context) -> None:
        super().__init__(controller, context)
        self._scheduler = Scheduler()
        self.done = self.failed = self.cancelled = 0

    # ------------------------------------------------------------ with an outcome

    def _end(self, task: Task, outcome: Outcome) -> bool:
        """End a task and deliver its outcome; False when there is nobody to deliver it to."""
        task.finish()
        if outcome[1] == _OK:
            self.done += 1
        elif outcome[1] == _ERROR:
            self.failed += 1
        else:
            self.cancelled += 1
        if self._followers:
            self._tell_followers(outcome)
        session = task.session
        if session.ended:
            self._bury(task, outcome)
            return False
        self._deliveries.add(session, outcome)
        return True

    def _end_here(self, task: Task, status: Status, payload: bytes, engine: int = -1) -> None:
        """End a task with an outcome of the hub's own making."""
        outcome = (task.id, int(status), payload, engine, 0.0, 0.0, None)
        if self._end(task, outcome):
            self.outbox.add(Commit((SaveResults([(task.id, outcome)]),), ()))

    # ------------------------------------------------------------ calls

    @exposed
    def cancel(self, caller: Session, requests: Sequence[Sequence[int]]) -> dict[str, Any]:
        """Stop one's own tasks: queued ones at once, running ones by interrupt."""
        ids = select(checked_ranges(requests), self._records)
        return self._stop([self._records[n] for n in ids if self._records[n].session is caller])

    def _stop(self, tasks: Iterable[Task]) -> dict[str, Any]:
        sorted_out: dict[TaskState, list[int]] = {state: [] for state in TaskState}
        running: dict[Engine, list[int]] = {}
        for task in tasks:
            sorted_out[task.state].append(task.id)
            if task.state is TaskState.QUEUED:
                self._scheduler.cancelled(task)
                self._end_here(task, Status.CANCELLED, b"")
            elif task.engine is not None:
                task.stopping = True
                running.setdefault(task.engine, []).append(task.id)
        for engine, ids in running.items():
            self._interrupt(engine, ids)
        return {
            "cancelled": to_ranges(sorted(sorted_out[TaskState.QUEUED])),
            "interrupted": to_ranges(sorted(sorted_out[TaskState.DISPATCHED])),
            "finished": to_ranges(sorted(sorted_out[TaskState.ENDED])),
        }

    def _interrupt(self, engine: Engine, ids: Iterable[int]) -> None:
        requests = to_ranges(sorted(ids))
        if requests:
            engine.session.send(self.outbox, Stream.HUB, Interrupt(requests))

    @exposed
    def counts(self, caller: Session) -> dict[str, int]:
        """Return how many tasks are queued, running, done and failed."""
        return self.summary()

    def summary(self) -> dict[str, int]:
        """Return how many tasks are queued, running, done and failed.

        What engines were given ahead of time is queued still, as their own lines of the status say.
        """
        running, ahead = self._scheduler.running, self._scheduler.dispatched
        return {
            "queued": self._scheduler.queued + ahead - running,
            "running": running,
            "done": self.done,
            "failed": self.failed,
        }

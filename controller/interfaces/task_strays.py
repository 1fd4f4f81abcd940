"""The part of `TaskQueue` that stops what engines have and should not.

An engine may be out of reach, of this hub or the one before, while a task that it has is cancelled, or
is given to another engine. It would run that to its end, which may never come. So when an engine says
what it has, all is stopped that has ended otherwise; what another engine has is stopped once it has
ended there: nothing may be run again that was interrupted.

What nobody here knows is stopped, too: its client is gone. If it comes after all, and gives the task
again to the same engine, that may answer that it was cancelled: nobody has asked for it, so it runs.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice

from ctrlhub.controller.core.engines import Engine
from ctrlhub.controller.core.held_back import MOST_CLAIMS
from ctrlhub.controller.core.tasks import Task, TaskState
from ctrlhub.controller.interfaces.base import Context
from ctrlhub.controller.interfaces.task_records import TaskRecords
from ctrlhub.controller.service import IControllerBase
from ctrlhub.wire.ids import Ranges, from_ranges


class TaskStrays(TaskRecords):
    """Stops tasks where they are not wanted any more.

    Parameters
    ----------
    controller, context
        As for `Interface`.
    """

    def __init__(self, controller: IControllerBase, context: Context) -> None:
        super().__init__(controller, context)
        self._strays: dict[Task, dict[Engine, None]] = {}
        self._unknown: dict[Engine, list[int]] = {}
        self._unasked: dict[Engine, set[int]] = {}

    def _stop_strays(self, engine: Engine, held: Ranges) -> None:
        """Stop what an engine says that it has, beyond what it is to have."""
        given = {task.id for task in self._scheduler.tasks_of(engine.id)}
        self._unknown.pop(engine, None)
        self._stop_each(engine, (n for n in islice(from_ranges(held), MOST_CLAIMS) if n not in given))

    def _stop_each(self, engine: Engine, numbers: Iterable[int]) -> None:
        ended: list[int] = []
        settling = self.context.is_settling()
        for number in numbers:
            task = self._records.get(number)
            if task is not None and task.state is not TaskState.ENDED:
                if task.engine is not engine:
                    self._strays.setdefault(task, {})[engine] = None
                    self._tracked.add(task)
            elif task is None and settling and self.has_ended(number) is None:
                # Its client may be on its way back to a hub that has just begun.
                self._unknown.setdefault(engine, []).append(number)
            else:
                ended.append(number)
                if task is None and self.has_ended(number) is None:
                    self._note_unasked(engine, number)
        self._interrupt(engine, ended)

    def _note_unasked(self, engine: Engine, number: int) -> None:
        numbers = self._unasked.setdefault(engine, set())
        if len(numbers) < MOST_CLAIMS:
            numbers.add(number)

    def _was_unasked(self, engine: Engine, task: Task) -> bool:
        """Tell whether an engine had to stop a task, and perhaps its next run, although nobody asked."""
        return not task.stopping and task.id in self._unasked.get(engine, ())

    def _forget_strays(self, engine: Engine) -> None:
        """Forget an engine that is gone."""
        self._unasked.pop(engine, None)

    def _untrack(self, task: Task) -> None:
        super()._untrack(task)
        for engine in self._strays.pop(task, ()):
            if self._scheduler.slot_of(engine) is not None:
                self._interrupt(engine, [task.id])

    def flush(self, now: float) -> None:
        """Stop what nobody has asked for again."""
        super().flush(now)
        if self._unknown and not self.context.is_settling():
            unknown, self._unknown = self._unknown, {}
            for engine, numbers in unknown.items():
                if self._scheduler.slot_of(engine) is not None:
                    self._stop_each(engine, numbers)

    def check(self) -> None:
        """Assert that who has what is known of tasks that have not ended."""
        super().check()
        assert self._strays.keys() <= self._tracked

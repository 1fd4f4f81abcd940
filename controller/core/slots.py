"""A slot: what one engine holds of the task queue, and how much more it may hold.

Prefetch is credit in seconds, not in tasks. An engine is given tasks ahead of time until their
expected duration reaches `LEAD`: hundreds of tasks of a microsecond, so that it never waits for the
hub, and none beyond the running one when tasks are long, so that work is not stuck behind it. How
long a function takes is learnt from its runs; a function never seen is trusted with one task per
engine first, then with a few times what was seen.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from ctrlhub.controller.core.engines import Engine
from ctrlhub.controller.core.functions import UNKNOWN_DURATION
from ctrlhub.controller.core.tasks import Task

if TYPE_CHECKING:
    from ctrlhub.controller.core.places import Place

LEAD = UNKNOWN_DURATION
"""Expected seconds of work an engine may hold ahead of time: one task of which nothing is known."""

POCKET = 0.1
"""A task expected to be shorter (seconds) may wait behind a running one that is, too: it hides the
round trip."""

MOST_AHEAD = 1024
"""The most tasks an engine may hold."""

TRUST = 4
"""A function seen n times is trusted with TRUST * n tasks per engine."""


class Slot:
    """The tasks of one engine, in the order they were given; and the places where it may take more.

    Attributes
    ----------
    backlog
        The work that they are expected to be (seconds).
    places
        Only those of tasks with needs are named.
    since
        When the first task became the first.
    closed
        Whether it gets nothing more until something has left it.
    asked
        How many the engine was asked to give back, as long as it has not answered.
    spent
        Whether it had less to give back than it was asked for: until something has left it, there is
        nothing more to ask for.
    """

    __slots__ = ("asked", "backlog", "closed", "engine", "places", "since", "spent", "tasks")

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.tasks: dict[int, Task] = {}
        self.backlog = 0.0
        self.places: dict[Place, None] = {}
        self.since = 0.0
        self.closed = False
        self.asked = 0
        self.spent = False

    def wants_more(self) -> bool:
        """Tell whether to top it up: at half of its lead, so that batches stay large."""
        return (
            not self.closed
            and self.engine.available
            and (not self.tasks or self.backlog <= LEAD / 2 or len(self.tasks) < 2)
        )

    def has_room(self, task: Task) -> bool:
        """Tell whether this task may be given ahead of time."""
        held = len(self.tasks)
        if not held:
            return True
        function = task.template.function
        expected = function.expected
        if held >= MOST_AHEAD or held >= TRUST * function.runs:
            return False
        if self.backlog + expected <= LEAD:
            return True
        return held < 2 and expected <= POCKET and self.backlog <= POCKET and self._is_known()

    def _is_known(self) -> bool:
        """Tell whether the task that runs is of a function that was seen: else it may take hours."""
        return all(task.template.function.runs for task in self.tasks.values())

    def give(self, task: Task) -> None:
        """Hand over a task."""
        task.dispatch(self.engine)
        expected = task.expected = task.template.function.expected
        self.backlog += expected
        self.tasks[task.id] = task
        self.engine.tasks += 1

    def put_first(self, ids: Iterable[int]) -> None:
        """Put these tasks, as far as they are here, before the others, in this order."""
        first = {number: self.tasks[number] for number in ids if number in self.tasks}
        self.tasks = {**first, **self.tasks}

    def take(self, task: Task) -> None:
        """Note that a task has left the engine."""
        del self.tasks[task.id]
        self.engine.tasks -= 1
        self.backlog = self.backlog - task.expected if self.tasks else 0.0

    def check(self) -> None:
        """Assert that the counts agree with the tasks."""
        assert self.closed or not self.asked
        assert self.engine.tasks == len(self.tasks)
        assert all(task.engine is self.engine for task in self.tasks.values())
        assert abs(self.backlog - sum(t.expected for t in self.tasks.values())) < 1e-6

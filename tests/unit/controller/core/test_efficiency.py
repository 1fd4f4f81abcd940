"""How well engines are used, in simulated time: what the scheduler loses, and nothing else."""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Callable
from itertools import count
from random import Random

import pytest

from ctrlhub.controller.core.engines import Engine
from ctrlhub.controller.core.functions import Function
from ctrlhub.controller.core.reclaims import Reclaims
from ctrlhub.controller.core.scheduler import Scheduler
from ctrlhub.controller.core.tasks import Task
from tests.support.records import a_template, an_engine, some_tasks

COMPANY = 0.002
"""Results of quick tasks gather in an engine for so long, as in `ctrlhub.engine.executor`."""


class Simulation:
    """A hub and engines that run tasks of known lengths; whatever one says takes a while to arrive.

    Parameters
    ----------
    lengths
        How long each task takes (seconds).
    engines
        How many engines there are.
    latency
        How long a message takes (seconds).
    """

    def __init__(self, lengths: list[float], engines: int, latency: float) -> None:
        self.now = 0.0
        self.scheduler = Scheduler()
        self.reclaims = Reclaims(self.scheduler)
        self.lengths = lengths
        self.latency = latency
        self.function = Function(b"f", b"")
        self.queues: dict[Engine, deque[Task]] = {}
        self.busy: set[Engine] = set()
        self.done: dict[Engine, list[tuple[Task, float]]] = {}
        self.left = len(lengths)
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._order = count()
        for number in range(engines):
            engine = an_engine(number)
            self.queues[engine], self.done[engine] = deque(), []
            self.scheduler.add_engine(engine)

    def efficiency(self) -> float:
        """Run all, and return the share of the engines' time that went into tasks."""
        self.scheduler.add(some_tasks(len(self.lengths), a_template(self.function)))
        self._turn()
        while self.left:
            self.now, _, event = heapq.heappop(self._events)
            event()
        return sum(self.lengths) / len(self.queues) / self.now

    def _after(self, seconds: float, event: Callable[[], None]) -> None:
        heapq.heappush(self._events, (self.now + seconds, next(self._order), event))

    # ------------------------------------------------------------ the hub

    def _turn(self) -> None:
        for engine, tasks in self.scheduler.assign(self.now):
            self._after(self.latency, lambda e=engine, t=tasks: self._given(e, t))  # type: ignore[misc]
        for slot, most in self.reclaims.look(self.now):
            self._after(self.latency, lambda e=slot.engine, n=most: self._asked(e, n))  # type: ignore[misc]

    def _results(self, engine: Engine, rows: list[tuple[Task, float]]) -> None:
        for task, _ in rows:
            task.finish()
        self.left -= len(rows)
        self.function.took(sum(took for _, took in rows) / len(rows), len(rows))
        self.scheduler.left(engine, [task for task, _ in rows], self.now)
        self._turn()

    def _gave_back(self, engine: Engine, tasks: list[Task]) -> None:
        slot = self.scheduler.slot_of(engine)
        assert slot is not None
        slot.asked = False
        self.scheduler.left(engine, tasks, self.now)
        slot.closed = bool(slot.tasks)
        for task in tasks:
            task.requeue()
        self.scheduler.add_first(tasks)
        self._turn()

    # ------------------------------------------------------------ an engine

    def _given(self, engine: Engine, tasks: list[Task]) -> None:
        self.queues[engine].extend(tasks)
        self._begin(engine)

    def _asked(self, engine: Engine, most: int) -> None:
        queue = self.queues[engine]
        back = [queue.pop() for _ in range(min(most, len(queue)))][::-1]
        self._after(self.latency, lambda: self._gave_back(engine, back))

    def _begin(self, engine: Engine) -> None:
        if engine not in self.busy and self.queues[engine]:
            self.busy.add(engine)
            task = self.queues[engine].popleft()
            self._after(self.lengths[task.id - 1], lambda: self._ended(engine, task))

    def _ended(self, engine: Engine, task: Task) -> None:
        self.busy.remove(engine)
        rows = self.done[engine]
        rows.append((task, self.lengths[task.id - 1]))
        if not self.queues[engine] or sum(took for _, took in rows) > COMPANY:
            self.done[engine] = []
            self._after(self.latency, lambda: self._results(engine, rows))
        self._begin(engine)


@pytest.mark.parametrize("latency", [0.0002, 0.0005, 0.001])
@pytest.mark.parametrize("engines", [2, 8])
def test_uneven_tasks_leave_no_engine_without_work(engines: int, latency: float) -> None:
    """Of a thousand tasks of 0 to 5 ms for each engine, next to nothing is lost by waiting."""
    chance = Random(1)
    lengths = [chance.random() * 0.005 for _ in range(1000 * engines)]

    assert Simulation(lengths, engines, latency).efficiency() > 0.985


def test_quick_tasks_leave_no_engine_without_work() -> None:
    """Tasks of 0.1 ms, where a message takes as long as ten of them."""
    assert Simulation([0.0001] * 20_000, 2, 0.001).efficiency() > 0.97


def test_a_few_long_tasks_among_many_short_ones_hold_nothing_up() -> None:
    """What was put behind a long one is taken back for who is idle."""
    chance = Random(2)
    lengths = [0.5 if chance.random() < 0.01 else 0.002 for _ in range(2000)]

    assert Simulation(lengths, 2, 0.001).efficiency() > 0.9

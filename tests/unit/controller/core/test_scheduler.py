"""The scheduler: queued tasks meet engines with room, at a cost that does not grow."""

from __future__ import annotations

import itertools
from collections import deque
from typing import Any

import pytest

from ctrlhub.controller.core import places as module
from ctrlhub.controller.core.engines import Engine
from ctrlhub.controller.core.functions import Function
from ctrlhub.controller.core.policies import LeastLoad
from ctrlhub.controller.core.scheduler import Scheduler
from ctrlhub.controller.core.slots import Slot
from ctrlhub.controller.core.tasks import Task
from tests.support.records import a_session, a_template, an_engine, some_tasks


def seen(duration: float = 1e-4, runs: int = 1000) -> Function:
    """Return a function that was seen to take so long."""
    function = Function(b"f", b"")
    function.took(duration, runs)
    return function


def with_engines(count: int, policy: LeastLoad | None = None) -> tuple[Scheduler, list[Engine]]:
    """Return a scheduler that uses so many engines."""
    scheduler = Scheduler(lambda: policy or LeastLoad())
    engines = [an_engine(number) for number in range(count)]
    for engine in engines:
        scheduler.add_engine(engine)
    return scheduler, engines


def assigned(scheduler: Scheduler) -> dict[int, list[int]]:
    """Assign; return the ids that each engine got."""
    got = {engine.id: [task.id for task in batch] for engine, batch in scheduler.assign(0.0)}
    scheduler.check()
    return got


def end(scheduler: Scheduler, engine: Engine, tasks: list[Task]) -> None:
    """Let tasks end on their engine."""
    for task in tasks:
        task.finish()
    scheduler.left(engine, tasks, 0.0)
    scheduler.check()


def test_first_come_first_served() -> None:
    """A free engine gets the task that was queued first; the rest wait for its end."""
    scheduler, [engine] = with_engines(1)
    tasks = some_tasks(3)
    scheduler.add(tasks)
    for task in tasks:
        assert assigned(scheduler) == {0: [task.id]}
        assert scheduler.dispatched == 1
        end(scheduler, engine, [task])
    assert (scheduler.queued, scheduler.dispatched) == (0, 0)
    assert assigned(scheduler) == {}


def test_without_engines_tasks_wait() -> None:
    """The first engine that comes gets them."""
    scheduler = Scheduler()
    scheduler.add(some_tasks(2))
    assert assigned(scheduler) == {}
    scheduler.add_engine(an_engine(5))
    assert assigned(scheduler) == {5: [1]}


def test_a_small_job_spreads() -> None:
    """No engine gets more than its share, though it has room for all."""
    scheduler, _ = with_engines(4)
    scheduler.add(some_tasks(8, a_template(seen())))
    assert sorted(map(len, assigned(scheduler).values())) == [2, 2, 2, 2]


def test_an_engine_that_frees_up_gets_more() -> None:
    """A large job keeps every engine filled."""
    scheduler, engines = with_engines(2)
    tasks = {task.id: task for task in some_tasks(1000, a_template(seen()))}
    scheduler.add(tuple(tasks.values()))
    done = []
    for _ in range(1000):
        for number, got in assigned(scheduler).items():
            end(scheduler, engines[number], [tasks[n] for n in got])
            done += got
    assert sorted(done) == sorted(tasks)


def test_an_unavailable_engine_gets_nothing() -> None:
    """Until it tells that it is available again."""
    scheduler, [engine] = with_engines(1)
    engine.commands = 1
    scheduler.add(some_tasks(1))
    assert assigned(scheduler) == {}
    engine.became_available()
    assert assigned(scheduler) == {}
    engine.commands = 0
    engine.became_available()
    assert assigned(scheduler) == {0: [1]}


def test_a_lost_engine_gives_its_tasks_back() -> None:
    """In the order in which it had them, and it is not used any more."""
    scheduler, [engine] = with_engines(1)
    scheduler.add(some_tasks(10, a_template(seen())))
    scheduler.assign(0.0)
    tasks = scheduler.remove_engine(0)
    assert [task.id for task in tasks] == list(range(1, 11))
    for task in tasks:
        task.requeue()
    scheduler.add_first(tasks)
    engine.became_available()
    assert assigned(scheduler) == {}
    assert scheduler.remove_engine(0) == []
    assert scheduler.tasks_of(0) == []


def test_tasks_taken_back_go_first() -> None:
    """Before those that wait already, in their order."""
    scheduler = Scheduler()
    session = a_session()
    waiting, back = [
        [Task(number, session, a_template(), b"") for number in numbers]
        for numbers in ((10, 11), (1, 2))
    ]
    scheduler.add(waiting)
    scheduler.add_first(back)
    assert [task.id for task in scheduler.waiting(9)] == [1, 2, 10, 11]
    scheduler.check()


def test_a_task_that_left_a_former_engine_of_this_id_changes_nothing() -> None:
    """Ids are used again; the slot of the new engine is its own."""
    scheduler, [former] = with_engines(1)
    scheduler.add(some_tasks(1))
    scheduler.assign(0.0)
    [task] = scheduler.remove_engine(0)
    scheduler.add_engine(an_engine(0))
    scheduler.left(former, [task], 0.0)
    scheduler.offer(former)
    scheduler.check()
    assert scheduler.dispatched == 0


def test_cancelled_tasks_are_skipped() -> None:
    """They are not given to anyone, and do not count."""
    scheduler, _ = with_engines(1)
    tasks = some_tasks(3)
    scheduler.add(tasks)
    for task in tasks[:2]:
        scheduler.cancelled(task)
        task.finish()
        scheduler.check()
    assert scheduler.queued == 1
    assert assigned(scheduler) == {0: [3]}


def test_husks_do_not_pile_up() -> None:
    """Submitting and cancelling for ever, with no engine there, costs the same memory for ever."""
    scheduler, numbers = Scheduler(), itertools.count(1)
    kept = some_tasks(1, first=next(numbers))
    scheduler.add(kept)
    for _ in range(200):
        tasks = some_tasks(100, first=next(numbers) * 1000)
        scheduler.add(tasks)
        for task in tasks:
            scheduler.cancelled(task)
            task.finish()
    scheduler.check()
    lines = scheduler._anywhere._lines.values()
    assert sum(1 for line in lines for _ in line) <= 2 * (1 + module.FEW_HUSKS)
    assert scheduler.waiting(9) == kept


# ---------------------------------------------------------------- what it costs, counted


class Counting(deque[Task]):
    """A queue that counts what is done to it, and forbids what walks through it."""

    def __init__(self, tasks: Any = ()) -> None:
        super().__init__(tasks)
        self.steps = 0

    def popleft(self) -> Task:
        """Count."""
        self.steps += 1
        return super().popleft()

    def __iter__(self) -> Any:
        raise AssertionError("somebody walks through the queue")

    remove = index = count = __iter__  # type: ignore[assignment]


class CountingPolicy(LeastLoad):
    """A policy that counts its calls."""

    def __init__(self) -> None:
        super().__init__()
        self.calls = 0

    def add(self, slot: Slot) -> None:
        """Count."""
        self.calls += 1
        super().add(slot)

    def next(self) -> Slot | None:
        """Count."""
        self.calls += 1
        return super().next()


def cost(queued: int, engines: int, rounds: int = 200) -> tuple[int, int]:
    """Return (steps on the queue, calls of the policy) for the same events with a queue so long."""
    policy = CountingPolicy()
    scheduler, made = with_engines(engines, policy)
    tasks = some_tasks(queued, a_template(seen(1.0)))
    scheduler.add(tasks)
    [line] = scheduler._anywhere._lines.values()
    line._levels[0] = queue = Counting(tasks)
    scheduler.assign(0.0)
    before = queue.steps, policy.calls
    for n in range(rounds):
        engine = made[n % engines]
        task = next(iter(scheduler._slots[engine.id].tasks.values()))
        task.finish()
        scheduler.left(engine, [task], 0.0)
        assert len(scheduler.assign(0.0)) == 1
    return queue.steps - before[0], policy.calls - before[1]


@pytest.mark.parametrize("engines", [1, 8])
def test_the_cost_of_an_event_does_not_grow_with_the_queue(engines: int) -> None:
    """A result with a hundred thousand tasks waiting costs what it costs with a thousand."""
    assert cost(1_000, engines) == cost(100_000, engines)


def test_the_cost_of_an_event_does_not_grow_with_the_engines() -> None:
    """A result calls the policy as often with five hundred engines as with five."""
    assert cost(5_000, 5) == cost(5_000, 500)


def test_a_full_house_is_not_searched() -> None:
    """While all engines are busy a submission asks the policy nothing."""
    policy = CountingPolicy()
    scheduler, _ = with_engines(50, policy)
    scheduler.add(some_tasks(50))
    scheduler.assign(0.0)
    scheduler.assign(0.0)
    before = policy.calls
    for n in range(100):
        scheduler.add(some_tasks(1, first=1000 + n))
        assert scheduler.assign(0.0) == []
    assert policy.calls - before <= 100

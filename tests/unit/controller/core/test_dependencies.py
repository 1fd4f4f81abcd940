"""Dependencies: what waits for what, against a model that looks at everything each time."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ctrlhub.controller.core.deliveries import Outcome
from ctrlhub.controller.core.dependencies import Dependencies, Freed, Tie, Unknown
from ctrlhub.controller.core.tasks import Task
from ctrlhub.wire.errors import CtrlHubError, ImpossibleDependency, InvalidDependency
from ctrlhub.wire.failure import Failure, pack_failure
from ctrlhub.wire.ids import to_ranges
from ctrlhub.wire.options import Condition, TaskOptions
from tests.support.records import a_session, a_template

OK, ERROR, CANCELLED = 0, 1, 2
FAILURE = pack_failure(Failure.from_error(CtrlHubError("broken")))


def outcome(number: int, status: int = OK, engine: int = 0) -> Outcome:
    """Return how a request ended."""
    payload = b"value %d" % number if status == OK else FAILURE
    return (number, status, payload, engine, 0.0, 0.0, None)


class Board:
    """Requests, how they ended, and the machine."""

    def __init__(self) -> None:
        self.session = a_session()
        self.ends: dict[int, Outcome | None] = {}
        self.watched: list[int] = []
        self.machine = Dependencies(self.look, self.watched.append)

    def look(self, number: int) -> Outcome | Unknown:
        """Say how a request ended."""
        if number not in self.ends:
            return Unknown.NOWHERE
        return self.ends[number] or Unknown.PENDING

    def task(self, number: int, **options: Any) -> Task:
        """Make a task that waits."""
        template = replace(a_template(), options=TaskOptions(**options))
        task = Task(number, self.session, template, b"")
        task.wait()
        self.ends[number] = None
        return task

    def end(self, number: int, status: int = OK, engine: int = 0) -> list[Any]:
        """Let a request end; return what comes of it."""
        self.ends[number] = outcome(number, status, engine)
        found = list(self.machine.ended(outcome(number, status, engine)))
        self.machine.check()
        return found


def after(*numbers: int, **flags: bool) -> tuple[Condition, ...]:
    """Return the condition of these requests."""
    return (Condition(to_ranges(sorted(numbers)), **flags),)


# ---------------------------------------------------------------- the model

STATUSES = st.sampled_from([OK, OK, OK, ERROR, CANCELLED])
FLAGS = st.sampled_from([(True, False), (False, True), (True, True)])


@st.composite
def graphs(draw: st.DrawFn) -> list[tuple[list[tuple[list[int], bool, bool, bool]], int]]:
    """Return tasks, each with conditions on those before it, and how it ends if it runs."""
    tasks = []
    for number in range(draw(st.integers(1, 14))):
        conditions = []
        for _ in range(draw(st.integers(0, 2)) if number else 0):
            named = draw(st.sets(st.integers(0, number - 1), min_size=1, max_size=5))
            success, failure = draw(FLAGS)
            conditions.append((sorted(named), draw(st.booleans()), success, failure))
        tasks.append((conditions, draw(STATUSES)))
    return tasks


def verdict(conditions: Any, ends: dict[int, int]) -> bool | None:
    """Say by the definition whether a task may run, never can, or has to wait (None)."""
    met = True
    for named, every, success, failure in conditions:
        good = [n for n in named if n in ends and (success if ends[n] == OK else failure)]
        bad = [n for n in named if n in ends and n not in good]
        if bad and (every or len(bad) == len(named)):
            return False
        met = met and (len(good) == len(named) if every else bool(good))
    return True if met else None


@given(graphs(), st.randoms(use_true_random=False))
def test_a_graph_runs_as_the_definition_says(graph: Any, random: Any) -> None:
    """Whatever the order of the ends: who runs, who never can, and who waits."""
    board, ends, waiting = Board(), {}, set(range(len(graph)))
    able: set[int] = set()

    def conclude(number: int, status: int) -> None:
        ends[number] = status
        waiting.discard(number)
        work = [(number, status)]
        while work:
            for each in board.end(*work.pop()):
                if isinstance(each, Freed):
                    assert verdict(graph[each.task.id][0], ends) is True
                    waiting.discard(each.task.id)
                    able.add(each.task.id)
                else:
                    task, error = each
                    assert isinstance(error, ImpossibleDependency)
                    assert verdict(graph[task.id][0], ends) is False
                    ends[task.id] = ERROR
                    waiting.discard(task.id)
                    work.append((task.id, ERROR))

    for number, (conditions, _) in enumerate(graph):
        made = tuple(Condition(to_ranges(named), *flags) for named, *flags in conditions)
        task = board.task(number, after=made)
        try:
            freed = board.machine.add(task)
        except ImpossibleDependency:
            assert verdict(conditions, ends) is False
            conclude(number, ERROR)
            continue
        expected = verdict(conditions, ends)
        assert (freed is not None) is (expected is True)
        if freed is not None:
            waiting.discard(number)
            able.add(number)
        while able and random.random() < 0.4:
            chosen = random.choice(sorted(able))
            able.discard(chosen)
            conclude(chosen, graph[chosen][1])
    while able:
        chosen = random.choice(sorted(able))
        able.discard(chosen)
        conclude(chosen, graph[chosen][1])
    assert not waiting, "every task ran, or was told that it never can"
    assert not len(board.machine)
    assert not board.machine._dependents


# ---------------------------------------------------------------- one by one


def test_what_has_ended_is_not_waited_for() -> None:
    """A task whose requests are all over may run at once."""
    board = Board()
    board.ends[1] = outcome(1)
    freed = board.machine.add(board.task(2, after=after(1)))
    assert freed is not None
    assert freed.targets is None


def test_an_unknown_request_is_refused() -> None:
    """Nobody can say that it will ever end."""
    board = Board()
    with pytest.raises(InvalidDependency, match="0-7 is not known to the hub"):
        board.machine.add(board.task(2, after=after(7)))
    board.machine.check()


def test_it_is_said_why_not() -> None:
    """With what the other one failed of."""
    board = Board()
    board.machine.add(board.task(1))
    board.machine.add(board.task(2, after=after(1)))
    [(task, error)] = board.end(1, ERROR)
    assert task.id == 2
    assert str(error) == (
        "request 0-1 failed (CtrlHubError: broken), and its success is needed by this task"
    )


def test_it_follows_to_where_the_others_ran() -> None:
    """All on one engine, or any of theirs; on several engines no one has run all."""
    board = Board()
    board.ends.update({1: outcome(1, engine=3), 2: outcome(2, engine=3), 4: outcome(4, engine=5)})
    for named, every, expected in (
        ((1, 2), True, {3}),
        ((1, 4), False, {3, 5}),
        ((1, 4), True, set()),
    ):
        freed = board.machine.add(board.task(9, follow=after(*named, all=every)))
        assert freed is not None
        assert freed.targets == expected


def test_values_come_with_the_freed() -> None:
    """Those of its arguments, however they have come."""
    board = Board()
    board.ends[1] = outcome(1)
    board.task(2)
    board.machine.add(board.task(3, arguments=to_ranges([1, 2])))
    [freed] = board.end(2)
    assert freed.values == {1: b"value 1", 2: b"value 2"}


def test_a_task_that_is_gone_is_forgotten() -> None:
    """It leaves nothing behind."""
    board = Board()
    board.task(1)
    task = board.task(2, after=after(1))
    board.machine.add(task)
    assert board.machine.awaited(task) == [(Tie.AFTER, *after(1), [1])]
    board.machine.discard(task)
    board.machine.check()
    assert board.end(1) == []


@pytest.mark.parametrize("size", [100, 1000])
def test_a_wide_fan_in_costs_a_step_for_each(size: int) -> None:
    """Each end is looked at once."""
    board = Board()
    for number in range(size):
        board.task(number)
    board.machine.add(board.task(size, after=after(*range(size))))
    looked = 0
    for number in range(size):
        looked += len(board.machine._dependents.get(number, ()))
        freed = board.end(number)
    assert looked == size
    assert [each.task.id for each in freed] == [size]
    assert board.machine.awaited(freed[0].task) == []


def test_what_is_expected_closes_no_circle() -> None:
    """Two clients may name each other's requests before they come; who comes last is refused."""
    board = Board()
    one, two, three = (board.task(n, after=(Condition(((n % 3 + 1,) * 2,)),)) for n in (1, 2, 3))
    board.ends = {2: None, 3: None}
    assert board.machine.add(one) is None
    assert board.machine.add(two) is None
    board.ends[1] = None

    with pytest.raises(InvalidDependency, match="waits for this task"):
        board.machine.add(three)

    board.machine.check()

"""Slots: how many tasks an engine may hold ahead of time."""

from __future__ import annotations

import pytest

from ctrlhub.controller.core.functions import OVERHEAD, Function
from ctrlhub.controller.core.slots import LEAD, MOST_AHEAD, TRUST, Slot
from ctrlhub.controller.core.tasks import Task
from tests.support.records import a_template, an_engine, some_tasks


def tasks_of(duration: float, runs: int, count: int = 5000) -> list[Task]:
    """Return tasks of a function that was seen to take so long."""
    function = Function(b"f", b"")
    if runs:
        function.took(duration, runs)
    return some_tasks(count, a_template(function))


def fill(slot: Slot, tasks: list[Task]) -> int:
    """Give tasks while there is room; return how many."""
    given = 0
    while slot.has_room(tasks[given]):
        slot.give(tasks[given])
        given += 1
        slot.check()
    return given


def test_an_unknown_function_gets_one_task() -> None:
    """Until the first has come back, an engine holds no second."""
    assert fill(Slot(an_engine()), tasks_of(0.0, runs=0)) == 1


def test_trust_grows_with_what_was_seen() -> None:
    """A few runs allow a few times as many tasks ahead."""
    assert fill(Slot(an_engine()), tasks_of(1e-6, runs=2)) == TRUST * 2


def test_short_tasks_fill_the_lead() -> None:
    """Many tasks of a microsecond: about as many as take the lead's time, and never too many."""
    held = fill(Slot(an_engine()), tasks_of(20e-6, runs=10_000))
    assert held == pytest.approx(LEAD / (20e-6 + OVERHEAD), rel=0.01)
    assert fill(Slot(an_engine()), tasks_of(0.0, runs=10_000)) == MOST_AHEAD


def test_middling_tasks_wait_one_behind_the_other() -> None:
    """A task of some milliseconds may wait behind a running one: that hides the round trip."""
    assert fill(Slot(an_engine()), tasks_of(0.02, runs=100)) == 2


def test_long_tasks_do_not_wait_behind_a_running_one() -> None:
    """Another engine could run them meanwhile."""
    assert fill(Slot(an_engine()), tasks_of(5.0, runs=100)) == 1


def test_nothing_waits_behind_a_function_that_was_never_seen() -> None:
    """It may run for hours, and another engine could do what is short."""
    slot = Slot(an_engine())
    slot.give(tasks_of(0.0, runs=0)[0])

    assert not slot.has_room(tasks_of(0.02, runs=100)[0])
    assert not slot.has_room(tasks_of(1e-6, runs=100)[0])


def test_taking_restores_the_room() -> None:
    """An empty slot has no backlog, whatever rounding left."""
    slot, tasks = Slot(an_engine()), tasks_of(1e-4, runs=100)
    given = tasks[: fill(slot, tasks)]
    for task in given:
        slot.take(task)
        slot.check()
    assert (slot.backlog, slot.engine.tasks) == (0.0, 0)


def test_an_engine_that_is_not_available_wants_nothing() -> None:
    """Commands, suspicion and its end keep an engine from tasks."""
    engine = an_engine()
    slot = Slot(engine)
    assert slot.wants_more()
    engine.commands = 1
    assert not slot.wants_more()
    engine.commands = 0
    engine.session.suspect = True
    assert not slot.wants_more()
    engine.session.suspect = False
    engine.cause = "killed"
    assert not slot.wants_more()


def test_topping_up_waits_until_half_is_done() -> None:
    """So batches stay large while tasks are short."""
    slot, tasks = Slot(an_engine()), tasks_of(1e-4, runs=1000)
    given = tasks[: fill(slot, tasks)]
    assert not slot.wants_more()
    slot.take(given[0])
    assert not slot.wants_more()
    for task in given[1 : len(given) // 2 + 1]:
        slot.take(task)
    assert slot.wants_more()


@pytest.mark.parametrize("reported", [float("nan"), float("inf"), -1.0, -float("inf"), 1e300])
def test_no_reported_duration_ruins_the_account(reported: float) -> None:
    """An engine may report any number; the function stays usable on all engines."""
    function = Function(b"f", b"")
    function.took(reported, 1)
    [task] = some_tasks(1, a_template(function))
    assert 0 <= task.template.function.expected < float("inf")
    for _ in range(100):
        function.took(1e-6, 100)
    assert fill(Slot(an_engine()), some_tasks(5000, a_template(function))) > 50

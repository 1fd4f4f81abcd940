"""How many engines a queue is worth."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ctrlhub.cluster.scaling import Bounds, Load, Scaling, least_busy


def scaled(scaling: Scaling, *loads: Load, step: float = 1.0) -> list[int]:
    """Return what is wanted for each of several loads, so many seconds apart."""
    return [scaling.wanted(load, number * step) for number, load in enumerate(loads)]


def test_each_task_of_unknown_length_is_worth_an_engine() -> None:
    """Up to the most that are allowed."""
    scaling = Scaling(Bounds(0, 8))

    assert scaled(scaling, Load(3, 0, 0, 0, 0), Load(30, 0, 0, 3, 0, coming=5)) == [3, 8]


def test_short_tasks_are_worth_few_engines() -> None:
    """A thousand of ten milliseconds are done within the target by two."""
    scaling = Scaling(Bounds(0, 100, target_duration=5.0))
    scaling.wanted(Load(2000, 1, 0, 1, 1), 0.0)

    assert scaling.wanted(Load(1900, 1, 100, 1, 1), 1.0) == 4
    assert scaling.task_seconds == pytest.approx(0.01)


def test_long_tasks_are_worth_an_engine_each() -> None:
    """Not more, although more would be wanted to have them done within the target."""
    scaling = Scaling(Bounds(0, 100, target_duration=5.0))
    scaling.wanted(Load(20, 2, 0, 2, 2), 0.0)

    assert scaling.wanted(Load(18, 2, 2, 2, 2), 60.0) == 20


def test_engines_go_only_after_a_while_of_too_many() -> None:
    """And then as many as were not needed at any moment of it."""
    scaling = Scaling(Bounds(1, 8, idle=3.0))
    idle = Load(0, 0, 0, 8, 0)
    burst = Load(0, 4, 0, 8, 4)

    assert scaled(scaling, burst, idle, idle, idle) == [8, 8, 8, 4]
    assert scaling.wanted(Load(0, 0, 0, 4, 0), 4.0) == 1


def test_what_engines_do_beside_tasks_counts() -> None:
    """An engine that runs a command of somebody's is not too many."""
    scaling = Scaling(Bounds(0, 8, idle=1.0))
    loads = [Load(0, 0, 0, 4, 3)] * 3

    assert scaled(scaling, *loads)[-1] == 3


def test_a_pause_that_is_too_short_costs_no_engines() -> None:
    """Bursts that come again within `idle` find the engines there."""
    scaling = Scaling(Bounds(0, 4, idle=10.0))
    loads = [Load(8, 4, 0, 4, 4) if second % 8 == 0 else Load(0, 0, 0, 4, 0) for second in range(60)]

    assert set(scaled(scaling, *loads)) == {4}


BOUNDS = st.tuples(st.integers(0, 20), st.integers(1, 40)).map(
    lambda pair: Bounds(min(pair), max(pair), target_duration=2.0, idle=5.0)
)
LOADS = st.lists(
    st.builds(
        Load,
        queued=st.integers(0, 10_000),
        running=st.integers(0, 50),
        ended=st.integers(0, 10_000),
        engines=st.integers(0, 50),
        busy=st.integers(0, 50),
        coming=st.integers(0, 10),
    ),
    min_size=1,
    max_size=30,
)


@given(BOUNDS, LOADS, st.floats(0.0, 3.0))
def test_it_stays_within_its_bounds(bounds: Bounds, loads: list[Load], step: float) -> None:
    """Whatever happens: also counters that go back, with another hub."""
    assert all(
        bounds.minimum <= count <= bounds.maximum
        for count in scaled(Scaling(bounds), *loads, step=step)
    )


@given(BOUNDS, LOADS)
def test_nothing_goes_within_the_idle_time_of_its_need(bounds: Bounds, loads: list[Load]) -> None:
    """What was wanted a moment ago is not taken back before `idle` seconds have passed."""
    scaling = Scaling(bounds)
    for number, load in enumerate(loads):
        have = bounds.clamp(load.engines + load.coming)
        before = [need for at, need in scaling._needs if at > number - bounds.idle]
        wanted = scaling.wanted(load, float(number))
        if wanted < have:
            assert wanted >= max(before, default=0)


@given(BOUNDS, st.integers(0, 1000), st.integers(0, 50), st.integers(0, 20))
def test_a_steady_load_gets_a_steady_number(
    bounds: Bounds, queued: int, running: int, have: int
) -> None:
    """It is reached once, and kept: no engine comes and goes in turns."""
    scaling, counts = Scaling(bounds), []
    for second in range(30):
        have = scaling.wanted(Load(queued, running, 0, have, 0), float(second))
        counts.append(have)
    settled = counts[10:]
    assert len(set(settled)) == 1
    assert queued + running == 0 or settled[0] >= 1


@given(st.integers(0, 500), st.integers(0, 500), st.integers(0, 20))
def test_more_to_do_is_never_worth_less(queued: int, more: int, ended: int) -> None:
    """Of two loads that differ in this alone."""

    def wanted(count: int) -> int:
        scaling = Scaling(Bounds(0, 50))
        scaling.wanted(Load(queued, 1, 0, 1, 1), 0.0)
        return scaling.wanted(Load(count, 1, ended, 1, 1), 1.0)

    assert wanted(queued + more) >= wanted(queued)


@pytest.mark.parametrize(
    ("values", "error"),
    [
        ((-1, 3), ValueError), ((4, 3), ValueError), ((0, 0), ValueError),
        ((0.5, 3), TypeError), ((0, True), TypeError), (("1", 3), TypeError),
        ((0, 1, 0.0), ValueError), ((0, 1, float("nan")), ValueError), ((0, 1, 1.0, -1.0), ValueError),
    ],
)  # fmt: skip
def test_bounds_are_checked(values: tuple[Any, ...], error: type[Exception]) -> None:
    """At once, not when the queue is full."""
    with pytest.raises(error):
        Bounds(*values)


def test_who_has_least_to_do_goes_first() -> None:
    """Of several that are idle the latest ids: so the ids stay close together."""
    engines = [
        {"id": 0, "running": 0, "queued": 0},
        {"id": 1, "running": 1, "queued": 3},
        {"id": 2, "running": 1, "queued": 0},
        {"id": 3, "running": 0, "queued": 0},
    ]

    assert least_busy(engines, 1) == [3]
    assert least_busy(engines, 3) == [0, 2, 3]
    assert least_busy(engines, 9) == [0, 1, 2, 3]
    assert least_busy(engines, 0) == least_busy(engines, -1) == []

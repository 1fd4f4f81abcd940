"""When a process that keeps dying is started again."""

from __future__ import annotations

from ctrlhub.cluster.restarts import Restarts


def test_first_death_is_answered_at_once() -> None:
    """A hub that died once is back before anyone's patience ends."""
    assert Restarts(first=0.1).died(started=0.0, now=5.0) == 5.1


def test_deaths_in_a_row_are_answered_ever_later() -> None:
    """A process that dies as soon as it is started does not keep the machine busy."""
    restarts = Restarts(first=1.0, longest=6.0)
    now, delays = 0.0, []
    for _ in range(5):
        due = restarts.died(started=now, now=now)
        delays.append(due - now)
        now = due
    assert delays == [1.0, 2.0, 4.0, 6.0, 6.0]


def test_a_steady_life_makes_good() -> None:
    """A process that ran for long enough is a new one, and its death a first one."""
    restarts = Restarts(first=1.0, longest=60.0, steady=30.0)
    restarts.died(started=0.0, now=1.0)
    restarts.died(started=2.0, now=3.0)
    assert restarts.deaths == 2

    assert restarts.died(started=5.0, now=35.0) == 36.0
    assert restarts.deaths == 1


def test_thousands_of_deaths_stay_within_the_longest_delay() -> None:
    """The delay is bounded however often the process died."""
    restarts = Restarts(first=1.0, longest=15.0)
    restarts.deaths = 100_000
    assert restarts.died(started=0.0, now=0.0) == 15.0

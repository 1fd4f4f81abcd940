"""When a process that keeps dying is started again."""

from __future__ import annotations

from ctrlhub.cluster.restarts import Restarts


def test_first_death_is_answered_at_once() -> None:
    """A hub that died once is back before anyone's patience ends."""
    assert Restarts(first=0.1).died(worked=0.2, now=5.0) == 5.0


def test_deaths_in_a_row_are_answered_ever_later() -> None:
    """A process that dies as soon as it is started does not keep the machine busy."""
    restarts = Restarts(first=1.0, longest=6.0)
    assert [restarts.died(worked=0.0, now=0.0) for _ in range(6)] == [0.0, 1.0, 2.0, 4.0, 6.0, 6.0]


def test_who_has_worked_is_started_at_once_however_often_it_is_killed() -> None:
    """Its death was a first one."""
    restarts = Restarts(first=1.0, steady=1.0)
    assert [restarts.died(worked=1.5, now=10.0) for _ in range(100)] == [10.0] * 100


def test_a_life_of_work_makes_good() -> None:
    """What came before counts no more."""
    restarts = Restarts(first=1.0, steady=1.0)
    for _ in range(3):
        restarts.died(worked=0.0, now=0.0)
    assert restarts.died(worked=1.0, now=9.0) == 9.0
    assert restarts.died(worked=0.0, now=9.0) == 10.0


def test_who_ends_by_itself_has_to_have_worked_for_longer() -> None:
    """A nanny whose engines die at once lives for a while, too."""
    restarts = Restarts(first=1.0, steady=1.0, steadier=60.0)
    assert [restarts.died(worked=20.0, now=0.0, failed=True) for _ in range(3)] == [0.0, 1.0, 2.0]
    assert restarts.died(worked=60.0, now=0.0, failed=True) == 0.0


def test_who_keeps_dying_is_given_up() -> None:
    """After some minutes of trying nobody believes in it any more."""
    restarts = Restarts()
    now, deaths = 0.0, 0
    while (due := restarts.died(worked=0.0, now=now)) is not None:
        now, deaths = due, deaths + 1
    assert deaths == restarts.attempts
    assert 120.0 < now < 600.0, "shorter than engines wait for a hub"

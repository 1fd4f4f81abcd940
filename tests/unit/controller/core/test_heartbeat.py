"""Heartbeats: who is suspect, who is lost, and when to look."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ctrlhub.controller.core.heartbeat import Health, Heartbeats


@pytest.fixture
def hearts() -> Heartbeats:
    """Suspect after 3 s, lost after 10 s."""
    return Heartbeats(3.0, 10.0)


def test_silence_makes_suspect_then_lost(hearts: Heartbeats) -> None:
    """Each is reported once, at its time and not before."""
    hearts.watch(1, 0.0)
    assert hearts.tick(2.9) == []
    assert hearts.tick(3.0) == [(1, Health.SUSPECT)]
    assert hearts.tick(9.9) == []
    assert hearts.tick(10.0) == [(1, Health.LOST)]
    assert hearts.tick(99.0) == []
    assert hearts.next_deadline() is None


def test_what_the_hub_itself_missed_counts_against_nobody(hearts: Heartbeats) -> None:
    """It did not run for a minute; who beats then is well, who does not is lost in time."""
    hearts.watch(1, 0.0)
    hearts.watch(2, 0.0)
    hearts.forgive(60.0)
    assert hearts.tick(60.5) == []
    hearts.heard(1, 60.6)
    assert hearts.tick(63.5) == [(2, Health.SUSPECT)]
    assert (2, Health.LOST) in hearts.tick(70.0)


def test_being_heard_moves_the_deadline(hearts: Heartbeats) -> None:
    """A peer that beats is never suspect, and being heard is no recovery."""
    hearts.watch(1, 0.0)
    for second in range(1, 30):
        assert hearts.heard(1, float(second)) is False
        assert hearts.tick(float(second)) == []
        hearts.check()


def test_a_suspect_that_is_heard_has_recovered(hearts: Heartbeats) -> None:
    """`heard` says so, once."""
    hearts.watch(1, 0.0)
    hearts.tick(3.0)
    assert hearts.heard(1, 4.0) is True
    assert hearts.heard(1, 4.0) is False


def test_a_recovered_peer_is_suspect_again_in_time(hearts: Heartbeats) -> None:
    """The second silence is noticed after 3 s as well, not when the peer would have been lost."""
    hearts.watch(1, 0.0)
    hearts.tick(3.0)
    hearts.heard(1, 3.5)
    assert hearts.next_deadline() == 6.5
    assert hearts.tick(6.5) == [(1, Health.SUSPECT)]
    assert hearts.tick(13.5) == [(1, Health.LOST)]


def test_a_long_pause_of_the_hub_itself_loses_at_once(hearts: Heartbeats) -> None:
    """A peer not heard for longer than `lost` is lost, whether or not it was suspect before."""
    hearts.watch(1, 0.0)
    assert hearts.tick(50.0) == [(1, Health.LOST)]


def test_watching_again_welcomes_back(hearts: Heartbeats) -> None:
    """A peer that registers again starts anew, and costs no further deadline."""
    hearts.watch(1, 0.0)
    for _ in range(1000):
        hearts.watch(1, 1.0)
    assert len(hearts._deadlines) == 1
    assert hearts.tick(3.0) == []
    assert hearts.tick(4.0) == [(1, Health.SUSPECT)]
    hearts.watch(1, 5.0)
    assert hearts.tick(7.9) == []
    assert hearts.tick(8.0) == [(1, Health.SUSPECT)]


def test_forgotten_peers_are_not_reported(hearts: Heartbeats) -> None:
    """Nothing is said of a peer that left, nor heard of it."""
    hearts.watch(1, 0.0)
    hearts.forget(1)
    hearts.forget(2)
    assert hearts.heard(1, 1.0) is False
    assert hearts.tick(99.0) == []


class Steps:
    """One step of a drawn story."""

    strategy = st.lists(
        st.tuples(st.sampled_from(["watch", "heard", "forget", "tick"]), st.integers(0, 2))
        | st.tuples(st.just("wait"), st.integers(1, 40)),
        max_size=60,
    )


@given(Steps.strategy)
def test_health_is_what_the_silence_says(steps: list[tuple[str, int]]) -> None:
    """After every tick each peer is as suspect as its silence, whatever happened before."""
    hearts, now = Heartbeats(3.0, 10.0), 0.0
    heard: dict[int, float] = {}
    suspects: set[int] = set()
    for step, number in steps:
        if step == "wait":
            now += number / 4
        elif step == "watch":
            hearts.watch(number, now)
            heard[number] = now
            suspects.discard(number)
        elif step == "heard" and number in heard:
            assert hearts.heard(number, now) == (number in suspects)
            heard[number] = now
            suspects.discard(number)
        elif step == "forget":
            hearts.forget(number)
            heard.pop(number, None)
            suspects.discard(number)
        elif step == "tick":
            for worse, health in hearts.tick(now):
                assert now - heard[worse] >= (3 if health is Health.SUSPECT else 10)
                if health is Health.LOST:
                    del heard[worse]
                    suspects.discard(worse)
                else:
                    assert worse not in suspects
                    suspects.add(worse)
            assert suspects == {n for n, at in heard.items() if now - at >= 3}
            assert all(now - at < 10 for at in heard.values())
            if heard:
                due = hearts.next_deadline()
                assert due is not None
                assert due <= min(at + (10 if n in suspects else 3) for n, at in heard.items())
        hearts.check()

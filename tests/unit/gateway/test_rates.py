"""How much each may ask for."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ctrlhub.gateway.access.rates import MOST, Bucket, Rates


def test_a_burst_and_then_the_rate() -> None:
    """So many at once; then the answer says how long to wait, and who waits is let in."""
    rates = Rates(rate=2.0, burst=3.0)
    assert [rates.take("one", 0.0) for _ in range(4)] == [0.0, 0.0, 0.0, 0.5]
    assert rates.take("one", 0.5) == 0.0
    assert rates.take("one", 0.5) == 0.5


def test_each_has_its_own() -> None:
    """Who asks too much takes nothing from others."""
    rates = Rates(rate=1.0, burst=1.0)
    assert rates.take("one", 0.0) == 0.0
    assert rates.take("one", 0.0) == 1.0
    assert rates.take("other", 0.0) == 0.0


def test_it_is_bounded() -> None:
    """Addresses without end take no memory without end; who has asked last is remembered."""
    rates = Rates(rate=1e-6, burst=1.0)
    for number in range(MOST + 10):
        rates.take(f"{number}", 0.0)
    assert len(rates._buckets) == MOST
    assert rates.take(f"{MOST + 9}", 0.0) > 0.0


def test_who_is_refused_is_remembered_as_well() -> None:
    """Names that come new push out who has not asked for longest, not who asks too much."""
    rates = Rates(rate=1e-6, burst=1.0)
    rates.take("greedy", 0.0)
    for number in range(MOST + 10):
        assert rates.take("greedy", 0.0) > 0.0
        rates.take(f"{number}", 0.0)


def test_what_is_owed_is_waited_for() -> None:
    """So many at once, then so many a second; what is not used does not gather for ever, and some cost more."""
    bucket = Bucket(10.0, 5.0, 0.0)
    assert [bucket.owe(0.0) for _ in range(5)] == [0.0] * 5
    assert bucket.owe(0.0) == pytest.approx(0.1)
    assert [bucket.owe(100.0) for _ in range(5)] == [0.0] * 5
    assert bucket.owe(100.0, 20.0) == pytest.approx(2.0)


@given(st.lists(st.tuples(st.floats(0, 5), st.booleans()), max_size=60))
def test_never_more_than_the_rate_allows(steps: list[tuple[float, bool]]) -> None:
    """Whatever the pace, and if the clock stands still or goes back a little."""
    rates, bucket, now, taken, took = Rates(3.0, 5.0), Bucket(3.0, 5.0, 0.0), 0.0, 0, 0
    for pause, back in steps:
        now += pause
        at = now - 0.01 if back else now
        taken += rates.take("x", at) == 0.0
        took += bucket.take(at)
    assert taken <= 5.0 + 3.0 * (now + 0.01 * len(steps)) + 1e-6
    assert took <= 5.0 + 3.0 * (now + 0.01 * len(steps)) + 1e-6

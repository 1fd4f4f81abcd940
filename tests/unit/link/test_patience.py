from __future__ import annotations

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ctrlhub.link.patience import Backoff, Greeting, Patience


@given(st.integers(0, 1000), st.integers(1, 30))
def test_waits_stay_within_bounds(seed: int, times: int) -> None:
    """Whatever the chance, a wait is at most the longest and at least its own share of it."""
    patience = Patience()
    backoff = Backoff(patience.first, patience, Random(seed))
    wait = patience.first
    for _ in range(times):
        backoff.asked(10.0)
        assert 10.0 + wait * (1 - patience.jitter) <= backoff.due <= 10.0 + wait
        wait = min(wait * patience.factor, patience.longest)


def test_restart_begins_with_the_first_wait() -> None:
    """What was answered once is asked with the first patience again."""
    backoff = Backoff(0.5, Patience(jitter=0.0), Random(1))
    for _ in range(10):
        backoff.asked(0.0)
    backoff.restart()
    backoff.asked(0.0)
    assert backoff.due == pytest.approx(0.5)


def test_nothing_is_due_that_was_never_asked() -> None:
    """A question that was not put is not repeated; nor is a hello that was answered."""
    assert Backoff(0.5, Patience(), Random(1)).due == float("inf")
    hello = Greeting(Patience(), Random(1))
    hello.asked(1.0)
    assert (hello.awaited, hello.again, hello.due < 3.0) == (True, False, True)
    hello.asked(2.0)
    assert hello.again
    hello.answered()
    assert (hello.awaited, hello.again, hello.due) == (False, False, float("inf"))

"""Engines that were ordered and have not come."""

from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from ctrlhub.cluster.coming import Coming


def test_they_are_counted_until_they_are_there() -> None:
    """Each new process is one of them; one that was there before is none."""
    coming = Coming()
    coming.ordered(3, ["a"], 0.0)

    assert coming.outstanding(["a"], 1.0) == 3
    assert coming.outstanding(["a", "b"], 2.0) == 2
    assert coming.outstanding(["b"], 3.0) == 2
    coming.ordered(1, ["b", "c"], 4.0)
    assert coming.outstanding(["b", "c", "d", "e"], 5.0) == 0


def test_who_has_come_and_left_has_come() -> None:
    """It is not waited for again; and an old view of who is there makes nobody come twice."""
    coming = Coming()
    coming.ordered(2, ["a"], 0.0)
    coming.seen(["a", "b"])
    coming.seen(["a", "b", "c"])
    assert coming.outstanding(["a", "b"], 1.0) == 0
    coming.ordered(2, ["a"], 2.0)
    coming.seen(["a", "b", "c"])
    assert coming.outstanding(["a"], 3.0) == 2


def test_who_was_cancelled_does_not_come() -> None:
    """The others still do."""
    coming = Coming()
    coming.ordered(3, [], 0.0)
    coming.withdrawn(2)
    assert coming.outstanding([], 1.0) == 1


def test_who_does_not_come_is_not_counted_on_for_ever() -> None:
    """Unless it has to queue."""
    coming, queueing = Coming(patience=10.0), Coming(patience=math.inf)
    for each in (coming, queueing):
        each.ordered(2, [], 0.0)

    assert (coming.outstanding([], 9.9), coming.outstanding([], 10.0)) == (2, 0)
    assert queueing.outstanding([], 1e9) == 2
    queueing.give_up()
    assert queueing.outstanding([], 1e9) == 0


@given(st.lists(st.tuples(st.integers(1, 5), st.sets(st.integers(0, 30))), max_size=20))
def test_it_is_never_more_than_was_ordered(steps: list[tuple[int, set[int]]]) -> None:
    """Nor less than nothing."""
    coming, ordered = Coming(), 0
    for now, (count, there) in enumerate(steps):
        coming.ordered(count, there, float(now))
        ordered += count
        assert 0 <= coming.outstanding(there, float(now)) <= ordered

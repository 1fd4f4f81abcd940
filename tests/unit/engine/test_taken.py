"""The commands an engine has taken: known for long, in little memory."""

from __future__ import annotations

from collections import deque

from hypothesis import given
from hypothesis import strategies as st

from ctrlhub.engine.taken import FAILURES, MOST_TEXT, TakenIds
from ctrlhub.wire.limits import COUNTER_BITS

IDS = st.builds(
    lambda session, counter: session << COUNTER_BITS | counter, st.integers(1, 3), st.integers(1, 9)
)


@given(st.lists(IDS, max_size=40), st.integers(1, 10))
def test_the_last_ids_are_known_and_no_others(ids: list[int], limit: int) -> None:
    """In whatever order they come, of however many clients."""
    taken, last = TakenIds(limit), deque[int](maxlen=limit)
    for number in ids:
        assert (number in taken) == (number in last)
        taken.add(number)
        last.append(number)
    for number in ids:
        assert (number in taken) == (number in last)


def test_clients_are_forgotten_and_their_commands_are_not() -> None:
    """More clients than are known by their latest command."""
    taken = TakenIds()
    first = 1 << COUNTER_BITS | 7
    taken.add(first)
    for session in range(2, 5000):
        taken.add(session << COUNTER_BITS | 1)

    assert first in taken
    assert 1 << COUNTER_BITS | 8 not in taken


def test_failures_are_few_and_short() -> None:
    """The oldest are forgotten."""
    taken = TakenIds()
    for number in range(FAILURES + 1):
        taken.failed(number, "x" * 2 * MOST_TEXT)
    assert taken.failure(0) == ""
    assert taken.failure(FAILURES) == "x" * MOST_TEXT

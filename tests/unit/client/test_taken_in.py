"""The hub is told of what was taken in of the logs."""

from __future__ import annotations

from ctrlhub.client.taken_in import ACKNOWLEDGE, TakenIn


def test_now_and_then_and_after_a_loss() -> None:
    """Not of each message; the sign that has no number does not count."""
    received = TakenIn()
    told = [number for number in range(3 * ACKNOWLEDGE + 1) if received.is_to_be_told(number)]
    assert told == [ACKNOWLEDGE, 2 * ACKNOWLEDGE, 3 * ACKNOWLEDGE]
    assert received.is_to_be_told(10 * ACKNOWLEDGE)


def test_another_hub_counts_anew() -> None:
    """From one."""
    received = TakenIn()
    assert received.is_to_be_told(100)
    assert [n for n in range(1, ACKNOWLEDGE + 2) if received.is_to_be_told(n)] == [ACKNOWLEDGE]

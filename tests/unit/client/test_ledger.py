"""What is outstanding, and what of it was accepted."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from ctrlhub.client.ledger import FEW_RANGES, Ledger
from ctrlhub.wire.ids import to_ranges

numbers = st.sets(st.integers(1, 300))


@given(numbers, st.lists(numbers))
def test_unaccepted_is_what_no_range_covers(
    outstanding: set[int], accepted: list[set[int]]
) -> None:
    """However the hub cuts and repeats its ranges, the rest is exactly the rest."""
    ledger: Ledger[str] = Ledger()
    ledger.requests = dict.fromkeys(outstanding, "")
    for some in accepted:
        ledger.accept(to_ranges(sorted(some)))

    assert ledger.unaccepted() == sorted(outstanding.difference(*accepted))


@given(numbers, numbers, numbers)
def test_a_refusal_ends_what_it_names_and_was_not_accepted(
    outstanding: set[int], accepted: set[int], named: set[int]
) -> None:
    """In whatever order it names it; where it names nothing, all that was not accepted."""
    ledger: Ledger[str] = Ledger()
    ledger.requests = dict.fromkeys(outstanding, "")
    ledger.accept(to_ranges(sorted(accepted)))
    ranges = to_ranges(sorted(named))

    expected = outstanding - accepted
    assert ledger.refused(ranges[::-1]) == sorted(expected & named if named else expected)


def test_ranges_of_what_has_ended_are_forgotten() -> None:
    """A session that lives for long does not grow with every batch it ever sent."""
    ledger: Ledger[str] = Ledger()
    for number in range(0, 100_000, 2):
        ledger.accept(((number, number),))

    assert len(ledger._accepted) <= FEW_RANGES + 1


def test_another_hub_has_accepted_nothing() -> None:
    """After a restart everything is unaccepted."""
    ledger: Ledger[str] = Ledger()
    ledger.requests = {1: "", 2: ""}
    ledger.accept(((1, 2),))

    ledger.forget_acceptance()

    assert ledger.unaccepted() == [1, 2]

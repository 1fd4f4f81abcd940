"""Request ids, and ranges of them."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ctrlhub.wire.ids import (
    count,
    from_ranges,
    merged,
    number_of,
    request_id,
    select,
    session_of,
    text_of,
    to_ranges,
)
from ctrlhub.wire.limits import COUNTER_BITS, MAX_SESSION

sessions = st.integers(0, MAX_SESSION)
counters = st.integers(0, (1 << COUNTER_BITS) - 1)
ids = st.integers(0, (1 << 63) - 1)


@given(sessions, counters)
def test_an_id_names_its_session(session: int, counter: int) -> None:
    """The session can be read from an id, whatever the counter."""
    assert session_of(request_id(session, counter)) == session


@given(sessions, counters)
def test_every_id_fits_in_63_bits(session: int, counter: int) -> None:
    """A signed 64-bit integer holds every id, so that any language and any database can."""
    assert 0 <= request_id(session, counter) < 1 << 63


def test_the_highest_id_is_the_highest_63_bit_number() -> None:
    """No bit is wasted and none is missing."""
    assert request_id(MAX_SESSION, (1 << COUNTER_BITS) - 1) == (1 << 63) - 1


@given(sessions, st.tuples(counters, counters))
def test_ids_of_a_session_are_in_the_order_of_its_counter(
    session: int, pair: tuple[int, int]
) -> None:
    """A later request has a higher id."""
    one, other = pair
    assert (request_id(session, one) < request_id(session, other)) == (one < other)


@given(st.lists(ids))
def test_ranges_give_back_the_ids_in_their_order(numbers: list[int]) -> None:
    """Folding loses no id, adds none and changes no order, also with repetitions."""
    assert list(from_ranges(to_ranges(numbers))) == numbers


@given(st.lists(ids))
def test_ranges_are_well_formed(numbers: list[int]) -> None:
    """First is never behind last."""
    assert all(first <= last for first, last in to_ranges(numbers))


@given(st.lists(ids))
def test_count_is_the_number_of_ids(numbers: list[int]) -> None:
    """What is counted is what would be yielded."""
    assert count(to_ranges(numbers)) == len(numbers)


@given(ids, st.integers(1, 1000))
def test_consecutive_ids_share_a_range(first: int, size: int) -> None:
    """A batch is one pair, however many ids it has."""
    assert to_ranges(range(first, first + size)) == ((first, first + size - 1),)


def test_a_gap_begins_a_new_range() -> None:
    """Only neighbours share a range."""
    assert to_ranges([1, 2, 4, 5, 9]) == ((1, 2), (4, 5), (9, 9))


def test_ids_that_do_not_rise_begin_a_new_range() -> None:
    """Order is kept rather than ranges saved."""
    assert to_ranges([3, 2, 1, 1]) == ((3, 3), (2, 2), (1, 1), (1, 1))


def test_no_ids_are_no_ranges() -> None:
    """Nothing folds to nothing."""
    assert to_ranges([]) == ()
    assert list(from_ranges(())) == []
    assert count(()) == 0


def test_ranges_of_any_size_are_counted_without_being_expanded() -> None:
    """A range from the wire may claim every id there is; the count is immediate."""
    assert count(((0, (1 << 63) - 1), (5, 5))) == (1 << 63) + 1


RANGES = st.lists(
    st.tuples(st.integers(0, 60), st.integers(0, 60)).map(lambda pair: (min(pair), max(pair)))
    | st.just((0, 2**63 - 1)),
    max_size=8,
).map(tuple)


@given(RANGES)
def test_merging_keeps_the_ids(ranges: Any) -> None:
    """In rising order, and no two of the ranges could be one."""
    found = merged(ranges)
    assert all(a[1] + 1 < b[0] for a, b in pairwise(found))
    for n in range(62):
        assert any(a <= n <= b for a, b in found) == any(a <= n <= b for a, b in ranges)


@given(RANGES, st.sets(st.integers(0, 60)))
def test_selecting_by_any_ranges(ranges: Any, present: set[int]) -> None:
    """Overlapping, unordered, enormous: each present id of the ranges, once."""
    found = select(ranges, dict.fromkeys(present))
    assert len(found) == len(set(found))
    assert set(found) == {n for n in present if any(a <= n <= b for a, b in ranges)}


class Counted(int):
    """A number that counts how often any of them is compared."""

    compared = 0

    def __le__(self, other: Any) -> bool:
        """Count."""
        Counted.compared += 1
        return int(self) <= int(other)

    def __lt__(self, other: Any) -> bool:
        """Count."""
        Counted.compared += 1
        return int(self) < int(other)


def test_selecting_is_not_a_product() -> None:
    """A million claimed ids in thousands of ranges are not each compared with each result."""
    count = 2000
    ranges = tuple((Counted(1000 * n), Counted(1000 * n + 900)) for n in range(count))
    present = {Counted(1000 * n + 5): None for n in range(count)}
    Counted.compared = 0
    assert len(select(ranges, present)) == count
    assert 0 < Counted.compared < 40 * count


@pytest.mark.parametrize(
    "text", ["8388608-1", "99999999-1", f"1-{1 << 40}", "1-99999999999999", "1-" + "9" * 400, "1", "-", "a-1", "1-²"]
)
def test_ids_that_no_request_can_have_are_refused(text: str) -> None:
    """Also such as have numbers that are too large: no message could carry them."""
    with pytest.raises(ValueError, match="is not the id of a request"):
        number_of(text)


def test_the_largest_id_is_read() -> None:
    """The last request of the last session."""
    largest = f"{(1 << 23) - 1}-{(1 << 40) - 1}"
    assert text_of(number_of(largest)) == largest

"""Ids as ranges: what has ended, against a plain set."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from ctrlhub.controller.core import ended_ids as module
from ctrlhub.controller.core.ended_ids import EndedIds, IdSet

STEPS = st.lists(st.tuples(st.booleans(), st.integers(0, 40), st.integers(0, 6)))


@given(STEPS)
def test_it_is_a_set(steps: list[tuple[bool, int, int]]) -> None:
    """Whatever is added and taken out, in any order; with gaps between its ranges."""
    ids, model = IdSet(), set[int]()
    for more, first, length in steps:
        numbers = range(first, first + length + 1)
        if more:
            ids.add(first, first + length)
            model.update(numbers)
        else:
            ids.discard(first, first + length)
            model.difference_update(numbers)
        assert {n for n in range(60) if n in ids} == model
        assert len(ids) == len(model)
        gaps = zip(ids._lasts, ids._firsts[1:], strict=False)
        assert all(last + 1 < first for last, first in gaps)


def test_a_million_ids_in_a_row_are_one_range() -> None:
    """However they came."""
    ids = IdSet()
    for first in (*range(0, 1_000_000, 1000), *range(500, 1_000_000, 1000)):
        ids.add(first, first + 499)
    assert (ids._firsts, ids._lasts) == ([0], [999_999])


def test_memory_is_bounded() -> None:
    """The smallest ids are forgotten first."""
    ids = IdSet()
    for number in range(0, 4 * module.MOST_RANGES, 2):
        ids.add(number, number)
    assert len(ids) <= module.MOST_RANGES
    assert 4 * module.MOST_RANGES - 2 in ids
    assert 0 not in ids


def test_how_they_ended() -> None:
    """Well, or not, or nobody knows."""
    ended = EndedIds()
    ended.add([(1, 9)], [3])
    assert [ended.how(number) for number in (1, 3, 9, 10)] == [True, False, True, None]
    ended.discard(1, 5)
    assert [ended.how(number) for number in (1, 3, 9)] == [None, None, True]

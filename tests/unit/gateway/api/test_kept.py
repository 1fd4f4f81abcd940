from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from ctrlhub.gateway.api.kept import ROW_BYTES, Kept


def row(number: int, size: int = 0) -> tuple[Any, ...]:
    """Return a row of some size."""
    return (number, 0, b"x" * size, 0, 0.0, 0.0, None)


def test_the_oldest_rows_make_room() -> None:
    """What is kept is bounded in bytes, and the newest is there."""
    kept = Kept(3 * ROW_BYTES, 100)
    for number in range(5):
        kept.add(row(number))
    assert [kept.find(n) is not None for n in range(5)] == [False, False, True, True, True]


def test_the_last_row_is_kept_whatever_its_size() -> None:
    """Whoever has just been told that it has ended can have it; the next one takes its place."""
    kept = Kept(2 * ROW_BYTES, 100)
    kept.add(row(1))
    kept.add(row(2, 10 * ROW_BYTES))
    assert [kept.find(n) is not None for n in (1, 2)] == [False, True]
    kept.add(row(3))
    assert [kept.find(n) is not None for n in (1, 2, 3)] == [False, False, True]
    kept.check()


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 900), st.booleans()), max_size=50))
def test_sizes_agree_whatever_comes(steps: list[tuple[int, int, bool]]) -> None:
    """Also where a row comes twice, or is dropped."""
    kept = Kept(3000, 5)
    for number, size, drops in steps:
        if drops:
            kept.drop(number)
        else:
            kept.add(row(number, size))
        kept.check()

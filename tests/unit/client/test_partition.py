"""Sequences to parts and back."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ctrlhub.client.chunks import chunked, columns_of
from ctrlhub.client.partition import join, split

dists = st.sampled_from(["b", "r"])
parts = st.integers(1, 8)


@given(st.lists(st.integers()), parts, dists, st.sampled_from([list, tuple]))
def test_lists_and_tuples_come_back(items: list[int], n: int, dist: str, kind: type) -> None:
    """What was split is joined to what it was, type and all; parts differ by one item at most."""
    whole = kind(items)
    found = split(whole, n, dist)

    assert len(found) == n
    assert all(type(part) is kind for part in found)
    assert max(map(len, found)) - min(map(len, found)) <= 1
    assert join(found, dist) == whole


@given(st.text(), parts, dists)
def test_text_comes_back(text: str, n: int, dist: str) -> None:
    """Text is split by characters."""
    assert join(split(text, n, dist), dist) == text


@given(st.binary(), parts, dists)
def test_bytes_come_back(data: bytes, n: int, dist: str) -> None:
    """Bytes as well."""
    assert join(split(data, n, dist), dist) == data


@given(st.integers(0, 40), parts, dists, st.integers(1, 3))
def test_arrays_come_back(length: int, n: int, dist: str, width: int) -> None:
    """Arrays are split along their first axis, and keep their dtype."""
    whole = np.arange(length * width, dtype="i2").reshape(length, width)
    found = join(split(whole, n, dist), dist)

    assert found.dtype == whole.dtype
    np.testing.assert_array_equal(found, whole)


@given(st.integers(0, 40), parts, dists)
def test_ranges_come_back_as_lists(length: int, n: int, dist: str) -> None:
    """A range is dealt as ranges, which need no room, and joined to a list."""
    found = split(range(length), n, dist)

    assert all(isinstance(part, range) for part in found)
    assert join(found, dist) == list(range(length))


def test_blocks_and_round_robin() -> None:
    """The longer parts come first."""
    assert split([1, 2, 3, 4, 5], 2) == [[1, 2, 3], [4, 5]]
    assert split([1, 2, 3, 4, 5], 2, "r") == [[1, 3, 5], [2, 4]]


def test_a_generator_is_dealt_as_a_list() -> None:
    """Anything that can be iterated over can be split."""
    assert split((n for n in range(3)), 2) == [[0, 1], [2]]


@pytest.mark.parametrize("dist", ["b", "r"])
def test_items_that_are_no_sequences_are_listed(dist: str) -> None:
    """A flattened scatter leaves items, which are gathered as a list."""
    assert join([1, 2, 3], dist) == [1, 2, 3]


def test_parts_that_engines_changed_are_joined_as_they_are() -> None:
    """Their lengths need not fit what was scattered."""
    assert join([[1], [2, 3, 4], []], "r") == [1, 2, 3, 4]
    np.testing.assert_array_equal(join([np.array([1]), np.array([2, 3])], "r"), [1, 2, 3])


@pytest.mark.parametrize("bad", ["x", "", "block"])
def test_another_way_to_deal_is_refused(bad: str) -> None:
    """By name."""
    with pytest.raises(ValueError, match="dist"):
        split([1], 1, bad)


def test_the_client_imports_nothing_heavy() -> None:
    """Who does not use NumPy, asyncio or a progress bar does not pay for them."""
    code = (
        "import sys, ctrlhub.client.client\n"
        "print([m for m in ('numpy', 'asyncio', 'tornado', 'tqdm', 'IPython') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "[]"


# ---------------------------------------------------------------- chunks


@given(st.lists(st.lists(st.integers(), max_size=9), min_size=1, max_size=3))
def test_columns_end_with_the_shortest(sequences: list[list[int]]) -> None:
    """As `zip` does, also for what cannot be sliced."""
    expected: list[Any] = list(zip(*sequences, strict=False))

    assert list(zip(*columns_of(sequences), strict=True)) == expected
    assert list(zip(*columns_of([iter(s) for s in sequences]), strict=True)) == expected


def test_chunks_are_columns() -> None:
    """A task of several items has one list for each parameter, and says where they begin."""
    found = list(chunked(zip([1, 2, 3], "abc", strict=True), 2))

    assert found == [(0, [1, 2], ["a", "b"]), (2, [3], ["c"])]

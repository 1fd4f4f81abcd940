"""Queries on records."""

from __future__ import annotations

import fnmatch
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ctrlhub.controller.core.matching import OPERATORS, compiled
from ctrlhub.wire.errors import InvalidRequest

KEYS = ("a", "b", "c")


def fits(query: Any, **record: Any) -> bool:
    """Say whether a record fits."""
    return compiled(query, KEYS)({key: record.get(key) for key in KEYS})


@pytest.mark.parametrize(
    ("condition", "fitting", "others"),
    [
        (3, [3, 3.0], [4, None, "3"]),
        (None, [None], [0, ""]),
        ({"$lt": 3}, [2, -1.5], [3, 4, None, "2"]),
        ({"$gt": 3}, [4, 3.5], [3, 2, None, "4"]),
        ({"$lte": 3}, [2, 3], [4, None]),
        ({"$gte": "b"}, ["b", "c"], ["a", None, 3]),
        ({"$eq": "x"}, ["x"], ["y", None]),
        ({"$ne": "x"}, ["y", None], ["x"]),
        ({"$in": ["x", None]}, ["x", None], ["y"]),
        ({"$nin": ["x", None]}, ["y", 3], ["x", None]),
        ({"$glob": "fit-*"}, ["fit-", "fit-1"], ["unfit-1", "FIT-1", None, 3]),
        ({"$exists": True}, [0, "", False], [None]),
        ({"$exists": False}, [None], [0, ""]),
        ({"$gt": 1, "$lt": 3}, [2], [1, 3]),
    ],
)
def test_operators(condition: Any, fitting: list[Any], others: list[Any]) -> None:
    """Each, with what cannot be compared."""
    assert [fits({"a": condition}, a=value) for value in fitting] == [True] * len(fitting)
    assert [fits({"a": condition}, a=value) for value in others] == [False] * len(others)


def test_all_keys_must_fit() -> None:
    """Each by its own value; an empty query fits everything."""
    query = {"a": 1, "b": {"$gt": 2}}
    assert fits(query, a=1, b=3)
    assert not fits(query, a=2, b=3)
    assert not fits(query, a=1, b=2)
    assert fits({})


@pytest.mark.parametrize(
    ("query", "says"),
    [
        ([], "map"),
        ({"d": 1}, "no key 'd'"),
        ({1: 1}, "no key 1"),
        ({"a": {"$near": 1}}, r"no operator '\$near'"),
        ({"a": {"$gt": 1, "x": 1}}, "no operator 'x'"),
        ({"a": {"$in": 3}}, "needs a list"),
        ({"a": {"$glob": 3}}, "needs a pattern"),
    ],
)
def test_what_is_no_query(query: Any, says: str) -> None:
    """The error says what is wrong."""
    with pytest.raises(InvalidRequest, match=says):
        compiled(query, KEYS)


PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=5,
)


@given(st.sampled_from(sorted(OPERATORS)), PLAIN, PLAIN)
def test_any_operand_and_any_value(name: str, operand: Any, value: Any) -> None:
    """Either it is no query, or it has an answer."""
    try:
        test = compiled({"a": {name: operand}}, KEYS)
    except InvalidRequest:
        return
    assert test({"a": value}) in (True, False)


def test_a_long_pattern_is_refused() -> None:
    """It would take the time of everybody; and no pattern is kept once its query is answered."""
    with pytest.raises(InvalidRequest, match="256"):
        compiled({"a": {"$glob": "*a" * 200}}, KEYS)
    kept = fnmatch._compile_pattern.cache_info().currsize
    assert fits({"a": {"$glob": "no-other-test-has-this-*"}}, a="no-other-test-has-this-1")
    assert fnmatch._compile_pattern.cache_info().currsize == kept


def test_long_lists_are_not_walked() -> None:
    """For each record; what cannot be looked up fits nothing."""

    class Compared(int):
        """Counts how often it is compared."""

        times = 0
        __hash__ = int.__hash__

        def __eq__(self, other: object) -> bool:
            Compared.times += 1
            return int(self) == other

    among = compiled({"a": {"$in": [*map(Compared, range(100)), [], {}]}}, KEYS)
    Compared.times = 0
    assert among(dict.fromkeys(KEYS, 70))
    assert not among(dict.fromkeys(KEYS, 200))
    assert Compared.times < 10

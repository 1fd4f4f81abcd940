"""How much a JSON text holds, before it is unfolded."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ctrlhub.wire.json_shape import check_shape, most_parts

TEXTS = st.text(max_size=5) | st.sampled_from(['"', "\\", '\\"', "[[,{", "\\\\", "]}"])
VALUES = st.recursive(
    st.none() | st.integers() | TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=20,
)


def shape_of(value: Any) -> tuple[int, int]:
    """Return how many parts a value has, and how deep they lie: an empty list is one."""
    if not isinstance(value, list | dict):
        return 0, 0
    inner = [shape_of(each) for each in (value.values() if isinstance(value, dict) else value)]
    return max(1, len(inner)) + sum(parts for parts, _ in inner), 1 + max((depth for _, depth in inner), default=0)


@given(VALUES)
def test_any_value(value: Any) -> None:
    """Its parts and its depth are found exactly, whatever its texts look like."""
    parts, depth = shape_of(value)
    data = json.dumps(value).encode()
    check_shape(data, parts, depth)
    assert most_parts(data) == most_parts(data.decode()) >= parts
    if parts:
        with pytest.raises(ValueError, match="parts"):
            check_shape(data, parts - 1, depth)
        with pytest.raises(ValueError, match="deeper"):
            check_shape(data, parts, depth - 1)


@given(st.binary(max_size=200), st.binary(max_size=200))
def test_what_is_no_json(data: bytes, more: bytes) -> None:
    """It is looked at as well, has no more parts than bytes, and no other error."""
    for each in (data, more + b'"' + data, b"]" + data):
        check_shape(each, len(each), len(each))
        with suppress(ValueError):
            check_shape(each, 5, 5)


def test_many_texts() -> None:
    """They are parts, whatever stands between them."""
    with pytest.raises(ValueError, match="parts"):
        check_shape(b'""' * 1000, 100, 10)

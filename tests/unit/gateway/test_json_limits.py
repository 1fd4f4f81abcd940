"""JSON of strangers."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ctrlhub.gateway.access.json_limits import MOST_DEPTH, MOST_DIGITS, MOST_PARTS, checked_json

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=20,
)


@given(VALUES)
def test_json_is_read(value: Any) -> None:
    """As Python reads it."""
    assert checked_json(json.dumps(value).encode()) == value
    assert checked_json(json.dumps(value, ensure_ascii=False).encode("utf-8", "surrogatepass")) == value if _is_text(value) else True


def _is_text(value: Any) -> bool:
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return False
    return True


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"[" * (MOST_DEPTH + 1) + b"]" * (MOST_DEPTH + 1), "deeper"),
        (b"[" * 10_000_000, "parts"),
        (b'{"a":' * 10_000, "deeper"),
        (b"[" + b"0," * MOST_PARTS + b"0]", "parts"),
        (b"[" + b"9" * (MOST_DIGITS + 1) + b"]", "digits"),
        (b"NaN", "not JSON"),
        (b"-Infinity", "not JSON"),
        (b"1e400", "larger than any float"),
        (b"[-1E999]", "larger than any float"),
        (b'{"a": 1, "a": 1}', "'a' twice"),
        (b'[{"a": {"b": 1, "c": 2, "\\u0062": 3}}]', "'b' twice"),
        (b"\xff", "UTF-8"),
        (b"", "Expecting value"),
        (b"{", "character 1"),
        (b"[1] x", "Extra data"),
    ],
)  # fmt: skip
def test_bombs_and_what_is_no_json_are_refused(data: bytes, why: str) -> None:
    """Before they are unfolded; the message says what is wrong."""
    with pytest.raises(ValueError, match=why):
        checked_json(data)


def test_brackets_in_texts_are_texts() -> None:
    """They do not count, however they are written."""
    text = "[" * 1000 + '\\"' + "{" * 1000
    assert checked_json(json.dumps([text, {text: text}]).encode()) == [text, {text: text}]


@given(st.binary(max_size=300))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    """As `json` judges them, with an error of one kind."""
    try:
        checked_json(data)
    except ValueError:
        return
    json.loads(data)

"""What is displayed, as plain data."""

from __future__ import annotations

from typing import Any

import numpy as np

from ctrlhub.engine.mime import MOST_LEVELS, plain
from ctrlhub.wire.checks import is_shallow
from ctrlhub.wire.codec import decode, encode
from ctrlhub.wire.messages import Output


def test_what_is_displayed_can_travel() -> None:
    """Binary data as text, keys as text, numbers of other kinds as numbers, the rest as text."""
    value = {
        "image/png": b"\x89PNG",
        "application/json": {1: [np.float64(0.5), 2**80, None, True], "set": {3}},
        "text/plain": "x",
        "odd": 1j,
    }

    found = plain(value)

    assert found == {
        "image/png": "iVBORw==",
        "application/json": {"1": [0.5, str(2**80), None, True], "set": [3]},
        "text/plain": "x",
        "odd": "1j",
    }
    assert decode(*encode(Output(1, 1, (("display", 0, found),))))


def test_what_lies_too_deep_is_told_of() -> None:
    """The hub takes no maps and lists that lie deeper in each other than that; nor can all be walked."""
    deep: Any = []
    for _ in range(100_000):
        deep = {"x": [deep]}
    shown = plain(deep)
    assert is_shallow(shown, MOST_LEVELS + 1)
    while not isinstance(shown, str):
        shown = shown["x"] if isinstance(shown, dict) else shown[0]
    assert "too deep" in shown

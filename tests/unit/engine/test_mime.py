"""What is displayed, as plain data."""

from __future__ import annotations

import numpy as np

from ctrlhub.engine.mime import plain
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

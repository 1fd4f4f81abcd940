from __future__ import annotations

from typing import Any

import pytest

from ctrlhub.client.handing_over import bare
from ctrlhub.gateway.api import finding as module
from ctrlhub.gateway.api.finding import Ended


def row(number: int, size: int = 10) -> tuple[Any, ...]:
    """Return a row with a value of a size."""
    return (number, 0, bytes(size), 0, 1.0, 2.0, None)


def test_of_what_has_ended_meanwhile_so_much_is_held_as_memory_has_room_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What is kept elsewhere is not held, and asked for there: here there is no value of it."""
    monkeypatch.setattr(module, "MOST_HELD", 10_000)
    ended = Ended()
    for each in (row(1), bare(row(2)), row(3, 20_000), row(4)):
        ended.add(each)
    assert ended.numbers == {1, 2, 3, 4}
    assert ended.held == {1: row(1), 4: row(4)}

"""The turns of a hub: a peer that sends without end leaves others their turn."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import pytest

from ctrlhub.controller import hub as module
from ctrlhub.controller.config import HubConfig
from ctrlhub.controller.hub import ROUNDS, Hub
from ctrlhub.controller.loop import HubLoop
from ctrlhub.controller.stores.memory import MemoryStore


class Flood:
    """A transport that has always another message, and counts how often it is asked."""

    def __init__(self) -> None:
        self.asked = 0

    def receive(self, receiver: Any, budget: int) -> int:
        """Have something, which says nothing."""
        self.asked += 1
        return 1


class HandLoop:
    """A loop that runs nothing by itself."""

    def __init__(self) -> None:
        self.calls: list[Callable[[], None]] = []

    def soon(self, call: Callable[[], None]) -> None:
        """Keep the call."""
        self.calls.append(call)


@pytest.fixture
def flood() -> Flood:
    """A peer that sends without end."""
    return Flood()


@pytest.fixture
def loop() -> HandLoop:
    """The hub's loop."""
    return HandLoop()


@pytest.fixture
def hub(flood: Flood, loop: HandLoop) -> Hub:
    """A hub that it is sent to."""
    return Hub(HubConfig(), [cast(Any, flood)], MemoryStore(), loop=cast(HubLoop, loop))


def test_a_turn_without_end_is_broken_off(hub: Hub, flood: Flood, loop: HandLoop) -> None:
    """It goes on once the loop has looked at other streams, timers and signals."""
    hub._turn()
    assert 0 < flood.asked <= ROUNDS
    assert len(loop.calls) == 1


def test_turns_do_not_gather(hub: Hub, flood: Flood, loop: HandLoop) -> None:
    """Each stream that has something and each timer makes one; only one of them goes on."""
    for _ in range(5):
        hub._turn()
    assert len(loop.calls) == 1
    for _ in range(5):
        loop.calls.pop()()
        assert len(loop.calls) == 1


def test_a_turn_that_takes_long_is_broken_off_early(
    hub: Hub, flood: Flood, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However few messages it has taken: they are large."""
    now = iter(range(10**6))
    monkeypatch.setattr(module.time, "monotonic", lambda: float(next(now)))
    hub._turn()
    assert flood.asked == 2

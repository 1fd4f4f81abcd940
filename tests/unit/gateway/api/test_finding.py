from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from ctrlhub.client.handing_over import bare
from ctrlhub.gateway.api import finding as module
from ctrlhub.gateway.api.finding import Ended, Finding


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


def test_what_nobody_waits_for_any_more_is_not_followed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whether he has gone, or his time is over; what has come needs no word."""
    followed: list[str] = []

    def follow(client: Any, numbers: Any, take: Callable[[Any], None]) -> Callable[[], None]:
        followed.append("begun")
        if numbers == [7]:
            take(row(7))
        return lambda: followed.append("stopped")

    async def run(number: int, wait: float, *, goes: bool) -> None:
        finding: Any = Finding.__new__(Finding)
        task = asyncio.create_task(finding._ended_at_hub(None, [number], wait, Ended()))
        while not followed:
            await asyncio.sleep(0)
        if goes:
            task.cancel()
        await asyncio.wait([task])

    monkeypatch.setattr(module, "_statuses", lambda client, numbers: {})
    monkeypatch.setattr(module, "follow_each", follow)
    for number, wait, goes, told in ((1, 60.0, True, 2), (1, 0.0, False, 2), (7, 60.0, False, 1)):
        followed.clear()
        asyncio.run(run(number, wait, goes=goes))
        assert len(followed) == told

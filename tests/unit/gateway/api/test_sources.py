from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable, Coroutine
from types import SimpleNamespace
from typing import Any

import pytest

from ctrlhub.controller.interfaces.rows import KEYS
from ctrlhub.gateway.api import output_of_all
from ctrlhub.gateway.api import sources as module
from ctrlhub.gateway.api.fanout import OUTPUT, TASKS, Fanout, Subscriber
from ctrlhub.gateway.api.followed import Rounds
from ctrlhub.gateway.api.sources import OUTPUT_OF, REQUEST, Sources
from ctrlhub.wire.errors import HubUnavailable, LimitExceeded
from ctrlhub.wire.ids import from_ranges, text_of

DEADLINE = 10.0


class Hub:
    """Knows some requests, and answers a few at a time; what is wrong with it is said by a test."""

    def __init__(self) -> None:
        self.ended: set[int] = set()
        self.known: set[int] = set()
        self.page = 1000
        self.asked: list[list[int]] = []
        self.trouble: Callable[[list[int]], Exception | None] = lambda asked: None
        connection = SimpleNamespace(engines=dict, follow_engines=lambda act: None)
        self._client = SimpleNamespace(client=SimpleNamespace(_connection=connection))

    async def client(self, role: Any) -> Any:
        """Return a client of it."""
        return self._client

    async def telemetry(self) -> Any:
        """Fail as nobody has foreseen."""
        raise ZeroDivisionError("figures")

    def all(self) -> list[Any]:
        """Return what is submitted: nothing."""
        return []

    async def ask(self, role: Any, interface: str, method: str, requests: Any) -> Any:
        """Answer as `history.records` does."""
        asked = list(from_ranges(requests))
        self.asked.append(asked)
        await asyncio.sleep(0)
        error = self.trouble(asked)
        if error is not None:
            raise error
        shown, rest = asked[: self.page], asked[self.page :]
        records = [
            dict.fromkeys(KEYS) | {"msg_id": text_of(n), "status": "ok" if n in self.ended else "queued"}
            for n in shown if n in self.ended | self.known
        ]  # fmt: skip
        return {"records": records, "after": shown[-1] if rest else None}


class World:
    """Sources of such a hub, and who is told."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(module, "PERIOD", 0.0)
        self.hub = Hub()
        self.fanout = Fanout("e")
        rest: Any = self.hub
        self.sources = Sources(self.fanout, rest)
        self.came = asyncio.Event()

    def follow(self, *numbers: int) -> Subscriber:
        """Subscribe to the ends of requests."""
        topics = [(REQUEST, number) for number in numbers]
        subscriber = self.fanout.subscribe([TASKS, *topics], self.came.set, 0.0)
        self.sources.joined(topics)
        return subscriber

    async def told(self, subscriber: Subscriber, count: int) -> list[tuple[str, str]]:
        """Return so many events, once they have come."""
        found: list[tuple[str, str]] = []
        async with asyncio.timeout(DEADLINE):
            while len(found) < count:
                await self.came.wait()
                self.came.clear()
                events = [json.loads(each.text) for each in subscriber.take()]
                found += [(each["event"], each["data"]["id"]) for each in events]
                subscriber.sent()
        return found


def run(test: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Run a test in a loop."""
    asyncio.run(test())


def test_a_slice_that_fails_stops_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    """The ends of all others are told, once each; and figures that fail are no matter."""

    async def test() -> None:
        world = World(monkeypatch)
        world.sources._rounds = Rounds(at_once=10)
        world.hub.ended = set(range(100))
        world.hub.trouble = lambda asked: LimitExceeded("no") if 15 in asked else None
        told = await world.told(world.follow(*range(100)), 90)
        names = [text_of(n) for n in range(100) if n not in range(10, 20)]
        assert sorted(told) == sorted(("ended", name) for name in names)

    run(test)


def test_an_answer_that_holds_few_is_gone_on_with(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each end is told once, over several calls and answers."""

    async def test() -> None:
        world = World(monkeypatch)
        world.sources._rounds = Rounds(at_once=10, patience=0.0)
        world.hub.page = 7
        world.hub.ended = set(range(100))
        told = await world.told(world.follow(*range(100)), 100)
        assert sorted(told) == sorted(("ended", text_of(n)) for n in range(100))

    run(test)


def test_a_turn_is_bounded_and_the_next_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """So many followed requests cost the hub no more in a turn; but each has its turn."""

    async def test() -> None:
        world = World(monkeypatch)
        monkeypatch.setattr(module, "PER_TURN", 20)
        world.sources._rounds = Rounds(at_once=10)
        world.hub.known = set(range(50))
        world.fanout.subscribe([(REQUEST, n) for n in range(50)], world.came.set, 0.0)
        turns = []
        for _ in range(5):
            await world.sources._look_at_followed()
            turns.append([n for asked in world.hub.asked for n in asked])
            world.hub.asked.clear()
        assert max(map(len, turns)) == 20
        assert {n for turn in turns[:3] for n in turn} == set(range(50))

    run(test)


def test_what_the_hub_does_not_know_is_told_and_asked_for_no_more(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Others stay."""

    async def test() -> None:
        world = World(monkeypatch)
        world.sources._rounds = Rounds(patience=0.0)
        world.hub.known = {1}
        assert await world.told(world.follow(1, 2), 1) == [("unknown", text_of(2))]
        assert list(world.fanout.wanted(REQUEST)) == [1]

    run(test)


def test_the_hub_is_asked_again_after_whatever_went_wrong(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """What nobody has foreseen stands in the log; a hub that is not there is asked once in a turn."""

    async def test() -> None:
        world = World(monkeypatch)
        errors: list[Exception] = [KeyError("odd"), HubUnavailable("gone"), OSError("broken")]
        world.hub.trouble = lambda asked: errors.pop(0) if errors else None
        world.hub.ended = {5}
        with caplog.at_level(logging.WARNING, module.__name__):
            assert await world.told(world.follow(5), 1) == [("ended", text_of(5))]
        assert world.hub.asked == [[5]] * 4
        failed = [record.exc_info[1] for record in caplog.records if record.exc_info]
        assert {type(error) for error in failed} == {KeyError, OSError, ZeroDivisionError}
        assert "gone" in caplog.text

    run(test)


def test_somebody_who_comes_when_the_last_has_left_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who asks the hub has ended with the last one, or is about to."""

    async def test() -> None:
        world = World(monkeypatch)
        world.hub.ended = {5}
        for turns in range(12):
            first = world.follow(6)
            await asyncio.sleep(0)
            world.fanout.leave(first)
            for _ in range(turns):
                await asyncio.sleep(0)
            second = world.follow(5)
            assert await world.told(second, 1) == [("ended", text_of(5))]
            world.fanout.leave(second)

    run(test)


def test_output_that_cannot_be_followed_is_logged(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A failure in a task that nobody waits for is not lost."""

    async def test() -> None:
        world = World(monkeypatch)

        def fail(*what: Any) -> None:
            raise OSError("no thread")

        monkeypatch.setattr(module, "follow_output", fail)
        world.fanout.subscribe([(OUTPUT_OF, 3)], world.came.set, 0.0)
        submissions: Any = SimpleNamespace(client=SimpleNamespace(client=None))
        world.sources.submitted(submissions, [3, 4])
        assert world.sources._told.keys() == {3}
        [task] = world.sources._tasks
        await asyncio.wait([task])
        await asyncio.sleep(0)
        assert "no thread" in caplog.text

    run(test)


def test_output_is_watched_no_longer_for_who_asks_and_does_not_come(monkeypatch: pytest.MonkeyPatch) -> None:
    """As one whose WebSocket is refused in the end: nobody else has to come for it to be over."""

    async def test() -> None:
        world, asked, is_over = World(monkeypatch), [], asyncio.Event()
        loop = asyncio.get_running_loop()

        def unwatch(client: object) -> None:
            asked.append("unwatch")
            loop.call_soon_threadsafe(is_over.set)

        monkeypatch.setattr(output_of_all, "LINGER", 0.0)
        monkeypatch.setattr(output_of_all, "watch_output", lambda *what: asked.append("watch"))
        monkeypatch.setattr(output_of_all, "unwatch_output", unwatch)
        world.hub._client.closed = False
        await world.sources.start([OUTPUT])
        async with asyncio.timeout(DEADLINE):
            await is_over.wait()
        assert asked == ["watch", "unwatch"]

    run(test)

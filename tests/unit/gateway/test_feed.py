"""The feed asks the hub once for everybody, and only while somebody looks."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from itertools import pairwise
from typing import Any

import pytest

from ctrlhub.gateway.feed import PERIOD, TelemetryFeed
from ctrlhub.wire.errors import HubUnavailable
from ctrlhub.wire.telemetry import StoreTelemetry, TaskSample, Telemetry


class Hub:
    """Answers as a hub does that ends a request a second."""

    def __init__(self) -> None:
        self.time = 100.0
        self.started = 100.0
        self.asked: list[int] = []
        self.error: Exception | None = None
        self.gate: asyncio.Event | None = None

    async def ask(self, since: int) -> Telemetry:
        """Answer."""
        self.asked.append(since)
        if self.gate is not None:
            await self.gate.wait()
        if self.error is not None:
            raise self.error
        ended = int(self.time - self.started)
        first = since if since <= ended else 0
        tasks = tuple(TaskSample(n, 0, "", 0.0, 0.0, "ok", "") for n in range(first, ended))
        return Telemetry(
            self.time, ended, self.started, {}, {}, 0, 0, {}, (), (), tasks, 0, (), StoreTelemetry()
        )


def with_feed(test: Callable[[Hub, TelemetryFeed], Awaitable[Any]]) -> None:
    """Run a test in a loop of its own."""

    async def main() -> None:
        hub = Hub()
        feed = TelemetryFeed(hub.ask, lambda: hub.time)
        await test(hub, feed)
        feed.close()

    asyncio.run(main())


def test_many_who_ask_at_once_make_one_question() -> None:
    """And another one only when the answer is older than a second."""

    async def test(hub: Hub, feed: TelemetryFeed) -> None:
        hub.gate = asyncio.Event()
        asking = [asyncio.create_task(feed.now()) for _ in range(50)]
        await asyncio.sleep(0)
        hub.gate.set()
        answers = await asyncio.gather(*asking)
        assert len({id(each) for each in answers}) == 1
        hub.time += PERIOD / 2
        await feed.now()
        assert hub.asked == [0]
        hub.time += PERIOD / 2
        assert (await feed.now()).time == hub.time
        assert len(hub.asked) == 2

    with_feed(test)


def test_who_looks_is_told_each_second_also_where_answers_take_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """The second is counted from question to question: no turn goes by without one."""

    async def main() -> None:
        hub, waited = Hub(), []
        turn = asyncio.sleep

        async def answers(since: int) -> Telemetry:
            hub.time += 0.03
            return await Hub.ask(hub, since)

        async def sleep(seconds: float) -> None:
            waited.append(seconds)
            hub.time += seconds
            await turn(0)

        monkeypatch.setattr(asyncio, "sleep", sleep)
        feed = TelemetryFeed(answers, lambda: hub.time)
        heard: list[float] = []
        leave = feed.subscribe(lambda found: heard.append(found.time))
        while len(waited) < 5:
            await turn(0)
        leave()
        assert len(heard) == len(waited)
        assert [then - now for now, then in pairwise(heard)] == pytest.approx([PERIOD] * (len(heard) - 1))
        feed.close()

    asyncio.run(main())


def test_what_has_ended_is_asked_for_once() -> None:
    """Each answer has what has ended since the one before."""

    async def test(hub: Hub, feed: TelemetryFeed) -> None:
        ended = []
        for _ in range(3):
            hub.time += 2.0
            ended += [each.id for each in (await feed.now()).tasks]
        assert hub.asked == [0, 2, 4]
        assert ended == [0, 1, 2, 3, 4, 5]

    with_feed(test)


def test_another_hub_counts_anew() -> None:
    """All that it has is asked for, from its beginning."""

    async def test(hub: Hub, feed: TelemetryFeed) -> None:
        hub.time += 3.0
        await feed.now()
        hub.started, hub.time = 103.0, 110.0
        found = await feed.now()
        assert hub.asked == [0, 3, 0]
        assert found.started == 103.0
        assert [each.id for each in found.tasks] == [0, 1, 2, 3, 4, 5, 6]

    with_feed(test)


def test_listeners_are_told_until_they_leave() -> None:
    """With the last of them the questions end."""

    async def test(hub: Hub, feed: TelemetryFeed) -> None:
        heard: list[list[float]] = [[], []]
        ends = [feed.subscribe(lambda found, n=n: heard[n].append(found.time)) for n in range(2)]  # type: ignore[misc]
        while not all(heard):
            await asyncio.sleep(0)
        assert heard == [[100.0], [100.0]]
        ends[0]()
        hub.time += PERIOD
        await feed.now()  # a scrape brings news to all
        assert heard == [[100.0], [100.0, 100.0 + PERIOD]]
        assert feed.listeners == 1
        ends[1]()
        ends[1]()
        assert feed.listeners == 0
        assert feed._task is None

    with_feed(test)


def test_a_listener_that_fails_keeps_no_other_in_the_dark(caplog: pytest.LogCaptureFixture) -> None:
    """The log has what it raised."""

    async def test(hub: Hub, feed: TelemetryFeed) -> None:
        heard: list[float] = []

        def fails(found: Telemetry) -> None:
            raise ValueError("a bug")

        feed.subscribe(fails)
        feed.subscribe(lambda found: heard.append(found.time))
        while not heard:
            await asyncio.sleep(0)

    with_feed(test)
    assert "a bug" in caplog.text


def test_a_hub_that_does_not_answer_is_trouble_until_it_does(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """It is logged once, and who waits for figures hears of it."""

    async def test(hub: Hub, feed: TelemetryFeed) -> None:
        hub.error = HubUnavailable("it is gone")
        for _ in range(3):
            hub.time += PERIOD
            with pytest.raises(HubUnavailable):
                await feed.now()
        assert feed.trouble == "it is gone"
        hub.error = None
        await feed.now()
        assert feed.trouble == ""

    with_feed(test)
    assert caplog.text.count("it is gone") == 1


def test_who_waits_for_a_hub_that_does_not_answer_waits_once() -> None:
    """Not for one after the other to find that out."""

    async def test(hub: Hub, feed: TelemetryFeed) -> None:
        hub.error, hub.gate = HubUnavailable("it is gone"), asyncio.Event()
        asking = [asyncio.create_task(feed.now()) for _ in range(20)]
        await asyncio.sleep(0)
        hub.gate.set()
        found = await asyncio.gather(*asking, return_exceptions=True)
        assert all(isinstance(each, HubUnavailable) for each in found)
        assert len(hub.asked) == 1
        hub.error = None
        hub.time += PERIOD
        assert (await feed.now()).time == hub.time

    with_feed(test)

"""The gateway watches the output of others once for all, as long as anybody wants it, and takes in what comes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from types import SimpleNamespace
from typing import Any

import pytest

from ctrlhub.gateway.api import output_of_all as module
from ctrlhub.gateway.api.output_of_all import ACKNOWLEDGE, OutputOfAll
from ctrlhub.wire.errors import CtrlHubError, HubUnavailable, LimitExceeded, UnknownInterface
from ctrlhub.wire.ids import request_id
from ctrlhub.wire.messages import WatchedOutput

DEADLINE = 10.0


class World:
    """A hub that is asked, a clock, and what is told."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 100.0
        self.own = {1}
        self.asked: list[Any] = []
        self.error: CtrlHubError | None = None
        self.take: Callable[[WatchedOutput], None] = lambda message: None
        self.client: Any = SimpleNamespace(client=object(), closed=False)
        self.told: list[Any] = []
        self.left_out: list[int] = []
        monkeypatch.setattr(module, "watch_output", self._watch)
        monkeypatch.setattr(module, "unwatch_output", lambda client: self.asked.append("unwatch"))
        monkeypatch.setattr(module, "took_output", lambda client, number: self.asked.append(number))
        monkeypatch.setattr(module.time, "monotonic", lambda: self.now)
        self.of_all = OutputOfAll(lambda: self.own, self.told.append, self.left_out.append)

    def _watch(
        self, client: object, without: Sequence[int], take: Callable[[WatchedOutput], None]
    ) -> None:
        self.asked.append(list(without))
        if self.error is not None:
            raise self.error
        self.take = take


def run(monkeypatch: pytest.MonkeyPatch, test: Callable[[World], Coroutine[Any, Any, None]]) -> None:
    """Run a test in a loop, with a world of its own."""

    async def within() -> None:
        async with asyncio.timeout(DEADLINE):
            await test(World(monkeypatch))

    asyncio.run(within())


def test_it_is_watched_once_for_all_and_ends_when_nobody_wants_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Not at once: who has just asked for it has yet to subscribe. Again where other sessions are our own."""

    async def test(world: World) -> None:
        await asyncio.gather(*(world.of_all.begin(world.client) for _ in range(5)))
        assert world.asked == [[1]]
        await world.of_all.look(world.client, is_wanted=False)
        assert world.of_all.is_on
        world.own = {1, 7}
        await world.of_all.look(world.client, is_wanted=True)
        assert world.asked == [[1], [1, 7]]
        world.now += module.LINGER
        await world.of_all.look(world.client, is_wanted=False)
        assert world.asked == [[1], [1, 7], "unwatch"]
        assert not world.of_all.is_on

    run(monkeypatch, test)


def test_what_comes_is_told_but_for_what_is_made_here(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is taken in by the loop, and only then does the hub hear so: no more is on its way than that."""

    async def test(world: World) -> None:
        await world.of_all.begin(world.client)
        rows = [(request_id(session, 5), 0, 0, (("stdout", 0, "x"),)) for session in (1, 2)]
        for number in range(1, ACKNOWLEDGE + 1):
            world.take(WatchedOutput(rows, number, missed=3 * (number == 1)))
        assert (world.told, world.asked) == ([], [[1]])
        while len(world.asked) < 2:
            await asyncio.sleep(0)
        assert world.told == [rows[1]] * ACKNOWLEDGE
        assert (world.left_out, world.asked) == ([3], [[1], ACKNOWLEDGE])

    run(monkeypatch, test)


def test_a_hub_without_this_interface_is_asked_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Output of what is made here is told as ever."""

    async def test(world: World) -> None:
        world.error = UnknownInterface("none")
        await world.of_all.begin(world.client)
        await world.of_all.look(world.client, is_wanted=True)
        world.now += module.LINGER
        await world.of_all.look(world.client, is_wanted=False)
        assert world.asked == [[1]]

    run(monkeypatch, test)


def test_where_others_have_all_places_it_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody is refused for that; a hub that does not answer is another matter."""

    async def test(world: World) -> None:
        world.error = LimitExceeded("too many watch")
        await world.of_all.begin(world.client)
        assert not world.of_all.is_on
        world.error = HubUnavailable("silent")
        with pytest.raises(HubUnavailable):
            await world.of_all.look(world.client, is_wanted=True)
        world.error = None
        await world.of_all.look(world.client, is_wanted=True)
        assert world.of_all.is_on
        assert world.asked == [[1]] * 3

    run(monkeypatch, test)

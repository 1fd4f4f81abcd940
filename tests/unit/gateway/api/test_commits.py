from __future__ import annotations

import asyncio

import pytest

from ctrlhub.gateway.api.commits import Commits
from ctrlhub.wire.errors import HubUnavailable


class Hub:
    """Answers when it is told to."""

    def __init__(self) -> None:
        self.asked: list[asyncio.Future[None]] = []

    async def flush(self) -> None:
        """Wait for the answer."""
        self.asked.append(asyncio.get_running_loop().create_future())
        await self.asked[-1]


async def turns() -> None:
    """Let everybody else go on."""
    for _ in range(5):
        await asyncio.sleep(0)


def test_all_who_come_while_one_question_is_out_share_the_next() -> None:
    """A thousand submissions of a moment are two questions; who came later is not answered by the first."""

    async def run() -> None:
        hub = Hub()
        commits = Commits(hub.flush)
        first = asyncio.create_task(commits.safe())
        await turns()
        others = [asyncio.create_task(commits.safe()) for _ in range(1000)]
        await turns()
        assert len(hub.asked) == 1
        hub.asked[0].set_result(None)
        await first
        await turns()
        assert len(hub.asked) == 2
        assert not any(other.done() for other in others)
        hub.asked[1].set_result(None)
        await asyncio.gather(*others)
        assert len(hub.asked) == 2

    asyncio.run(run())


def test_an_error_is_for_those_who_waited_and_the_next_are_asked_for_anew() -> None:
    """A hub that was away once is not away for ever."""

    async def run() -> None:
        hub = Hub()
        commits = Commits(hub.flush)
        first = asyncio.create_task(commits.safe())
        await turns()
        hub.asked[0].set_exception(HubUnavailable("away"))
        with pytest.raises(HubUnavailable):
            await first
        second = asyncio.create_task(commits.safe())
        await turns()
        hub.asked[1].set_result(None)
        await second

    asyncio.run(run())


def test_who_gives_up_keeps_nobody_from_being_answered() -> None:
    """A request whose client went away is left out."""

    async def run() -> None:
        hub = Hub()
        commits = Commits(hub.flush)
        one, two = asyncio.create_task(commits.safe()), asyncio.create_task(commits.safe())
        await turns()
        one.cancel()
        await turns()
        hub.asked[0].set_result(None)
        await two

    asyncio.run(run())

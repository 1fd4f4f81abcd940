from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from ctrlhub.gateway.access.roles import Role
from ctrlhub.gateway.api import events as module
from ctrlhub.gateway.api.events import Events
from ctrlhub.gateway.api.fanout import TASKS, Fanout, NoRoom
from ctrlhub.gateway.api.turns import Turns
from ctrlhub.gateway.handlers import Refusal


@pytest.mark.parametrize(("error", "said"), [(OSError("odd"), OSError), (NoRoom("full"), Refusal)])
def test_a_stream_that_does_not_begin_takes_no_place(
    monkeypatch: pytest.MonkeyPatch, error: Exception, said: type[Exception]
) -> None:
    """Neither among the sockets, nor among the subscribers."""

    def fail(topics: Any) -> None:
        raise error

    async def run() -> None:
        live = SimpleNamespace(fanout=Fanout("e"), sources=SimpleNamespace(joined=fail))
        monkeypatch.setattr(module, "live_of", lambda gateway: live)
        handler: Any = Events.__new__(Events)
        handler.gateway = SimpleNamespace(sockets=set(), config=SimpleNamespace(sockets=9))
        handler._topics, handler._last, handler._news = [TASKS], "", asyncio.Event()
        handler._identity = SimpleNamespace(role=Role.VIEW)
        with pytest.raises(said):
            await handler._stream()
        assert not handler.gateway.sockets
        assert not live.fanout.subscribers

    asyncio.run(run())


def test_who_says_on_and_on_what_he_follows_keeps_nobody_waiting(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A WebSocket hands on what it has read without a look at others: they have their turn behind each message."""

    async def run() -> None:
        live = SimpleNamespace(
            fanout=Fanout("e"), turns=Turns(), sources=SimpleNamespace(joined=lambda topics: None)
        )
        monkeypatch.setattr(module, "live_of", lambda gateway: live)
        handler: Any = Events.__new__(Events)
        handler.gateway, said, seen = None, 0, set()
        handler._subscriber = live.fanout.subscribe([TASKS], lambda: None, 0.0)

        async def others() -> None:
            while said < 20:
                seen.add(said)
                await asyncio.sleep(0)

        looks = asyncio.create_task(others())
        for number in range(20):
            await handler.said(f'{{"follow": ["9-{number}"]}}')
            said += 1
        await looks
        assert len(live.fanout.wanted(module.REQUEST)) == 20
        assert set(range(1, 20)) <= seen

    asyncio.run(run())

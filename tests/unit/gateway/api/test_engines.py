from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from threading import Event
from types import SimpleNamespace
from typing import Any

import pytest

from ctrlhub.gateway.api import engines as module
from ctrlhub.gateway.api.engines import SCALING, Scale
from ctrlhub.gateway.api.handler import Asked

DEADLINE = 10.0


def test_scaling_keeps_no_thread_from_those_that_ask_the_hub(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sets that take long to scale wait for each other alone; each answer comes."""
    begun, go_on = Event(), Event()

    def scaled(*what: Any) -> list[int]:
        begun.set()
        assert go_on.wait(DEADLINE)
        return [7]

    async def test() -> None:
        asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(1))
        answers: list[Any] = []
        handler: Any = SimpleNamespace(
            gateway=SimpleNamespace(profile=SimpleNamespace(directory="")),
            answer=lambda *said: answers.append(said),
        )
        asked = Asked({"set": "local"}, {}, {"engines": 1})
        waiting = [
            asyncio.create_task(Scale.on_post(handler, asked)) for _ in range(SCALING + 1)
        ]
        try:
            await asyncio.sleep(0)  # all of them have asked
            assert begun.wait(DEADLINE)
            async with asyncio.timeout(DEADLINE / 2):
                assert await asyncio.to_thread(lambda: "answered") == "answered"
            assert not answers
        finally:
            go_on.set()
        await asyncio.gather(*waiting)
        assert answers == [({"set": "local", "engines": [7]}, 202)] * len(waiting)

    monkeypatch.setattr(module, "scaled", scaled)
    asyncio.run(test())

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from ctrlhub.gateway import clients as module
from ctrlhub.gateway.clients import Clients


@pytest.mark.parametrize(
    ("outstanding", "owed", "is_left"), [({"1-1"}, False, True), (set(), True, True), (set(), False, False)]
)
def test_a_session_in_which_something_is_left_is_left_to_the_next_gateway(
    outstanding: set[str], owed: bool, is_left: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where all has come and some of it is not on disk yet: with the session the hub would forget it."""
    done: list[str] = []

    async def detach(timeout: float) -> None:
        done.append("detach")

    async def close() -> None:
        done.append("close")

    monkeypatch.setattr(module, "owes", lambda client: owed)
    here: Any = Clients.__new__(Clients)
    session = SimpleNamespace(outstanding=outstanding)
    here._made = {"admin": SimpleNamespace(closed=False, client=session, detach=detach, close=close)}
    asyncio.run(here.close())
    assert done == (["detach", "close"] if is_left else ["close"])

"""Sockets are closed once their tokens end, whatever else goes wrong."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from pathlib import Path

import pytest

from ctrlhub.controller.http_config import HttpConfig
from ctrlhub.gateway import serving
from ctrlhub.gateway.access.identity import Identity
from ctrlhub.gateway.access.roles import Role
from ctrlhub.gateway.access.tokens import TokenBook
from ctrlhub.gateway.context import Gateway
from ctrlhub.gateway.serving import gateway_of, watch_tokens
from ctrlhub.gateway.token_file import TokenFile
from ctrlhub.wire.places import Profile


class Socket:
    """One that is open, and what it is told."""

    def __init__(self, gateway: Gateway, token: str, ends: Callable[[], object] = lambda: None) -> None:
        self.identity = Identity(Role.VIEW, token, "guest")
        self.reasons: list[str] = []
        self._gateway = gateway
        self._ends = ends
        gateway.sockets.add(self)

    def end(self, reason: str) -> None:
        """Take note of the reason, and be gone."""
        self._gateway.sockets.discard(self)
        self._ends()
        self.reasons.append(reason)


@pytest.fixture
def gateway(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Gateway:
    """A gateway with the tokens that each has; it looks at every turn of the loop."""
    tmp_path.chmod(0o700)
    monkeypatch.setattr(serving, "LOOK", 0)
    profile = Profile.named("mine", tmp_path)
    profile.tokens.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    TokenFile(profile.tokens).ensure()
    return gateway_of(profile, HttpConfig(), 1)


async def watched_until(gateway: Gateway, condition: Callable[[], bool]) -> None:
    """Have tokens watched until something is so."""
    task = asyncio.create_task(watch_tokens(gateway))
    async with asyncio.timeout(20):
        while not condition() and not task.done():
            await asyncio.sleep(0)
    assert not task.done(), task.exception()
    task.cancel()


def boom() -> None:
    """Fail in a way of its own."""
    raise RuntimeError("nobody has foreseen this")


def test_one_that_cannot_be_closed_keeps_no_other_open(
    gateway: Gateway, caplog: pytest.LogCaptureFixture
) -> None:
    """It is told of in the log, and those of good tokens stay."""
    [good] = [each.id for each in gateway.tokens.now().tokens if each.role is Role.VIEW]
    stays = Socket(gateway, good)
    for _ in range(3):
        Socket(gateway, "gone", boom)
    revoked = [Socket(gateway, "gone") for _ in range(3)]
    asyncio.run(watched_until(gateway, lambda: all(each.reasons for each in revoked)))
    assert gateway.sockets == {stays}
    assert stays.reasons == []
    assert "nobody has foreseen this" in caplog.text


class Unreadable(TokenFile):
    """Cannot be looked at for a while."""

    looks = 0

    def now(self) -> TokenBook:
        """Return nothing at first."""
        self.looks += 1
        if self.looks < 10:
            raise MemoryError("no room now")
        return super().now()


def test_an_error_that_nobody_has_foreseen_does_not_end_the_watch(
    gateway: Gateway, caplog: pytest.LogCaptureFixture
) -> None:
    """The next look is made, and closes what is to be closed; the error is told once."""
    gateway.tokens = Unreadable(gateway.tokens.path)
    revoked = Socket(gateway, "gone")
    with caplog.at_level(logging.ERROR):
        asyncio.run(watched_until(gateway, lambda: bool(revoked.reasons)))
    assert [each.getMessage() for each in caplog.records] == [
        "sockets cannot be compared with the tokens: no room now"
    ]

"""A gateway whose hub is made up: as many engines and tasks as are wanted, in the real page."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from tornado.netutil import bind_sockets

from ctrlhub.controller.http_config import HttpConfig
from ctrlhub.gateway.access.roles import Role
from ctrlhub.gateway.feed import TelemetryFeed
from ctrlhub.gateway.server import make_server
from ctrlhub.gateway.serving import gateway_of
from ctrlhub.wire.places import Profile
from ctrlhub.wire.telemetry import Telemetry
from tests.support.made_up_telemetry import looks


@dataclass(frozen=True, slots=True)
class Shown:
    """Where it serves.

    Parameters
    ----------
    address
        Its URL, without a token.
    tokens
        A token of each role.
    """

    address: str
    tokens: Mapping[str, str]

    def url(self, role: str = "view") -> str:
        """Return the URL that logs in."""
        return f"{self.address}/?token={self.tokens[role]}"


@contextmanager
def made_up_gateway(
    directory: Path, engines: int, rate: int, changes: Mapping[str, Any] | None = None, **options: Any
) -> Iterator[Shown]:
    """Serve what a hub with so many engines would say, on loopback, from a thread.

    Parameters
    ----------
    directory
        For its files.
    engines, rate
        How many there are, and how many tasks end in a second.
    changes
        What it says otherwise than such a hub would: fields of `Telemetry`.
    **options
        Those of `HttpConfig`.
    """
    profile = Profile.named("made-up", directory)
    profile.directory.mkdir(parents=True, mode=0o700)
    sockets = bind_sockets(0, "127.0.0.1")
    port = sockets[0].getsockname()[1]
    config = HttpConfig(**options)
    said = looks(engines, rate, time.time())
    ready = threading.Event()
    loops: list[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = []

    async def ask(since: int) -> Telemetry:
        return replace(next(said), **(changes or {}))

    async def status() -> dict[str, Any]:
        return {"hub": {}}

    async def of(role: Role) -> Any:
        return SimpleNamespace(status=status)

    async def serve() -> None:
        gateway = gateway_of(profile, config, port)
        gateway.tokens.ensure()
        gateway.telemetry = TelemetryFeed(ask)
        gateway.clients = SimpleNamespace(of=of)  # type: ignore[assignment]
        server = make_server(gateway)
        server.add_sockets(sockets)
        end = asyncio.Event()
        loops.append((asyncio.get_running_loop(), end))
        tokens.update({each.role.value: each.secret for each in gateway.tokens.now().tokens})
        ready.set()
        await end.wait()
        server.stop()
        for each in tuple(gateway.sockets):
            each.end("the test has ended")
        gateway.telemetry.close()
        await server.close_all_connections()

    tokens: dict[str, str] = {}
    thread = threading.Thread(target=lambda: asyncio.run(serve()))
    thread.start()
    try:
        assert ready.wait(60), "the gateway serves"
        yield Shown(f"http://127.0.0.1:{port}{config.prefix}", tokens)
    finally:
        for loop, end in loops:
            loop.call_soon_threadsafe(end.set)
        thread.join()

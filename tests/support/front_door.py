"""A gateway's door in this process: the real server, guard and table of routes, and handlers that do nothing.

Who is let in to a handler gets 204; so every route can be tried, those that end a hub as well.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from tornado.httpclient import AsyncHTTPClient, HTTPResponse
from tornado.netutil import bind_sockets

from ctrlhub.controller.http_config import HttpConfig
from ctrlhub.gateway import server as serving
from ctrlhub.gateway.access.roles import Role
from ctrlhub.gateway.context import Gateway
from ctrlhub.gateway.handlers import Handler
from ctrlhub.gateway.route import Route
from ctrlhub.gateway.routing import handler_of
from ctrlhub.gateway.serving import gateway_of
from ctrlhub.gateway.token_file import TokenFile
from ctrlhub.wire.places import Profile

PART = "1"
"""What stands for a part of a path."""


def stub_of(route: Route) -> Any:
    """Return the handler of a route, with methods that do nothing: all that comes before them is real."""
    real = handler_of(route)
    if route.path in ("/healthz", "/login", "/logout", "/api/v1/session"):
        return real

    async def nothing(self: Any, **path: str) -> None:
        self.set_status(204)
        self.finish()

    methods: dict[str, Any] = {method.lower(): nothing for method in route.methods}
    if issubclass(real, Handler):
        methods["data_received"] = Handler.data_received
    return type(f"Stub{real.__name__}", (real,), methods)


@dataclass
class FrontDoor:
    """A gateway that listens, and a client of it."""

    gateway: Gateway
    url: str
    secrets: Mapping[Role, str]
    _client: AsyncHTTPClient = field(default_factory=lambda: AsyncHTTPClient(force_instance=True))

    async def ask(
        self, method: str, path: str, headers: Mapping[str, str] | None = None, body: bytes | None = None
    ) -> HTTPResponse:
        """Send a request, and return the answer whatever it is."""
        return await self._client.fetch(
            self.url + path, method=method, headers=dict(headers or {}), body=body, raise_error=False,
            follow_redirects=False, allow_nonstandard_methods=True, decompress_response=False,
        )  # fmt: skip

    async def cookie(self, secret: str) -> str:
        """Log in, and return the cookie."""
        answer = await self.ask("GET", f"/?token={secret}")
        assert answer.code == 303, answer.body
        return answer.headers["Set-Cookie"].partition(";")[0]

    async def csrf(self, cookie: str) -> str:
        """Return what a page says with this cookie to change something."""
        import json

        answer = await self.ask("GET", "/api/v1/session", {"Cookie": cookie})
        return str(json.loads(answer.body)["csrf"])


@asynccontextmanager
async def front_door(
    directory: Path, patch: pytest.MonkeyPatch, config: HttpConfig | None = None
) -> AsyncIterator[FrontDoor]:
    """Open one."""
    patch.setattr(serving, "handler_of", stub_of)
    profile = Profile.named("door", directory)
    profile.make()
    book = TokenFile(profile.tokens).ensure()
    sockets = bind_sockets(0, "127.0.0.1")
    port = sockets[0].getsockname()[1]
    gateway = gateway_of(profile, config or HttpConfig(rate=1e6), port)
    server = serving.make_server(gateway)
    server.add_sockets(sockets)
    secrets = {token.role: token.secret for token in book.tokens}
    door = FrontDoor(gateway, f"http://127.0.0.1:{port}", secrets)
    try:
        yield door
    finally:
        server.stop()
        await server.close_all_connections()
        gateway.telemetry.close()
        door._client.close()


def path_to(route: Route) -> str:
    """Return a path that leads to a route."""
    import re

    return re.sub(r"\{[^}]*\}", PART, route.path)

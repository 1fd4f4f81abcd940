"""Between a Jupyter server and the gateway: a Unix socket that only this user reaches.

Each connection carries one request, as jupyter-server-proxy sends them. Its head is changed (`heads`), the
rest is passed on as it comes, in both directions.
"""

from __future__ import annotations

import asyncio
import logging
import os
import ssl
from contextlib import suppress
from pathlib import Path

from ctrlhub.cluster.listing import list_clusters
from ctrlhub.jupyter.finding import Finder, Upstream
from ctrlhub.jupyter.heads import MOST, Head, Refused
from ctrlhub.jupyter.pages import answer, choice, refusal
from ctrlhub.wire.errors import CtrlHubError, HubNotFound
from ctrlhub.wire.private import StateError

log = logging.getLogger(__name__)

PATIENCE = 20.0
"""How long (seconds) a head, or a connection to the gateway, may take."""

PIECE = 256 * 1024


class Door:
    """Serves connections.

    Parameters
    ----------
    finder
        Finds gateways.
    """

    def __init__(self, finder: Finder) -> None:
        self._finder = finder

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Take a connection, to its end."""
        try:
            said = await self._answer(reader, writer)
            if said:
                writer.write(said)
                await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError) as error:
            log.debug("a connection ended early: %r", error)
        finally:
            writer.close()
            with suppress(ConnectionError):
                await writer.wait_closed()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes:
        """Pass a request on; or return what is said to it here."""
        try:
            async with asyncio.timeout(PATIENCE):
                head = Head.parse(await reader.readuntil(b"\r\n\r\n"))
            head.check()
        except Refused as error:
            return refusal(error.status, error.message)
        except asyncio.LimitOverrunError:
            return refusal(431, f"a request's head has at most {MOST} bytes")
        except TimeoutError:
            return refusal(408, "the request does not come to its end")
        if head.path == "":
            return answer(308, "", location=f"@{head.profile}/")
        try:
            upstream = await self._finder.find(head.profile)
            async with asyncio.timeout(PATIENCE):
                there = await asyncio.open_connection(upstream.host, upstream.port, ssl=_tls(upstream))
        except HubNotFound as error:
            if head.profile or head.path.partition("?")[0] != "/":
                return refusal(503, f"{error}")
            return choice(list_clusters(), f"{error}")
        except (CtrlHubError, StateError, OSError, TimeoutError) as error:
            log.warning("the gateway cannot be reached: %s", error)
            return refusal(502, f"the gateway cannot be reached: {error}")
        there[1].write(head.forwarded(upstream.netloc, upstream.prefix, upstream.token))
        await _join((reader, writer), there)
        return b""


async def _join(
    here: tuple[asyncio.StreamReader, asyncio.StreamWriter],
    there: tuple[asyncio.StreamReader, asyncio.StreamWriter],
) -> None:
    """Pass on what comes from either side, until one of them has ended."""
    ways = {asyncio.create_task(_pass(here[0], there[1])), asyncio.create_task(_pass(there[0], here[1]))}
    try:
        await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for way in ways:
            way.cancel()
        for error in await asyncio.gather(*ways, return_exceptions=True):
            if isinstance(error, Exception) and not isinstance(error, ConnectionError):
                log.error("a connection was not passed on", exc_info=error)
        there[1].close()
        with suppress(ConnectionError, ssl.SSLError):
            await there[1].wait_closed()


async def _pass(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    while piece := await source.read(PIECE):
        sink.write(piece)
        await sink.drain()


def _tls(upstream: Upstream) -> ssl.SSLContext | None:
    """Return how TLS is spoken with a gateway; None for not at all. A certificate of its own is trusted."""
    if upstream.scheme != "https":
        return None
    context = ssl.create_default_context()
    own = upstream.profile.gateway_certificate
    if own.exists():
        context.load_verify_locations(own)
    return context


async def run(socket: Path) -> None:
    """Serve at a Unix socket until the process is told to end."""
    finder = Finder()
    before = os.umask(0o177)
    try:
        server = await asyncio.start_unix_server(Door(finder).serve, socket, limit=MOST)
    finally:
        os.umask(before)
    try:
        async with server:
            await server.serve_forever()
    finally:
        await finder.close()

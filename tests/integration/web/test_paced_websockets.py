"""Frames that come to no handler: whoever sends them without end waits, and holds up nobody else."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

import pytest
from tornado.httpserver import HTTPServer
from tornado.netutil import bind_sockets
from tornado.web import Application
from tornado.websocket import (
    WebSocketHandler,
    WebSocketProtocol,
    WebSocketProtocol13,
    websocket_connect,
)

from ctrlhub.gateway.paced import Paced
from ctrlhub.wire.closing import TOO_SLOW
from tests.support.gateways import frame

LIMIT = 10.0
BURST = 20


class Counted(Paced):
    """Counts the frames that are read; time stands still, so that those beyond the burst are owed for ever."""

    def __init__(self, like: WebSocketProtocol13) -> None:
        super().__init__(like, lambda: 0.0, 1e-3, BURST)
        self.read = 0

    async def _receive_frame(self) -> None:
        await super()._receive_frame()
        self.read += 1


class Heard(WebSocketHandler):
    """Hears, and says the same."""

    def initialize(self, protocols: list[Counted]) -> None:
        """Take who counts."""
        self.protocols = protocols

    def get_websocket_protocol(self) -> WebSocketProtocol | None:
        """Read at a pace."""
        made = super().get_websocket_protocol()
        assert isinstance(made, WebSocketProtocol13)
        self.protocols.append(Counted(made))
        return self.protocols[-1]

    def on_message(self, message: str | bytes) -> None:
        """Hear."""
        self.write_message(message)


async def until(condition: Callable[[], bool]) -> None:
    """Wait for a condition."""
    deadline = time.monotonic() + LIMIT
    while not condition():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.005)


@pytest.mark.parametrize(
    "flood",
    [
        pytest.param(frame(10, b"") * 10 * BURST, id="pongs"),
        pytest.param(frame(2, b"", fin=False) + frame(0, b"", fin=False) * 10 * BURST, id="empty pieces"),
    ],
)
def test_frames_that_nobody_counts(flood: bytes) -> None:
    """So many are read at once and no more, and others are heard meanwhile."""

    async def main() -> None:
        protocols: list[Counted] = []
        found = bind_sockets(0, "127.0.0.1")
        http = HTTPServer(Application([("/", Heard, {"protocols": protocols})]))
        http.add_sockets(found)
        url = f"ws://127.0.0.1:{found[0].getsockname()[1]}/"
        flooding, other = await websocket_connect(url), await websocket_connect(url)
        try:
            flooding.protocol.stream.write(flood)  # type: ignore[union-attr]
            await until(lambda: protocols[0].read == BURST)
            await other.write_message("here")
            assert await asyncio.wait_for(other.read_message(), LIMIT) == "here"
            assert protocols[0].read == BURST
        finally:
            for peer in (flooding, other):
                protocol = peer.protocol
                peer.close()
                protocol._abort()  # type: ignore[union-attr]
            http.stop()
            await http.close_all_connections()

    asyncio.run(main())


def test_who_answers_no_ping() -> None:
    """It is told why its connection ends, by a code that does not say that all was well."""

    async def main() -> bytes:
        found = bind_sockets(0, "127.0.0.1")
        routes = [("/", Heard, {"protocols": []})]
        http = HTTPServer(Application(routes, websocket_ping_interval=0.05))
        http.add_sockets(found)
        reader, writer = await asyncio.open_connection(*found[0].getsockname())
        try:
            writer.write(
                b"GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
            )
            return await asyncio.wait_for(reader.readuntil(b"timed out"), LIMIT)
        finally:
            writer.close()
            http.stop()
            await http.close_all_connections()

    assert asyncio.run(main()).endswith(TOO_SLOW.to_bytes(2) + b"ping timed out")

"""Messages that peers begin and do not end, by real sockets to a server that has little room for them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager

import pytest
from tornado.httpserver import HTTPServer
from tornado.netutil import bind_sockets
from tornado.web import Application
from tornado.websocket import (
    WebSocketClientConnection,
    WebSocketHandler,
    WebSocketProtocol,
    WebSocketProtocol13,
    websocket_connect,
)

from ctrlhub.gateway.relay.unfinished import FREE, LEAST_SPEED, PATIENCE, Reading, Room
from tests.support.gateways import frame

LARGE = 2 * FREE
ROOM = LARGE + FREE
LIMIT = 10.0


class Server:
    """A server, and what it has heard."""

    def __init__(self) -> None:
        self.room = Room(ROOM)
        self.now = 0.0
        self.heard: list[int] = []
        self.readings: list[Reading] = []
        self.gate = asyncio.Event()
        self.gate.set()
        self.url = ""
        self.peers: list[WebSocketClientConnection] = []

    def begun(self) -> int:
        """How much has been begun of messages that are under way."""
        return sum(each._size for each in self.readings)

    def held(self) -> int:
        """How much room is taken."""
        return ROOM - self.room._left


class Heard(WebSocketHandler):
    """Hears, and says how much it was."""

    max_message_size = ROOM

    def initialize(self, server: Server) -> None:
        """Take what it serves."""
        self.server = server

    def get_websocket_protocol(self) -> WebSocketProtocol | None:
        """Read as the gateway does."""
        made = super().get_websocket_protocol()
        assert isinstance(made, WebSocketProtocol13)
        reading = Reading(made, self.server.room, lambda: self.server.now)
        self.server.readings.append(reading)
        return reading

    async def on_message(self, message: str | bytes) -> None:
        """Hear, and go on when it is time to."""
        self.server.heard.append(len(message))
        await self.server.gate.wait()
        await self.write_message(str(len(message)))


@asynccontextmanager
async def serving() -> AsyncIterator[Server]:
    """Serve."""
    server = Server()
    found = bind_sockets(0, "127.0.0.1")
    http = HTTPServer(Application([("/", Heard, {"server": server})]))
    http.add_sockets(found)
    server.url = f"ws://127.0.0.1:{found[0].getsockname()[1]}/"
    try:
        yield server
    finally:
        for peer in server.peers:
            protocol = peer.protocol
            peer.close()
            if protocol is not None:
                protocol._abort()
        http.stop()
        await http.close_all_connections()


async def peer_of(server: Server) -> WebSocketClientConnection:
    """Connect."""
    server.peers.append(await websocket_connect(server.url, max_message_size=ROOM))
    return server.peers[-1]


def send(peer: WebSocketClientConnection, data: bytes) -> None:
    """Send bytes as they are."""
    peer.protocol.stream.write(data)  # type: ignore[union-attr]


async def until(condition: Callable[[], bool]) -> None:
    """Wait for a condition."""
    deadline = time.monotonic() + LIMIT
    while not condition():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.005)


async def heard(peer: WebSocketClientConnection) -> str | bytes | None:
    """Return what a peer hears; None where its connection ends."""
    return await asyncio.wait_for(peer.read_message(), LIMIT)


async def others_are_heard() -> None:
    """Who finds no room waits until there is some; small messages need none."""
    async with serving() as server:
        holder, waiting, small = [await peer_of(server) for _ in range(3)]
        send(holder, frame(2, bytes(LARGE), fin=False))
        await until(lambda: server.held() >= LARGE)
        send(waiting, frame(2, bytes(LARGE)))
        await until(lambda: len(server.room._waiting) == 1)
        send(small, frame(2, bytes(FREE - 100)))
        assert await heard(small) == f"{FREE - 100}"
        assert server.heard == [FREE - 100]
        send(holder, frame(0, b"end"))
        assert await heard(holder) == f"{LARGE + 3}"
        assert await heard(waiting) == f"{LARGE}"
        await until(lambda: server.held() == 0)


async def fragments_are_counted() -> None:
    """However small they are, and with pings between them."""
    async with serving() as server:
        peer = await peer_of(server)
        pieces = 2 * FREE // 100
        send(peer, frame(2, bytes(100), fin=False))
        for _ in range(pieces):
            send(peer, frame(9, b"here") + frame(0, bytes(100), fin=False))
        await until(lambda: server.begun() >= pieces * 100)
        await until(lambda: server.held() >= pieces * 100)
        send(peer, frame(0, b""))
        assert await heard(peer) == f"{(pieces + 1) * 100}"
        await until(lambda: server.held() == 0)


async def who_goes_gives_back() -> None:
    """Also in the midst of a message, also while waiting; and who says too much."""
    async with serving() as server:
        gone, waits, excess, good = [await peer_of(server) for _ in range(4)]
        send(gone, frame(2, bytes(LARGE), fin=False)[:-10])
        await until(lambda: server.held() >= LARGE)
        await until(lambda: len(server.readings[0].stream._read_buffer) > FREE)
        send(waits, frame(2, bytes(LARGE), fin=False))
        await until(lambda: len(server.room._waiting) == 1)
        waits.protocol._abort()  # type: ignore[union-attr]
        gone.protocol._abort()  # type: ignore[union-attr]
        await until(lambda: server.held() == 0)
        assert not server.readings[0].stream._read_buffer
        send(excess, frame(2, bytes(LARGE), fin=False) + frame(0, bytes(LARGE)))
        assert await heard(excess) is None
        await until(lambda: server.held() == 0)
        send(good, frame(2, bytes(LARGE)))
        assert await heard(good) == f"{LARGE}"


async def what_is_overdue() -> None:
    """A message that is not whole in its time, which is the longer the larger it is; not one that has to wait here."""
    async with serving() as server:
        peer = await peer_of(server)
        (reading,) = server.readings
        assert not reading.is_overdue(1e9)
        send(peer, frame(2, bytes(LARGE))[:1000])
        await until(lambda: server.begun() > 0)
        assert not reading.is_overdue(PATIENCE + LARGE / LEAST_SPEED)
        assert reading.is_overdue(PATIENCE + LARGE / LEAST_SPEED + 1)
        server.gate.clear()
        send(peer, frame(2, bytes(LARGE))[1000:])
        await until(lambda: server.heard == [LARGE])
        assert not reading.is_overdue(1e9)
        assert server.held() >= LARGE
        server.gate.set()
        assert await heard(peer) == f"{LARGE}"
        await until(lambda: server.held() == 0)


@pytest.mark.parametrize("story", [others_are_heard, fragments_are_counted, who_goes_gives_back, what_is_overdue])
def test_messages_that_are_under_way(story: Callable[[], Coroutine[None, None, None]]) -> None:
    """They take no more memory than there is room for, and no more time than they need."""
    asyncio.run(story())


def test_who_no_longer_waits() -> None:
    """What it was given, or was to be given, is there for the next one."""

    async def main() -> None:
        room = Room(10)
        await room.take(10)
        waits = [asyncio.create_task(room.take(6)) for _ in range(3)]
        await asyncio.sleep(0)
        waits[0].cancel()
        await asyncio.sleep(0)
        room.give(10)
        waits[1].cancel()
        await asyncio.wait_for(waits[2], LIMIT)
        room.give(6)
        await asyncio.wait_for(room.take(10), LIMIT)

    asyncio.run(main())

"""A peer on a WebSocket, without one."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, cast

import pytest

from ctrlhub.gateway.relay import peer as peer_module
from ctrlhub.gateway.relay.framings import FRAMINGS, PART_COST, chosen
from ctrlhub.gateway.relay.peer import (
    BURST,
    MOST_UNTAKEN,
    RATE,
    READ_BURST,
    READ_RATE,
    STALLED,
    VIEW_MESSAGE_BYTES,
    Peer,
)
from ctrlhub.gateway.relay.relays import Relays
from ctrlhub.gateway.relay.uplink import Uplink
from ctrlhub.wire.closing import ENDING, MALFORMED, TOO_LARGE, TOO_SLOW
from ctrlhub.wire.codec import decode, encode
from ctrlhub.wire.limits import MAX_CONTROL_BYTES
from ctrlhub.wire.messages import Beat, Buffer, Goodbye, Refused, Register, Role, Stream
from ctrlhub.wire.web import (
    JSON,
    MSGPACK,
    WEB_MESSAGE_BYTES,
    pack_message,
    unpack_message,
)

BEAT = pack_message(Stream.HUB, encode(Beat()))
NO_REGISTRATION = pack_message(Stream.HUB, encode(Register("engine", "k", b"i", 1, "h", {})))


class Line:
    """A WebSocket, and the hub behind it."""

    def __init__(self, subprotocol: str = MSGPACK, role: Role = Role.ADMIN) -> None:
        self.now = 0.0
        self.said: list[str | bytes] = []
        self.leaving: list[asyncio.Future[None]] = []
        self.closed: tuple[int, str] | None = None
        self.heard: list[tuple[Stream, list[bytes]]] = []
        self.late = False
        self.has_room, self.resumed, self.is_open = True, 0, True
        self.waiting: asyncio.Future[None] | None = None
        self.peer = Peer(self, FRAMINGS[subprotocol], role, lambda: self.now)
        self.peer.uplink = cast(Uplink, self)

    def say(self, message: str | bytes) -> asyncio.Future[None]:
        """Send to the peer."""
        self.said.append(message)
        self.leaving.append(asyncio.get_running_loop().create_future())
        return self.leaving[-1]

    def is_overdue(self, now: float) -> bool:
        """Tell whether a message is not whole in its time."""
        return self.late

    def shut(self, code: int, reason: str) -> None:
        """Close the WebSocket."""
        self.closed = code, reason

    def send(self, stream: Stream, frames: Sequence[Buffer]) -> bool:
        """Send to the hub."""
        if self.has_room:
            self.heard.append((stream, [bytes(frame) for frame in frames]))
        return self.has_room

    async def room(self) -> None:
        """Wait for room."""
        self.waiting = asyncio.get_running_loop().create_future()
        await self.waiting

    def resume(self) -> None:
        """Take more from the hub."""
        self.resumed += 1

    def close(self) -> None:
        """Let go."""
        self.is_open = False


def test_what_a_peer_says() -> None:
    """It goes to the hub as it was said."""
    line = Line()
    assert line.peer.take(pack_message(Stream.TASK, [b"header", b"frame"])) is None
    assert line.heard == [(Stream.TASK, [b"header", b"frame"])]


@pytest.mark.parametrize(
    ("subprotocol", "said", "code"),
    [
        (MSGPACK, b"", MALFORMED),
        (MSGPACK, "text", MALFORMED),
        (JSON, b"bytes", MALFORMED),
        (JSON, "[" * 100_000, MALFORMED),
        (MSGPACK, pack_message(Stream.TASK, [b"x", bytes(WEB_MESSAGE_BYTES)]), TOO_LARGE),
        (MSGPACK, pack_message(Stream.HUB, [bytes(MAX_CONTROL_BYTES + 1)]), TOO_LARGE),
        (MSGPACK, pack_message(Stream.IOPUB, [b"x", bytes(10_000)]), TOO_LARGE),
    ],
)
def test_what_is_no_message(subprotocol: str, said: str | bytes, code: int) -> None:
    """It closes the WebSocket with a code and a reason; the hub does not hear of it, nor of what follows."""
    line = Line(subprotocol)
    line.peer.take(said)
    assert line.closed is not None
    assert line.closed[0] == code
    assert line.closed[1]
    line.peer.take(BEAT)
    assert (line.heard, line.is_open) == ([], False)


def test_a_registration_that_is_refused() -> None:
    """The peer hears of it as from the hub, which does not."""

    async def main() -> None:
        line = Line()
        line.peer.take(NO_REGISTRATION)
        stream, header, _ = unpack_message(cast(bytes, line.said[0]))
        refused = decode(header)
        assert isinstance(refused, Refused)
        assert (stream, refused.code, line.heard, line.closed) == (Stream.HUB, "authentication", [], None)

    asyncio.run(main())


def test_a_hub_that_is_slow() -> None:
    """The peer is not heard until its message has gone."""

    async def main() -> None:
        line = Line()
        line.has_room = False
        waits = line.peer.take(BEAT)
        assert waits is not None
        task = asyncio.ensure_future(cast(Any, waits))
        while line.waiting is None:
            await asyncio.sleep(0)
        assert not task.done()
        line.has_room = True
        line.waiting.set_result(None)
        await task
        assert len(line.heard) == 1

    asyncio.run(main())


def test_a_peer_that_floods(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is not heard for as long as it has said too much; nothing of it is lost."""
    pauses: list[float] = []

    async def pause(seconds: float) -> None:
        pauses.append(seconds)

    monkeypatch.setattr(peer_module.asyncio, "sleep", pause)
    line, waits = Line(), []
    for _ in range(int(BURST) + 2):
        waits.append(line.peer.take(BEAT))
    assert not any(waits[: int(BURST)])
    for late in waits[int(BURST) :]:
        asyncio.run(cast(Any, late))
    assert pauses == [pytest.approx(1 / RATE), pytest.approx(2 / RATE)]
    assert len(line.heard) == int(BURST) + 2


def test_json_that_costs_much_to_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """A peer is not heard for as long as it has had too much read; what is handed on as it is costs nothing."""
    pauses: list[float] = []

    async def pause(seconds: float) -> None:
        pauses.append(seconds)

    monkeypatch.setattr(peer_module.asyncio, "sleep", pause)
    said = '{"stream": "task", "message": {"kind": "call", "x": [' + "1," * 9000 + "1]}}"
    cost = len(said) + PART_COST * 9005
    line = Line(JSON)
    for _ in range(int(READ_BURST // cost)):
        assert line.peer.take(said) is None
    late = line.peer.take(said)
    assert late is not None
    asyncio.run(cast(Any, late))
    assert pauses == [pytest.approx((cost - READ_BURST % cost) / READ_RATE)]
    assert len(line.heard) == READ_BURST // cost + 1
    line = Line()
    for _ in range(50):
        assert line.peer.take(pack_message(Stream.TASK, [b"x" * 1_000_000])) is None


def test_a_peer_that_does_not_read() -> None:
    """No more is taken from the hub for it, until it has taken enough."""

    async def main() -> None:
        line = Line()
        line.peer.deliver(Stream.TASK, [bytes(MOST_UNTAKEN)])
        assert not line.peer.has_room()
        line.leaving[0].set_result(None)
        await asyncio.sleep(0)
        assert (line.peer.has_room(), line.resumed) == (True, 1)

    asyncio.run(main())


def test_a_peer_that_takes_nothing() -> None:
    """It is given up, with the reason; one that takes something is not."""

    async def main() -> None:
        line = Line()
        line.peer.deliver(Stream.TASK, [b"one"])
        line.peer.deliver(Stream.TASK, [b"two"])
        line.now = STALLED
        line.leaving[0].set_result(None)
        await asyncio.sleep(0)
        line.now += STALLED
        line.peer.look(line.now)
        assert line.closed is None
        line.now += 1.0
        line.peer.look(line.now)
        assert line.closed is not None
        assert line.closed[0] == TOO_SLOW
        assert "was taken" in line.closed[1]

    asyncio.run(main())


def test_a_peer_that_does_not_end_what_it_says() -> None:
    """It is given up, with the reason."""
    line = Line()
    line.peer.look(1000.0)
    assert line.closed is None
    line.late = True
    line.peer.look(1000.0)
    assert line.closed == (TOO_SLOW, "a message was not whole in its time")


def test_what_is_too_large_of_who_only_looks() -> None:
    """It may say less at a time, since it has nothing run."""
    line = Line(role=Role.VIEW)
    line.peer.take(pack_message(Stream.TASK, [b"x", bytes(VIEW_MESSAGE_BYTES)]))
    assert line.closed is not None
    assert line.closed[0] == TOO_LARGE
    line = Line()
    line.peer.take(pack_message(Stream.TASK, [b"x", bytes(VIEW_MESSAGE_BYTES)]))
    assert line.closed is None


def test_a_hub_that_ends() -> None:
    """What it says last reaches the peers before the gateway closes their WebSockets; who is not told is not waited for."""

    async def main() -> None:
        relays, lines = Relays(), [Line(), Line(JSON)]
        relays.peers.update(line.peer for line in lines)
        lines[0].peer.deliver(Stream.TASK, encode(Goodbye("not on this stream")))
        lines[0].peer.deliver(Stream.HUB, encode(Beat()))
        finishing = asyncio.ensure_future(relays.finish(1000.0))
        for line in lines:
            await asyncio.sleep(0)
            assert not finishing.done()
            line.peer.deliver(Stream.HUB, encode(Goodbye("it was told to")))
        await finishing
        assert [line.closed for line in lines] == [(ENDING, "the gateway ends: connect again")] * 2
        assert not any(line.is_open for line in lines)

        late = Line()
        relays.peers = {late.peer}
        await relays.finish(0.0)
        assert late.closed is not None
        await Relays().finish()

    asyncio.run(main())


def test_the_subprotocol() -> None:
    """The better one of those that are offered."""
    assert chosen(["x", JSON, MSGPACK]) == MSGPACK
    assert chosen([JSON]) == JSON
    assert chosen(["x"]) is None

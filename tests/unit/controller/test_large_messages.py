"""Large messages in the hub: heard once they are complete, refused by name, and under credit on their way."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from dataclasses import replace

import pytest

from ctrlhub.controller.borrowing import Borrowing
from ctrlhub.controller.core.effects import Connection
from ctrlhub.wire import messages as m
from ctrlhub.wire import segments
from ctrlhub.wire.codec import encode
from ctrlhub.wire.limits import PART_BYTES, PARTS_WINDOW, WHOLE_BYTES
from ctrlhub.wire.parts import Flows
from ctrlhub.wire.segments import Segment
from tests.support.exchange import BULK, Exchange, Line
from tests.support.peerage import CLIENT, ENGINE, HUB, MULTIENGINE, TASK
from tests.support.peers import registration

pytestmark = pytest.mark.skipif(not segments.AVAILABLE, reason="this system has no memory files")

DATA = bytes(range(256)) * (3 * WHOLE_BYTES // 256)
KEPT_FOR_TICKS = 5.0


class Peer(Line):
    """A peer that takes parts."""

    def join(self, role: m.Role) -> m.Registered:
        """Register and say hello."""
        [registered] = self.say(HUB, replace(registration(role, self.address.decode()), parts=True))
        assert isinstance(registered, m.Registered)
        self.registered = registered
        for stream in BULK:
            self.say(stream, m.Hello(registered.token))
        self.heard()
        return registered

    def command(self, frames: tuple[bytes, ...]) -> m.Command:
        """Return a command for engine 0."""
        assert self.registered is not None
        first = (self.registered.session << 40) + 1
        return m.Command(first, (0,), "push", ((0, len(frames)),), frames=frames)

    def connection(self) -> Connection:
        """Return what the hub calls our multiengine stream."""
        return Connection(0, MULTIENGINE, self.address)


@pytest.fixture
def exchange() -> Exchange:
    """A hub that can make segments."""
    return Exchange(borrowing=Borrowing())


@pytest.fixture
def client(exchange: Exchange) -> Peer:
    """A client."""
    peer = Peer(exchange, "client")
    peer.join(CLIENT)
    return peer


@pytest.fixture
def engine(exchange: Exchange) -> Peer:
    """An engine."""
    peer = Peer(exchange, "engine")
    peer.join(ENGINE)
    return peer


def all_parts(message: m.Message) -> Iterator[m.Part]:
    """Yield all parts of a message, as the hub gives credit."""
    flows: Flows[str] = Flows()
    ready = flows.offer("", message, encode(message))
    while ready:
        for part in ready:
            assert isinstance(part, m.Part)
            yield part
        chunk = memoryview(part.frames[0]).nbytes
        ready = flows.taken("", m.PartsTaken(part.transfer, part.offset + chunk))


def test_both_sides_say_that_they_take_parts(exchange: Exchange) -> None:
    """The hub in its answer to a registration."""
    assert Peer(exchange, "client").join(CLIENT).parts


def test_a_command_that_comes_in_parts(exchange: Exchange, client: Peer, engine: Peer) -> None:
    """It is heard with the last one, and its data stands in a segment until then and after."""
    answers: list[m.Message] = []
    for part in all_parts(client.command((b"pickle", DATA))):
        assert not exchange.commands._commands
        answers += client.say(MULTIENGINE, part)
    taken = [a.nbytes for a in answers if isinstance(a, m.PartsTaken)]
    assert taken == sorted(set(taken))
    assert taken[-1] > len(DATA)
    [record] = exchange.commands._commands.values()
    assert record.payload[0] == b"pickle"
    assert type(record.payload[1]) is Segment
    assert record.payload[1].view() == DATA
    assert exchange.switchboard.refused == 0


def test_a_malformed_one_is_refused_by_name(exchange: Exchange, client: Peer) -> None:
    """Its sender hears which request that was, not only which part."""
    message = replace(client.command((b"pickle", DATA)), action="dance")
    for part in all_parts(message):
        client.say(MULTIENGINE, part)
    [refused] = [a for a in client.heard() if isinstance(a, m.Refused)]
    assert "dance" in refused.message
    assert refused.requests == ((message.first, message.first),)


def test_no_room(
    exchange: Exchange, client: Peer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where memory has run out, the request is refused, and the hub goes on."""

    def full(descriptor: int, data: memoryview) -> int:
        raise OSError(errno.ENOSPC, "no space left")

    monkeypatch.setattr(segments.os, "write", full)
    message = client.command((b"pickle", DATA))
    for part in all_parts(message):
        client.say(MULTIENGINE, part)
    [refused] = [a for a in client.heard() if isinstance(a, m.Refused)]
    assert refused.code == "limit_exceeded"
    assert refused.requests == ((message.first, message.first),)


def test_tasks_behind_a_command_without_room_run(
    exchange: Exchange, client: Peer, engine: Peer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They wait for every command before them, and this one has failed."""

    def full(descriptor: int, data: memoryview) -> int:
        raise OSError(errno.ENOSPC, "no space left")

    monkeypatch.setattr(segments.os, "write", full)
    message = client.command((b"pickle", DATA))
    for part in all_parts(message):
        client.say(MULTIENGINE, part)
    rows = ((message.first + 1, 0, b"arguments"),)
    template = (b"f", 0, 3, "")
    client.say(TASK, m.SubmitTasks((template,), rows, ((b"f", b"code"),), after=message.first))
    assert [a.rows[0][0] for a in engine.heard() if isinstance(a, m.RunTasks)] == [message.first + 1]


def test_what_may_not_come_in_parts(exchange: Exchange, client: Peer) -> None:
    """Neither parts, nor what another role may say."""
    for message in (
        m.Part(9, 0, (1, 1), frames=[b"x" * (2 * WHOLE_BYTES)]),
        m.Results((), frames=[b"x" * (2 * WHOLE_BYTES)]),
    ):
        for part in all_parts(message):
            client.say(MULTIENGINE, part)
        [refused] = [a for a in client.heard() if isinstance(a, m.Refused)]
        assert refused.code in ("invalid_request", "authentication")


def test_who_does_not_take_costs_a_window(exchange: Exchange, client: Peer) -> None:
    """However much there is for a peer that says nothing, and until its connection is another's."""
    switchboard, connection = exchange.switchboard, client.connection()
    sent: list[m.Message] = []
    for number in range(5):
        message = m.Completed([(number, 0, (0, 1), 0, 0.0, 0.0, None)], frames=[DATA])
        ready = switchboard.large.cut(connection, message, encode(message))
        assert ready is not None
        sent += ready
    assert len(sent) == PARTS_WINDOW // PART_BYTES
    client.say(MULTIENGINE, m.PartsTaken(sent[0].transfer, PARTS_WINDOW))  # type: ignore[attr-defined]
    assert len([a for a in client.heard() if isinstance(a, m.Part)]) == len(sent)
    switchboard.disconnected(connection)
    exchange.pass_time(KEPT_FOR_TICKS)
    assert not switchboard.large.flows.connections()


def test_who_takes_none(exchange: Exchange) -> None:
    """It is sent everything whole."""
    peer = Line(exchange, "old")
    [registered] = peer.say(HUB, registration(CLIENT, "old"))
    assert isinstance(registered, m.Registered)
    peer.say(MULTIENGINE, m.Hello(registered.token))
    message = m.Completed([(1, 0, (0, 1), 0, 0.0, 0.0, None)], frames=[DATA])
    connection = Connection(0, MULTIENGINE, b"old")
    assert exchange.switchboard.large.cut(connection, message, encode(message)) is None


def test_a_hello_begins_anew(exchange: Exchange, client: Peer, engine: Peer) -> None:
    """What had come by then is forgotten, and comes again."""
    message = client.command((b"pickle", DATA))
    parts = list(all_parts(message))
    for part in parts[:5]:
        client.say(MULTIENGINE, part)
    assert client.registered is not None
    client.say(MULTIENGINE, m.Hello(client.registered.token))
    assert not exchange.switchboard.large.flows.connections()
    for part in parts[5:]:
        client.say(MULTIENGINE, part)
    assert not exchange.commands._commands
    for part in parts:
        client.say(MULTIENGINE, part)
    assert list(exchange.commands._commands) == [message.first]

"""A hub that has just begun waits for those who lost its predecessor."""

from __future__ import annotations

import pytest

from ctrlhub.controller.core.awaiting import GRACE
from ctrlhub.wire import messages as m
from ctrlhub.wire.errors import InvalidEngineID, unpack_failure
from ctrlhub.wire.ids import request_id
from tests.support.exchange import Exchange, Line, ends_of

MULTIENGINE, TASK = m.Stream.MULTIENGINE, m.Stream.TASK


@pytest.fixture
def exchange() -> Exchange:
    """A hub in its first moment."""
    made = Exchange()
    made.turn()
    return made


def a_peer(exchange: Exchange, name: str, role: m.Role, **fields: object) -> Line:
    """Return a peer that has joined."""
    line = Line(exchange, name)
    line.register(role, **fields)
    line.heard()
    return line


def grow_old(exchange: Exchange, peer: Line) -> None:
    """Let the time pass in which a hub is young, with a peer that beats."""
    until = exchange.now + GRACE
    while exchange.now <= until:
        exchange.pass_time(1.0)
        peer.say(m.Stream.HUB, m.Beat())


def test_a_command_waits_for_its_engine(exchange: Exchange) -> None:
    """A client that is back before its engine loses nothing."""
    client = a_peer(exchange, "client", m.Role.ADMIN)
    client.command(1, 0)
    client.command(2, 0)
    assert ends_of(client.heard()) == {}
    engine = a_peer(exchange, "engine", m.Role.ENGINE)
    client.heard()
    engine.results((client.id(1), 0), stream=MULTIENGINE)
    engine.results((client.id(2), 0), stream=MULTIENGINE)
    assert sorted(ends_of(client.heard())) == [client.id(1), client.id(2)]
    exchange.switchboard.check()


def test_the_wait_ends(exchange: Exchange) -> None:
    """A command for an engine that does not come back fails by name."""
    client = a_peer(exchange, "client", m.Role.ADMIN)
    client.command(1, 5)
    grow_old(exchange, client)
    [(status, payload)] = ends_of(client.heard()).values()
    assert status == m.Status.ERROR
    assert unpack_failure(payload).code == InvalidEngineID.code
    client.command(2, 5)
    assert client.id(2) in ends_of(client.heard())


def test_a_waiting_command_can_be_cancelled(exchange: Exchange) -> None:
    """It is queued like any other."""
    client = a_peer(exchange, "client", m.Role.ADMIN)
    client.command(1, 0)
    number = client.id(1)
    answer = client.call("multiengine", "abort", requests=[[number, number]])
    assert answer.value["cancelled"] == ((number, number),)
    assert ends_of(client.heard())[number][0] == m.Status.CANCELLED
    engine = a_peer(exchange, "engine", m.Role.ENGINE)
    assert engine.heard(m.RunCommand) == []


@pytest.mark.parametrize("stream", [MULTIENGINE, TASK])
def test_results_of_absent_clients_stay_with_their_engine(
    exchange: Exchange, stream: m.Stream
) -> None:
    """An engine that is back before the client keeps what it has for a while."""
    engine = a_peer(exchange, "engine", m.Role.ENGINE)
    absent = request_id(4711, 1)
    said = engine.results((absent, 0), stream=stream)
    assert not any(isinstance(each, m.Stored) for each in said)
    grow_old(exchange, engine)
    assert engine.one(m.Stored).requests == ((absent, absent),)


@pytest.mark.parametrize("stream", [MULTIENGINE, TASK])
def test_also_of_clients_that_have_not_asked_again(exchange: Exchange, stream: m.Stream) -> None:
    """A client registers before it says its requests again: the result must outlast the moment."""
    client = a_peer(exchange, "client", m.Role.ADMIN)
    engine = a_peer(exchange, "engine", m.Role.ENGINE)
    number = client.id(1)
    engine.results((number, 0), stream=stream)
    assert not engine.heard(m.Stored)
    if stream is TASK:
        client.submit(1)
    else:
        client.command(1, 0)
    engine.heard()
    engine.results((number, 0), stream=stream)
    assert ends_of(client.heard()) == {number: (0, b"value")}
    assert engine.one(m.Stored).requests == ((number, number),)


def test_an_old_hub_acknowledges_what_it_does_not_know(exchange: Exchange) -> None:
    """Nobody will ask for it any more."""
    exchange.pass_time(GRACE + 0.1)
    engine = a_peer(exchange, "engine", m.Role.ENGINE)
    absent = request_id(4711, 1)
    engine.results((absent, 0))
    assert engine.one(m.Stored).requests == ((absent, absent),)

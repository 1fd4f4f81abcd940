"""Peers that have ended with nobody to say so."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ctrlhub.controller.config import HubConfig
from ctrlhub.controller.core.effects import Connection
from ctrlhub.wire import messages as m
from tests.support.exchange import Exchange, Line, rows_of
from tests.support.multiengine import HUB, client, engines, exchange

__all__ = ["client", "engines", "exchange"]


def silent(exchange: Exchange, seconds: float, *speak: Line) -> None:
    """Let time pass in which only some say something."""
    for _ in range(int(seconds * 2)):
        for line in speak:
            line.say(HUB, m.Beat())
        exchange.pass_time(0.5)


def closed(line: Line) -> None:
    """Have the transport find that a peer's connections cannot be sent to."""
    for stream in (HUB, m.Stream.MULTIENGINE, m.Stream.TASK):
        line.exchange.switchboard.disconnected(Connection(0, stream, line.address))
    line.exchange.turn()


def ids(client: Line) -> list[int]:
    """Return the ids of the engines."""
    return [each["id"] for each in client.call("query", "engines_now").value["engines"]]


def test_a_silent_engine_is_tried(client: Line, engines: list[Line]) -> None:
    """Once, when it becomes suspect; one that can be reached is given up no earlier than ever."""
    exchange = client.exchange
    silent(exchange, 2.5, client, engines[1])
    assert engines[0].heard(m.Beat) == []

    silent(exchange, 6.5, client, engines[1])

    assert engines[0].heard(m.Beat) == [m.Beat()]
    assert ids(client) == [0, 1]
    silent(exchange, 1.5, client, engines[1])
    assert ids(client) == [1]


def test_one_that_cannot_be_reached_has_ended(client: Line, engines: list[Line]) -> None:
    """Its tasks go elsewhere at once, and clients hear why."""
    exchange = client.exchange
    client.submit(1)
    assert len(rows_of(engines[0].heard())) == 1
    silent(exchange, 3.0, client, engines[1])
    assert ids(client) == [0, 1]

    closed(engines[0])
    exchange.pass_time(0.0)

    assert ids(client) == [1]
    assert len(rows_of(engines[1].heard())) == 1
    [said] = [
        effect.message.engine["cause"]
        for effect in exchange.published
        if isinstance(effect.message, m.EngineEvent) and effect.message.event == "unregistered"
    ]
    assert "has ended" in said


def test_a_connection_that_was_closed_before(client: Line, engines: list[Line]) -> None:
    """The hub had something to say to the engine, and has found that out then."""
    closed(engines[0])
    silent(client.exchange, 2.5, client, engines[1])
    assert ids(client) == [0, 1]

    silent(client.exchange, 1.0, client, engines[1])

    assert ids(client) == [1]


def test_who_comes_back_in_time_has_not_ended(client: Line, engines: list[Line]) -> None:
    """Its connection was another one for a moment."""
    exchange, engine = client.exchange, engines[0]
    silent(exchange, 3.0, client, engines[1])
    exchange.switchboard.disconnected(Connection(0, HUB, engine.address))
    assert engine.registered is not None
    again = Line(exchange, "again")
    again.say(HUB, replace(engine.said, token=engine.registered.token))
    exchange.pass_time(0.0)

    assert ids(client) == [0, 1]


@pytest.mark.parametrize("suspect", [20.0])
def test_where_silence_closes_connections_it_proves_nothing(suspect: float) -> None:
    """ZeroMQ's own heartbeat does so after a while."""
    exchange = Exchange(HubConfig(suspect=suspect, lost=60.0))
    client, engine = Line(exchange, "client"), Line(exchange, "engine")
    client.register(m.Role.ADMIN)
    engine.register(m.Role.ENGINE)
    silent(exchange, suspect, client)
    closed(engine)
    silent(exchange, 5.0, client)

    assert ids(client) == [0]


def test_clients_keep_their_sessions_as_ever(client: Line, engines: list[Line]) -> None:
    """What a client has left is kept for its time, which does not begin earlier."""
    other = Line(client.exchange, "other")
    other.register(m.Role.ADMIN)
    other.heard()
    silent(client.exchange, 4.0, client, *engines)

    assert other.heard(m.Beat) == []

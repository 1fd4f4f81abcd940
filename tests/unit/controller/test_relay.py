"""Live output passes through the hub: to whom it belongs, and nowhere else; nothing is kept."""

from __future__ import annotations

import pytest

from ctrlhub.controller.core.effects import Publish
from ctrlhub.wire import messages as m
from ctrlhub.wire.limits import MAX_CONTROL_BYTES
from tests.support.exchange import Exchange, Line
from tests.support.multiengine import STREAM, a_peer, client, ends, engines, exchange

__all__ = ["client", "engines", "exchange"]

ITEMS = (("stdout", 0, "hello\n"),)


def published(exchange: Exchange) -> list[tuple[bytes, m.Output]]:
    """Take the output that was published, and where."""
    found = [
        (effect.connection.address, effect.message)
        for effect in exchange.published
        if isinstance(effect, Publish) and isinstance(effect.message, m.Output)
    ]
    exchange.published.clear()
    return found


def running(client: Line, engines: list[Line], stream: m.Stream) -> Line:
    """Have the client's first request run; return the engine that runs it."""
    if stream is m.Stream.TASK:
        client.submit(1)
    else:
        client.command(1, 0)
    [engine] = [each for each in engines if each.heard(m.RunCommand, m.RunTasks)]
    return engine


@pytest.mark.parametrize("stream", [m.Stream.MULTIENGINE, m.Stream.TASK])
def test_output_reaches_the_client_of_what_runs(
    exchange: Exchange, client: Line, engines: list[Line], stream: m.Stream
) -> None:
    """On its own connection, with the engine's id as the hub knows it; the answer goes the same way."""
    engine = running(client, engines, stream)
    number = client.id(1)

    assert engine.say(stream, m.Output(number, 1, ITEMS, engine=77)) == []
    [(where, message)] = published(exchange)
    assert where == client.address
    assert message == m.Output(number, 1, ITEMS, engine=message.engine)
    assert message.engine in (0, 1)

    received = m.OutputReceived(number, 1, message.engine)
    client.say(stream, received)
    assert engine.heard(m.OutputReceived) == [received]


@pytest.mark.parametrize("stream", [m.Stream.MULTIENGINE, m.Stream.TASK])
def test_a_client_that_is_connected_anew_is_told_again(
    exchange: Exchange, client: Line, engines: list[Line], stream: m.Stream
) -> None:
    """By the engines that run something of it, on the stream of that; nobody else is asked."""
    engine = running(client, engines, stream)
    if stream is m.Stream.MULTIENGINE:
        client.command(2, 0)
    a_peer(exchange, "stranger", m.Role.ADMIN)
    assert engine.heard(m.OutputReceived) == []

    assert client.registered is not None
    client.say(m.Stream.IOPUB, m.Hello(client.registered.token))

    [other] = [each for each in engines if each is not engine]
    [asked] = engine.heard(m.OutputReceived)
    assert asked == m.OutputReceived(client.id(1), -1, asked.engine, missed=True)
    assert other.heard(m.OutputReceived) == []


@pytest.mark.parametrize("stream", [m.Stream.MULTIENGINE, m.Stream.TASK])
def test_a_client_need_not_know_where_its_request_runs(
    exchange: Exchange, client: Line, engines: list[Line], stream: m.Stream
) -> None:
    """Nor on which stream it was submitted: another process may have done that."""
    engine = running(client, engines, stream)

    for each in (m.Stream.MULTIENGINE, m.Stream.TASK):
        client.say(each, m.OutputReceived(client.id(1), 0, -1, missed=True))
        client.say(each, m.OutputReceived(client.id(2), 0, -1, missed=True))

    [asked] = engine.heard(m.OutputReceived)
    assert asked == m.OutputReceived(client.id(1), 0, asked.engine, missed=True)
    assert asked.engine in (0, 1)


def test_output_of_what_does_not_run_there_goes_nowhere(
    exchange: Exchange, client: Line, engines: list[Line]
) -> None:
    """Of another engine's request, of one that waits or has ended, of none."""
    client.command(1, 0)
    client.command(2, 0)
    number = client.id(1)

    engines[1].say(STREAM, m.Output(number, 1, ITEMS))
    engines[0].say(STREAM, m.Output(client.id(2), 1, ITEMS))
    engines[0].say(STREAM, m.Output(99, 1, ITEMS))
    engines[0].say(STREAM, m.Output(-1, 1, ITEMS))
    ends(engines[0], number)
    engines[0].say(STREAM, m.Output(number, 2, ITEMS))

    assert published(exchange) == []


def test_only_the_client_says_what_it_has_received(
    exchange: Exchange, client: Line, engines: list[Line]
) -> None:
    """Another one's word is not passed on, nor one about an engine that is not there."""
    client.command(1, 0)
    stranger = a_peer(exchange, "stranger", m.Role.ADMIN)

    stranger.say(STREAM, m.OutputReceived(client.id(1), 1, 0))
    client.say(STREAM, m.OutputReceived(client.id(1), 1, 1))
    client.say(STREAM, m.OutputReceived(client.id(1), 1, 55))

    assert [engine.heard(m.OutputReceived) for engine in engines] == [[], []]


def test_output_for_a_client_that_is_gone_is_dropped(
    exchange: Exchange, client: Line, engines: list[Line]
) -> None:
    """The engine may go on printing."""
    client.command(1, 0)
    number = client.id(1)
    client.say(m.Stream.HUB, m.Goodbye())
    exchange.published.clear()

    assert engines[0].say(STREAM, m.Output(number, 1, ITEMS)) == []
    assert published(exchange) == []


def test_more_output_than_a_message_of_an_engine_has_is_refused(
    exchange: Exchange, client: Line, engines: list[Line]
) -> None:
    """It would be kept for a client that is slow."""
    client.command(1, 0)
    items = (("stdout", 0, "x" * (MAX_CONTROL_BYTES + 1)),)
    [refused] = engines[0].say(STREAM, m.Output(client.id(1), 1, items))
    assert isinstance(refused, m.Refused)
    assert refused.code == "limit_exceeded"
    assert published(exchange) == []

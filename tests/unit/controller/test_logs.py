"""What engines log, for clients that have asked for it."""

from __future__ import annotations

from typing import Any

import pytest

from ctrlhub.controller.config import HubConfig
from ctrlhub.controller.core.credit import WINDOW
from ctrlhub.controller.core.effects import Connection
from ctrlhub.wire import messages as m
from ctrlhub.wire.errors import InvalidRequest
from ctrlhub.wire.limits import MAX_CONTROL_BYTES
from tests.support.exchange import Exchange, Line
from tests.support.multiengine import HUB, STREAM, a_peer, client, engines, exchange, hello

__all__ = ["client", "engines", "exchange"]


def record(name: str = "user", level: int = 20, **fields: Any) -> dict[str, Any]:
    """What an engine sends of a record."""
    return {"name": name, "levelno": level, "message": "text", **fields}


def forward(client: Line, logger: str = "", level: int = 20, **fields: Any) -> m.Answer:
    """Ask for what is logged."""
    return client.call("logs", "forward", logger=logger, level=level, **fields)


def published(exchange: Exchange) -> list[tuple[bytes, m.LogRecords]]:
    """Take what was published: where, and the records."""
    found = [(p.connection.address, p.message) for p in exchange.published]
    exchange.published = []
    return [(where, each) for where, each in found if isinstance(each, m.LogRecords)]


def test_engines_are_told_what_is_wanted(client: Line, engines: list[Line]) -> None:
    """Of all clients together, and each time it changes."""
    other = a_peer(client.exchange, "other", m.Role.ADMIN)
    forward(client, "", 30)
    forward(other, "", 20)
    forward(other, "user", 10, targets=[1])

    assert engines[0].heard(m.ForwardLogs)[-1] == m.ForwardLogs({"": 20})
    assert engines[1].heard(m.ForwardLogs)[-1] == m.ForwardLogs({"": 20, "user": 10})

    other.say(HUB, m.Goodbye())
    assert engines[1].heard(m.ForwardLogs) == [m.ForwardLogs({"": 30})]


def test_the_client_gets_a_sign(exchange: Exchange, client: Line) -> None:
    """On the stream on which records will come."""
    exchange.published = []
    forward(client)
    ((where, message),) = published(exchange)
    assert (where, message) == (client.address, m.LogRecords(()))


def test_engines_that_come_are_told(exchange: Exchange, client: Line) -> None:
    """If there is anything."""
    quiet = Line(exchange, "quiet")
    quiet.register(m.Role.ENGINE)
    assert quiet.heard(m.ForwardLogs) == []

    forward(client)
    late = Line(exchange, "late")
    late.register(m.Role.ENGINE)
    assert m.ForwardLogs({"": 20}) in late.heard(m.ForwardLogs)


def test_an_engine_that_was_away_is_told_that_nobody_wants_it_any_more(
    exchange: Exchange, client: Line, engines: list[Line]
) -> None:
    """It would send for ever what nobody hears."""
    forward(client, "", 10)
    engines[0].heard()
    exchange.switchboard.disconnected(Connection(0, STREAM, engines[0].address))
    client.call("logs", "unforward", logger="")
    assert engines[0].heard(m.ForwardLogs) == []

    hello(engines[0])

    assert engines[0].heard(m.ForwardLogs) == [m.ForwardLogs({})]


def test_each_client_gets_what_it_wants(
    exchange: Exchange, client: Line, engines: list[Line]
) -> None:
    """From its levels on, of its loggers and engines; with the engine's id."""
    other = a_peer(exchange, "other", m.Role.ADMIN)
    forward(client, "user", 30)
    forward(other, "", 10, targets=[0])
    exchange.published = []
    records = [record(), record(level=40), record("user.part", 40), record("users", 40)]

    engines[1].say(STREAM, m.LogRecords(records))
    ((where, message),) = published(exchange)
    assert client.registered is not None
    assert where == client.address
    assert (list(message.records), message.engine) == (records[1:3], 1)

    engines[0].say(STREAM, m.LogRecords(records))
    found = published(exchange)
    assert [len(each.records) for _, each in found] == [2, 4]


def test_nobody_wants_it_any_more(exchange: Exchange, client: Line, engines: list[Line]) -> None:
    """Then nothing is published, and engines are told."""
    forward(client)
    assert client.call("logs", "unforward", logger="").value is True
    assert client.call("logs", "unforward", logger="").value is False
    assert engines[0].heard(m.ForwardLogs)[-1] == m.ForwardLogs({})

    exchange.published = []
    engines[0].say(STREAM, m.LogRecords([record()]))
    assert published(exchange) == []


def test_what_is_no_record_is_left_out(
    exchange: Exchange, client: Line, engines: list[Line]
) -> None:
    """Engines may send anything."""
    forward(client)
    exchange.published = []
    engines[0].say(STREAM, m.LogRecords([{}, {"name": 5, "levelno": 40}, {"name": "x"}]))
    assert published(exchange) == []


@pytest.mark.parametrize(
    ("arguments", "code"),
    [({"logger": 5}, "invalid_request"), ({"level": "INFO"}, "invalid_request"),
     ({"targets": "all"}, "invalid_request"), ({"logger": "x" * 5000}, "invalid_request")],
)  # fmt: skip
def test_arguments_are_checked(client: Line, arguments: dict[str, Any], code: str) -> None:
    """They come from clients."""
    assert forward(client, **arguments).code == code


def test_there_is_a_limit(client: Line) -> None:
    """What is kept for a client is bounded."""
    for number in range(64):
        assert forward(client, f"logger {number}").code == ""
    assert forward(client, "one more").code == "limit_exceeded"
    assert forward(client, "logger 5", 30).code == ""


def test_a_client_that_takes_nothing_in_is_sent_no_more(
    exchange: Exchange, client: Line, engines: list[Line]
) -> None:
    """Others are; once it has caught up, it is told how much it has missed."""
    other = a_peer(exchange, "other", m.Role.ADMIN)
    forward(client)
    forward(other)
    assert client.registered is not None
    exchange.published = []
    for number in range(1, WINDOW + 4):
        engines[0].say(STREAM, m.LogRecords([record()]))
        other.call("logs", "received", number=number)
    assert [where for where, _ in published(exchange)].count(client.address) == WINDOW

    assert client.call("logs", "received", number="all").code == InvalidRequest.code
    client.call("logs", "received", number=WINDOW)
    engines[0].say(STREAM, m.LogRecords([record()]))
    message = dict(published(exchange))[client.address]

    assert message.number == WINDOW + 1
    assert message.records[0]["message"].startswith("3 more records")
    assert message.records[1] == record()


def test_more_than_an_engine_sends_at_a_time_is_refused(exchange: Exchange, client: Line) -> None:
    """It would be kept for a client that is slow."""
    engine = a_peer(exchange, "engine", m.Role.ENGINE)
    forward(client)
    exchange.published = []
    records = ({"name": "x", "levelno": 50, "message": "x" * (MAX_CONTROL_BYTES + 1)},)
    [refused] = engine.say(STREAM, m.LogRecords(records))
    assert isinstance(refused, m.Refused)
    assert refused.code == "limit_exceeded"
    assert published(exchange) == []


def test_targets_are_ids_that_there_can_be(client: Line) -> None:
    """Numbers are kept for as long as a client follows a logger: not any of them."""
    for target in (-1, 1 << 40, HubConfig().max_engines):
        answer = client.call("logs", "forward", logger="x", level=10, targets=[target])
        assert answer.code == "invalid_request"

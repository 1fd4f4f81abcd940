"""MultiEngine: aborting, clients that go, and its calls."""

from __future__ import annotations

from typing import Any

import pytest

from ctrlhub.controller.core.effects import Drop, SaveResults
from ctrlhub.wire import messages as m
from tests.support.exchange import Exchange, Line, ends_of
from tests.support.multiengine import (
    HUB,
    a_peer,
    begun,
    client,
    dies,
    ends,
    engines,
    exchange,
    hello,
)

__all__ = ["client", "engines", "exchange"]


# ---------------------------------------------------------------- stopping


def test_aborting(client: Line, engines: list[Line]) -> None:
    """Queued ones end at once, the running one is interrupted, ended ones are told."""
    for counter in (1, 2, 3, 4):
        client.command(counter, 0)
    ends(engines[0], client.id(1))
    client.heard()
    engines[0].heard()
    answer = client.call("multiengine", "abort", requests=[[client.id(1), client.id(3)]])
    assert answer.value == {
        "cancelled": ((client.id(3), client.id(3)),),
        "interrupted": ((client.id(2), client.id(2)),),
        "finished": ((client.id(1), client.id(1)),),
    }
    assert engines[0].heard() == [m.Interrupt(((client.id(2), client.id(2)),))]
    assert ends_of(client.heard()) == {client.id(3): (m.Status.CANCELLED, b"")}
    ends(engines[0], client.id(2), status=m.Status.CANCELLED, payload=b"")
    assert begun(engines[0]) == [client.id(4)]


def test_an_abort_survives_a_reconnection(client: Line, engines: list[Line]) -> None:
    """What the engine has is interrupted again; what it never got ends, and the next begins."""
    client.command(1, 0)
    client.command(2, 0)
    client.call("multiengine", "abort", requests=[[client.id(1), client.id(1)]])
    engines[0].heard()
    assert m.Interrupt(((client.id(1), client.id(1)),)) in hello(engines[0], client.id(1))
    engines[0].heard()
    hello(engines[0])
    assert ends_of(client.heard()) == {client.id(1): (m.Status.CANCELLED, b"")}
    assert begun(engines[0]) == [client.id(2)]


def test_what_is_aborted_before_it_has_come_does_not_run(
    client: Line, engines: list[Line]
) -> None:
    """The wish travels on another stream, and may be quicker; those of a client that is gone are none."""
    client.call("multiengine", "abort", requests=[[client.id(1), client.id(1)], [client.id(7), client.id(7)]])
    client.command(1, 0)
    client.command(2, 0)
    assert begun(engines[0]) == [client.id(2)]
    multiengine = client.exchange.switchboard.interfaces["multiengine"]
    assert multiengine._early
    client.say(m.Stream.HUB, m.Goodbye())
    assert not multiengine._early


def test_nobody_aborts_for_another(exchange: Exchange, client: Line, engines: list[Line]) -> None:
    """Other clients' commands are not found."""
    other = a_peer(exchange, "other", m.Role.ADMIN)
    client.command(1, 0)
    answer = other.call("multiengine", "abort", requests=[[0, 2**62]])
    assert answer.value == {"cancelled": (), "interrupted": (), "finished": ()}


def test_a_storm_of_aborts_is_one_pass_over_the_queue(
    client: Line, engines: list[Line], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ten thousand commands go in one step, not each by a search of its own."""
    client.command(1, *[0] * 10_000)
    queue = client.exchange.commands._queues[0]
    passes = []
    withdraw = type(queue).withdraw
    monkeypatch.setattr(
        type(queue), "withdraw", lambda self, ids: passes.append(1) or withdraw(self, ids)
    )
    answer = client.call("multiengine", "abort", requests=[[client.id(1), client.id(10_000)]])
    assert answer.value["cancelled"] == ((client.id(2), client.id(10_000)),)
    assert len(passes) == 2  # one for each engine


def test_a_client_that_leaves_leaves_nothing(
    exchange: Exchange, client: Line, engines: list[Line]
) -> None:
    """Its queued commands go, its running one is interrupted, and the end is stored for nobody."""
    other = a_peer(exchange, "other", m.Role.ADMIN)
    client.command(1, 0)
    client.command(2, 0)
    client.command(3, 0, function=b"missing")
    other.command(1, 0)
    client.say(HUB, m.Goodbye())
    assert m.Interrupt(((client.id(1), client.id(1)),)) in engines[0].heard(m.Interrupt)
    exchange.operations.clear()
    begun(engines[0])
    ends(engines[0], client.id(1))
    assert all(each == SaveResults([]) for each in exchange.operations)
    assert begun(engines[0]) == [other.id(1)]
    assert len(exchange.commands._deliveries) == 0


def test_an_engine_that_dies_with_a_vanished_clients_command(
    exchange: Exchange, client: Line, engines: list[Line]
) -> None:
    """Leaves no result behind for it."""
    client.command(1, 0)
    client.say(HUB, m.Goodbye())
    exchange.operations.clear()
    dies(exchange, engines[0])
    assert len(exchange.commands._deliveries) == 0
    assert exchange.operations == [Drop("engine/0")]


# ---------------------------------------------------------------- calls


@pytest.mark.parametrize(
    ("targets", "code"),
    [([9], "invalid_engine_id"), ([-1], "invalid_engine_id"), (0, "invalid_request"),
     (["0"], "invalid_request"), ([True], "invalid_request"), (None, "invalid_request")],
)  # fmt: skip
def test_targets_are_checked(
    client: Line, engines: list[Line], targets: Any, code: str
) -> None:
    """Before anything is done."""
    assert client.call("control", "interrupt", targets=targets).code == code
    assert engines[0].heard() == []

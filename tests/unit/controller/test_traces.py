"""Traces at the hub: it hands on a task's context, and its own times, and keeps nothing else."""

from __future__ import annotations

from typing import Any

import pytest

from ctrlhub.wire import messages as m
from ctrlhub.wire.options import PLAIN, TaskOptions
from tests.support.exchange import Exchange, Line, rows_of
from tests.support.peerage import a_peer

TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def test_the_context_and_the_hubs_times_go_to_the_engine() -> None:
    """When a task came and when it was given, in Unix time, beside the context as it came; again with a retry."""
    exchange = Exchange()
    client = a_peer(exchange, "client", m.Role.SUBMIT)
    exchange.switchboard.interfaces["tasks"].context.figures.unix_offset = 1_000_000.0
    client.submit(1, options={"trace": TRACE}, retries=1)
    came = exchange.now
    exchange.now += 2.5
    engine = Line(exchange, "engine")
    engine.register(m.Role.ENGINE)
    [given] = engine.heard(m.RunTasks)
    assert _options(given) == {
        "trace": TRACE, "queued": came + 1_000_000.0, "given": came + 2.5 + 1_000_000.0,
    }  # fmt: skip
    engine.heard()
    exchange.now += 1.0
    engine.results((client.id(1), 0), status=m.Status.ERROR, payload=b"")
    [again] = engine.heard(m.RunTasks)
    assert rows_of([again]) == [(client.id(1), 1)]
    assert _options(again)["given"] == came + 3.5 + 1_000_000.0


def _options(message: m.Message) -> dict[str, Any]:
    assert isinstance(message, m.RunTasks)
    [template] = message.templates
    assert len(template) == 5
    return dict(template[4])


def test_a_task_without_a_trace_takes_nothing_more() -> None:
    """Its template travels as ever."""
    exchange = Exchange()
    client, engine = a_peer(exchange, "client", m.Role.SUBMIT), a_peer(exchange, "engine", m.Role.ENGINE)
    client.submit(1)
    [given] = engine.heard(m.RunTasks)
    assert isinstance(given, m.RunTasks)
    assert [len(template) for template in given.templates] == [4]
    assert PLAIN.to_wire() == {}


@pytest.mark.parametrize("trace", [3, None, "x" * 129, "00-ä", [TRACE]])
def test_what_is_no_traceparent_is_refused(trace: object) -> None:
    """As any option that is not what it should be."""
    exchange = Exchange()
    client = a_peer(exchange, "client", m.Role.SUBMIT)
    [refused] = client.submit(1, options={"trace": trace})
    assert isinstance(refused, m.Refused)
    assert refused.code == "invalid_request"
    assert "trace" in refused.message


def test_a_trace_outlives_the_hub() -> None:
    """It is an option like others, which are stored with the task; so is its state."""
    options = TaskOptions(trace=TRACE, trace_state="a=1,b=2")
    assert TaskOptions.from_wire(options.to_wire()) == options


def test_the_state_goes_with_the_context() -> None:
    """And alone it says nothing; what is none is refused."""
    exchange = Exchange()
    client, engine = a_peer(exchange, "client", m.Role.SUBMIT), a_peer(exchange, "engine", m.Role.ENGINE)
    client.submit(1, options={"trace": TRACE, "trace_state": "vendor=opaque"})
    [given] = engine.heard(m.RunTasks)
    assert _options(given)["trace_state"] == "vendor=opaque"
    engine.results((client.id(1), 0))
    engine.heard()
    client.submit(2, options={"trace_state": "vendor=opaque"})
    [alone] = engine.heard(m.RunTasks)
    assert isinstance(alone, m.RunTasks)
    assert [len(template) for template in alone.templates] == [4]
    for wrong in (3, None, "x" * 513, "ä=1"):
        [refused] = client.submit(3, options={"trace": TRACE, "trace_state": wrong})
        assert isinstance(refused, m.Refused)
        assert (refused.code, "trace_state" in refused.message) == ("invalid_request", True)

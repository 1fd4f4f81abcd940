"""TaskQueue: cancelling, and clients that go."""

from __future__ import annotations

import pytest

from ctrlhub.controller.core.effects import Connection, SaveRequests, SaveResults
from ctrlhub.controller.switchboard import Origin
from ctrlhub.wire import messages as m
from ctrlhub.wire.codec import encode
from ctrlhub.wire.errors import Failure, UnmetDependency, pack_failure, unpack_failure
from ctrlhub.wire.ids import from_ranges
from tests.support.exchange import Exchange, Line, ends_of, rows_of
from tests.support.taskqueue import (
    an_engine,
    client,
    dies,
    engine,
    exchange,
    held_by,
)

__all__ = ["client", "engine", "exchange"]

TASK, HUB, MULTIENGINE = m.Stream.TASK, m.Stream.HUB, m.Stream.MULTIENGINE


# ---------------------------------------------------------------- cancelling


def test_queued_tasks_are_cancelled_at_once(client: Line) -> None:
    """Without any engine; cancelling again finds them finished."""
    client.submit(1, 2, 3)
    requests = [[client.id(1), client.id(2)]]
    answer = client.call("tasks", "cancel", requests=requests)
    both = ((client.id(1), client.id(2)),)
    assert answer.value == {"cancelled": both, "interrupted": (), "finished": (), "running": ()}
    assert ends_of(client.heard()) == {client.id(n): (m.Status.CANCELLED, b"") for n in (1, 2)}
    answer = client.call("tasks", "cancel", requests=requests)
    assert answer.value == {"cancelled": (), "interrupted": (), "finished": both, "running": ()}
    assert client.exchange.tasks.summary()["queued"] == 1


def test_a_cancelled_task_is_stored_as_such(client: Line) -> None:
    """A hub that restarts must not run it."""
    client.submit(1)
    client.exchange.operations.clear()
    client.call("tasks", "cancel", requests=[[client.id(1), client.id(1)]])
    saved = [o for o in client.exchange.operations if isinstance(o, SaveResults)]
    assert [row[0] for operation in saved for row in operation.rows] == [client.id(1)]


def test_running_tasks_are_interrupted(client: Line, engine: Line) -> None:
    """The engine answers for them, cancelled or finished after all; it can have begun but the first."""
    ids = held_by(client, engine, 2)
    answer = client.call("tasks", "cancel", requests=[[ids[0], ids[1]]])
    assert answer.value["interrupted"] == ((ids[0], ids[1]),)
    assert answer.value["running"] == ((ids[0], ids[0]),)
    assert engine.heard() == [m.Interrupt(((ids[0], ids[1]),))]
    engine.results((ids[0], 0), status=m.Status.CANCELLED, payload=b"")
    engine.results((ids[1], 0))
    assert ends_of(client.heard()) == {ids[0]: (2, b""), ids[1]: (0, b"value")}


def test_what_runs_is_not_withdrawn(client: Line, engine: Line) -> None:
    """What the engine has behind it is, and what is queued; so an executor cancels what waits."""
    ids = held_by(client, engine, 3)
    client.submit(8)
    queued = client.id(8)
    answer = client.call("tasks", "withdraw", requests=[[ids[0], ids[2]], [queued, queued]])
    assert answer.value["running"] == ((ids[0], ids[0]),)
    stopped = {*from_ranges(answer.value["interrupted"]), *from_ranges(answer.value["cancelled"])}
    assert stopped == {*ids[1:], queued}
    assert ids[0] not in {n for each in engine.heard() for n in from_ranges(getattr(each, "requests", ()))}


def test_nobody_withdraws_for_another(exchange: Exchange, client: Line) -> None:
    """Another client's tasks are not found."""
    other = Line(exchange, "other")
    other.register(m.Role.ADMIN)
    client.submit(1)
    answer = other.call("tasks", "withdraw", requests=[[0, 2**62]])
    assert set(answer.value.values()) == {()}
    assert exchange.tasks.summary()["queued"] == 1


def test_nobody_cancels_for_another(exchange: Exchange, client: Line) -> None:
    """Another client's tasks are not found."""
    other = Line(exchange, "other")
    other.register(m.Role.ADMIN)
    client.submit(1)
    answer = other.call("tasks", "cancel", requests=[[0, 2**62]])
    assert answer.value == {"cancelled": (), "interrupted": (), "finished": (), "running": ()}
    assert exchange.tasks.summary()["queued"] == 1


def test_overlapping_ranges_cancel_once(client: Line) -> None:
    """A request named three times ends once."""
    client.submit(1, 2)
    both = [client.id(1), client.id(2)]
    answer = client.call("tasks", "cancel", requests=[both, both, [client.id(2), client.id(2)]])
    assert answer.value["cancelled"] == (tuple(both),)
    assert client.exchange.tasks.cancelled == 2


@pytest.mark.parametrize("requests", [5, "x", [5], [[1]], [[2, 1]], [[-1, 1]], [["a", "b"]], None])
def test_malformed_ranges_are_the_callers_fault(client: Line, requests: object) -> None:
    """A named error, and nothing done."""
    answer = client.call("tasks", "cancel", requests=requests)
    assert answer.code == "invalid_request"


def test_a_cancelled_task_is_not_run_again(exchange: Exchange, client: Line, engine: Line) -> None:
    """Neither when its engine dies instead, nor when it answers with an exception."""
    ids = held_by(client, engine, 2, retries=5)
    client.call("tasks", "cancel", requests=[[ids[0], ids[1]]])
    engine.results((ids[0], 0), status=m.Status.ERROR, payload=b"KeyboardInterrupt, caught")
    dies(exchange, engine, running=ids[1])
    ends = ends_of(client.heard())
    assert ends == {ids[0]: (1, b"KeyboardInterrupt, caught"), ids[1]: (2, b"")}
    assert exchange.tasks.summary()["queued"] == 0


def test_a_cancellation_survives_a_reconnection(client: Line, engine: Line) -> None:
    """What the engine has is interrupted again; what it never got ends at once."""
    ids = held_by(client, engine, 3)
    client.call("tasks", "cancel", requests=[[ids[0], ids[1]]])
    engine.heard()
    assert engine.registered is not None
    answers = engine.say(TASK, m.Hello(engine.registered.token, ((ids[0], ids[0]),)))
    assert m.Interrupt(((ids[0], ids[0]),)) in answers
    assert rows_of(answers) == [(ids[2], 0)]
    assert ends_of(client.heard()) == {ids[1]: (2, b"")}


# ---------------------------------------------------------------- the end of a client


def test_a_client_that_leaves_leaves_nothing(
    exchange: Exchange, client: Line, engine: Line
) -> None:
    """Queued tasks go at once, running ones when the engine has answered, results with them."""
    ids = held_by(client, engine, 2)
    engine.results((ids[0], 0))
    client.submit(20, 21, functions=(), function=b"missing")
    client.say(HUB, m.Goodbye())
    assert exchange.tasks.summary()["running"] == 1
    assert m.Interrupt(((ids[1], ids[1]),)) in engine.heard()
    exchange.operations.clear()
    engine.results((ids[1], 0), status=m.Status.CANCELLED)
    assert exchange.tasks._tasks == {}
    assert len(exchange.tasks._deliveries) == 0
    assert all(o == SaveResults([]) for o in exchange.operations), "stored for nobody"


def test_what_was_submitted_in_the_turn_of_the_goodbye_is_not_stored(exchange: Exchange) -> None:
    """The store would keep it for ever."""
    client = Line(exchange, "client")
    client.register(m.Role.ADMIN)

    exchange.operations.clear()
    submit = m.SubmitTasks(((b"f", 0, 0, ""),), ((client.id(1), 0, b""),), ((b"f", b""),))
    for stream, message in ((TASK, submit), (HUB, m.Goodbye())):
        frames = encode(message)
        origin = Origin(Connection(0, stream, client.address))
        exchange.switchboard.receive(origin, frames[0], frames[1:], exchange.now)
    exchange.turn()
    other = Line(exchange, "other")
    other.register(m.Role.ADMIN)
    other.submit(1)
    saved = [o.records for o in exchange.operations if isinstance(o, SaveRequests)]
    assert [number for records in saved for number, _ in records] == [other.id(1)]


def test_a_vanished_clients_task_is_not_run_again_when_its_engine_dies(
    exchange: Exchange, client: Line, engine: Line
) -> None:
    """Nobody wants it any more; its retries do not count either."""
    ids = held_by(client, engine, 2, retries=3)
    client.say(HUB, m.Goodbye())
    engine.results((ids[0], 0), status=m.Status.ERROR)
    dies(exchange, engine, running=ids[1])
    assert exchange.tasks.summary()["queued"] == 0
    assert exchange.tasks._tasks == {}


def test_a_client_keeps_its_tasks_for_a_while(exchange: Exchange, client: Line) -> None:
    """Within `session_ttl` it finds them again; after that they are cancelled."""
    client.submit(1)
    exchange.pass_time(10.0)
    exchange.pass_time(599.0)
    assert exchange.tasks.summary()["queued"] == 1
    exchange.pass_time(1.0)
    assert exchange.tasks.summary()["queued"] == 0
    assert exchange.tasks._tasks == {}


def test_a_client_that_comes_back_too_late_is_told_what_still_runs(
    exchange: Exchange, client: Line, engine: Line
) -> None:
    """It got its old number; a task of before that has not stopped ends with an error, not never."""
    client.submit(1)
    engine.heard()
    exchange.pass_time(10.0)
    engine.say(HUB, engine.said)
    for _ in range(700):
        exchange.pass_time(1.0)
        engine.say(HUB, m.Beat())
    number = client.id(1)
    assert client.registered is not None
    held = ((number, number),)
    [registered] = [r for r in engine.say(HUB, engine.said) if isinstance(r, m.Registered)]
    engine.say(TASK, m.Hello(registered.token, held))
    client.register(m.Role.ADMIN, incarnation=b"x", session=client.registered.session)
    assert client.id(1) == number
    answers = client.submit(1)
    if exchange.tasks.summary()["running"]:
        assert unpack_failure(ends_of(answers)[number][1]).code == "task_aborted"
        client.say(TASK, m.Received(((number, number),)))


# ---------------------------------------------------------------- declined


def unmet(text: str) -> bytes:
    """Return the failure of an engine that does not meet a dependency."""
    return pack_failure(Failure.from_error(UnmetDependency(text)))


def test_a_declined_task_goes_to_another_engine(exchange: Exchange, client: Line) -> None:
    """Without a retry charged; when all have declined it, it fails, and says why."""
    first = an_engine(exchange, "first")
    client.submit(1)
    [(task, attempt)] = rows_of(first.heard())
    second = an_engine(exchange, "second")
    first.results((task, attempt), status=m.Status.UNMET, payload=unmet("not on the first"))
    assert rows_of(first.heard()) == []
    assert rows_of(second.heard()) == [(task, attempt + 1)]
    assert ends_of(client.heard()) == {}
    second.results((task, attempt + 1), status=m.Status.UNMET, payload=unmet("nor here"))
    [(status, payload)] = ends_of(client.heard()).values()
    failure = unpack_failure(payload)
    assert (status, failure.code) == (m.Status.ERROR, "impossible_dependency")
    assert "nor here" in failure.evalue
    exchange.tasks.check()


def test_a_declined_task_that_nobody_wants_is_cancelled(client: Line, engine: Line) -> None:
    """It does not go on to another engine."""
    client.submit(1)
    [(task, attempt)] = rows_of(engine.heard())
    client.call("tasks", "cancel", requests=[[task, task]])
    engine.results((task, attempt), status=m.Status.UNMET, payload=unmet("no"))
    assert ends_of(client.heard()) == {task: (m.Status.CANCELLED, b"")}
    client.exchange.tasks.check()

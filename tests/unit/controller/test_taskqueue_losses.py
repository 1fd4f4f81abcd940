"""TaskQueue: what is run again after exceptions, losses and broken connections."""

from __future__ import annotations

import pytest

from ctrlhub.controller.core.effects import SaveResults
from ctrlhub.wire import messages as m
from ctrlhub.wire.errors import unpack_failure
from tests.support.exchange import Exchange, Line, ends_of, rows_of
from tests.support.peers import registration
from tests.support.taskqueue import (
    an_engine,
    attempts,
    client,
    dies,
    engine,
    exchange,
    held_by,
)

__all__ = ["client", "engine", "exchange"]

TASK, HUB, MULTIENGINE = m.Stream.TASK, m.Stream.HUB, m.Stream.MULTIENGINE


# ---------------------------------------------------------------- exceptions and losses


def test_an_exception_is_final_by_default(client: Line, engine: Line) -> None:
    """`retries` is 0."""
    client.submit(1)
    engine.results((client.id(1), 0), status=m.Status.ERROR, payload=b"failure")
    assert ends_of(client.heard()) == {client.id(1): (1, b"failure")}
    assert client.exchange.tasks.failed == 1


def test_an_exception_is_retried_as_often_as_asked(client: Line, engine: Line) -> None:
    """Each time as another attempt; the last error is the one that is told."""
    client.submit(1, retries=2)
    for attempt in range(3):
        assert rows_of(engine.heard(m.RunTasks)) == [(client.id(1), attempt)]
        assert ends_of(client.heard()) == {}
        engine.results(
            (client.id(1), attempt), status=m.Status.ERROR, payload=b"failure %d" % attempt
        )
    assert ends_of(client.heard()) == {client.id(1): (1, b"failure 2")}


def test_a_retry_may_succeed(client: Line, engine: Line) -> None:
    """Then nobody hears of the exception."""
    client.submit(1, retries=5)
    engine.results((client.id(1), 0), status=m.Status.ERROR)
    engine.results((client.id(1), 1))
    assert ends_of(client.heard()) == {client.id(1): (0, b"value")}


@pytest.mark.parametrize("status", [5, 99, -1])
def test_a_status_that_does_not_exist_is_refused(client: Line, engine: Line, status: int) -> None:
    """Clients are told of those they know; the task goes on."""
    client.submit(1)
    row = (client.id(1), 0, status, b"?", 0.0, 0.0, None)
    [refused] = engine.say(TASK, m.Results((row,)))
    assert isinstance(refused, m.Refused)
    assert ends_of(client.heard()) == {}
    assert client.exchange.tasks.summary()["running"] == 1


def test_a_loss_charges_the_blamed_task_alone(
    exchange: Exchange, client: Line, engine: Line
) -> None:
    """The others go back uncharged; all are fenced, and run again in their order."""
    given = held_by(client, engine, 4)
    dies(exchange, engine, running=given[2])
    assert attempts(exchange, client, 4) == {1: (1, 0), 2: (1, 0), 3: (1, 1), 4: (1, 0)}
    again = an_engine(exchange, "second")
    assert rows_of(again.heard()) == [(number, 1) for number in given]


def test_a_death_while_nothing_ran_charges_nobody(
    exchange: Exchange, client: Line, engine: Line
) -> None:
    """The nanny knows what ran, so where it names nothing, nothing is to blame."""
    held_by(client, engine, 3)
    dies(exchange, engine)
    assert attempts(exchange, client, 3) == {1: (1, 0), 2: (1, 0), 3: (1, 0)}


def test_a_loss_while_a_command_ran_charges_no_task(
    exchange: Exchange, client: Line, engine: Line
) -> None:
    """A command that kills its engine is not the tasks' fault."""
    held_by(client, engine, 2)
    client.command(50, 0)
    dies(exchange, engine, running=client.id(50))
    assert attempts(exchange, client, 2) == {1: (1, 0), 2: (1, 0)}


@pytest.mark.parametrize("how", ["goodbye", "revoked"])
def test_an_engine_that_goes_on_purpose_charges_nobody(
    exchange: Exchange, client: Line, engine: Line, how: str
) -> None:
    """Tasks that it leaves go elsewhere as often as it takes."""
    held_by(client, engine, 2, engine_retries=0)
    if how == "goodbye":
        engine.say(HUB, m.Goodbye("shutdown"))
    else:
        assert client.call("query", "revoke", key="engine").value is True
    assert attempts(exchange, client, 2) == {1: (1, 0), 2: (1, 0)}
    assert exchange.tasks.summary()["queued"] == 2


def test_a_task_that_kills_engines_is_given_up(exchange: Exchange, client: Line) -> None:
    """After `engine_retries` losses, with the cause of the last; its neighbours survive."""
    client.submit(1, engine_retries=2)
    client.heard()
    for loss in range(3):
        engine = an_engine(exchange, f"engine {loss}")
        assert rows_of(engine.heard()) == [(client.id(1), loss)]
        assert ends_of(client.heard()) == {}
        dies(exchange, engine, running=client.id(1), log="Fatal Python error")
    [(status, payload)] = ends_of(client.heard()).values()
    failure = unpack_failure(payload)
    assert (status, failure.code) == (1, "engine_error")
    assert "3rd" in failure.evalue
    assert "SIGKILL" in failure.evalue
    assert "Fatal Python error" in failure.evalue
    assert exchange.tasks.summary() == {"queued": 0, "running": 0, "done": 0, "failed": 1}
    assert any(isinstance(each, SaveResults) and each.rows for each in exchange.operations)


def test_a_silent_engine_loses_its_tasks(exchange: Exchange, client: Line, engine: Line) -> None:
    """Suspect it gets no more; lost, what it had goes elsewhere, and its late result is dropped."""
    client.submit(1)
    engine.heard()
    other = an_engine(exchange, "other")
    for _ in range(9):
        exchange.pass_time(1.0)
        for line in (other, client):
            line.say(HUB, m.Beat())
    other.heard()
    exchange.pass_time(1.0)
    assert rows_of(other.heard()) == [(client.id(1), 1)]
    [answer] = engine.results((client.id(1), 0))
    assert answer == m.SayHello()
    assert ends_of(client.heard()) == {}


def test_a_suspect_engine_gets_tasks_again_when_it_is_back(
    exchange: Exchange, client: Line, engine: Line
) -> None:
    """By any message, and also by registering again."""
    for way in ("beat", "register"):
        exchange.pass_time(3.5)
        client.say(HUB, m.Beat())
        counter = 1 if way == "beat" else 2
        client.submit(counter)
        assert rows_of(engine.heard()) == []
        assert exchange.tasks.engine(0).state == "suspect"
        engine.say(HUB, m.Beat() if way == "beat" else engine.said)
        assert exchange.tasks.engine(0).state == "busy"
        exchange.turn()
        assert rows_of(engine.heard()) == [(client.id(counter), 0)]
        engine.results((client.id(counter), 0))
    exchange.events()


# ---------------------------------------------------------------- reconnections


def test_what_a_connection_lost_is_given_again(client: Line, engine: Line) -> None:
    """After a hello, by id: what the engine does not name; the function travels again, too."""
    ids = held_by(client, engine, 3)
    assert engine.registered is not None
    hello = m.Hello(engine.registered.token, ((ids[1], ids[1]),))
    answers = engine.say(TASK, hello)
    assert rows_of(answers) == [(ids[0], 0), (ids[2], 0)]
    [run] = [each for each in answers if isinstance(each, m.RunTasks)]
    assert run.functions == ((b"f", b"code"),)


def test_a_later_attempt_is_given_again_though_the_id_is_held(
    exchange: Exchange, client: Line, engine: Line
) -> None:
    """An engine that was given up and comes back may hold the attempt before: its result does not
    count, so it must get the new one.
    """
    client.submit(1)
    engine.heard()
    exchange.pass_time(10.0)
    client.register(m.Role.ADMIN, incarnation=client.said.incarnation)
    assert exchange.tasks.summary()["queued"] == 1
    answers = engine.say(HUB, engine.said)
    [registered] = [each for each in answers if isinstance(each, m.Registered)]
    assert registered.resumed
    held = ((client.id(1), client.id(1)),)
    answers = engine.say(TASK, m.Hello(registered.token, held))
    assert rows_of(answers) == [(client.id(1), 1)]
    engine.results((client.id(1), 0), payload=b"old")
    assert ends_of(client.heard()) == {}
    engine.results((client.id(1), 1), payload=b"new")
    assert ends_of(client.heard()) == {client.id(1): (0, b"new")}


def test_an_engine_without_a_task_connection_gets_its_tasks_with_the_hello(
    exchange: Exchange, client: Line
) -> None:
    """Registered and not yet heard on the task stream: nothing is lost by it."""
    client.submit(1)
    line = Line(exchange, "engine")

    [registered] = line.say(HUB, registration(m.Role.ENGINE, "engine"))
    assert isinstance(registered, m.Registered)
    assert rows_of(line.say(TASK, m.Hello(registered.token))) == [(client.id(1), 0)]

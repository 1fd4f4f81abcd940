"""TaskQueue: what is acknowledged, what is refused, and what waits for its function."""

from __future__ import annotations

import pytest

from ctrlhub.controller.config import HubConfig
from ctrlhub.controller.core.effects import Connection, Fetched, Keep, SaveRequests, SaveResults
from ctrlhub.controller.switchboard import Origin
from ctrlhub.wire import messages as m
from ctrlhub.wire.codec import FrameList, encode
from ctrlhub.wire.errors import unpack_failure
from ctrlhub.wire.ids import request_id
from ctrlhub.wire.limits import BATCH_ROWS, INLINE_BYTES
from tests.support.exchange import Exchange, Line, ends_of, rows_of
from tests.support.taskqueue import (
    an_engine,
    client,
    engine,
    exchange,
    teach,
)

__all__ = ["client", "engine", "exchange"]

TASK, HUB, MULTIENGINE = m.Stream.TASK, m.Stream.HUB, m.Stream.MULTIENGINE


# ---------------------------------------------------------------- many functions


def test_many_functions_at_once_reach_an_engine(client: Line, engine: Line) -> None:
    """Each task with a closure of its own: the engine can read what gives it tasks, and lacks none.

    (`Line` reads each message as its receiver does.)
    """
    digests = [b"%016d" % n for n in range(BATCH_ROWS)]
    client.submit(1)  # occupies the engine, so that the others gather
    engine.heard()
    for part in (digests[:256], digests[256:]):
        functions = FrameList()
        rows = tuple((digest, functions.add(bytes(50_000))) for digest in part)
        templates = tuple((digest, 0, 3, "") for digest in part)
        first = 2 + digests.index(part[0])
        tasks = tuple((client.id(first + n), n, b"") for n in range(len(part)))
        client.say(TASK, m.SubmitTasks(templates, tasks, rows, 0, functions.frames))

    engine.say(TASK, m.NeedFunctions(tuple(digests)))

    [found] = engine.heard(m.Functions)
    assert isinstance(found, m.Functions)
    assert [row[0] for row in found.functions] == digests


# ---------------------------------------------------------------- acknowledgements


def test_the_way_of_a_task(exchange: Exchange, client: Line, engine: Line) -> None:
    """Submitted, accepted, run, stored, completed, received, forgotten: each step acknowledged."""
    number = client.id(1)
    assert client.submit(1) == [m.Accepted(((number, number),))]
    [run] = engine.heard()
    assert isinstance(run, m.RunTasks)
    client.heard()
    assert run.rows == ((number, 0, 0, b"arguments"),)
    assert run.templates == ((b"f", 0, 3, ""),)
    assert run.functions == ((b"f", b"code"),)
    assert engine.results((number, 0)) == [m.Stored(((number, number),))]
    [completed] = client.heard()
    assert isinstance(completed, m.Completed)
    assert completed.rows == ((number, 0, b"value", 0, 0.0, 0.001, None),)
    assert client.say(TASK, m.Received(((number, number),))) == []
    kinds = [type(operation) for operation in exchange.operations if operation != SaveResults([])]
    assert [k for k in kinds if k is not Keep] == [SaveRequests, SaveResults, Fetched]
    assert exchange.tasks._tasks == {}
    assert exchange.tasks.summary() == {"queued": 0, "running": 0, "done": 1, "failed": 0}


def test_a_submission_that_comes_again_is_recognised(client: Line, engine: Line) -> None:
    """It is accepted again, and neither queued nor run again: queued, running or ended."""
    client.submit(1, 2)
    for _ in range(2):
        [accepted] = [a for a in client.submit(1, 2) if isinstance(a, m.Accepted)]
        assert accepted.requests == ((client.id(1), client.id(2)),)
    assert rows_of(engine.heard()) == [(client.id(1), 0)]
    engine.results((client.id(1), 0))
    client.submit(1, 2)
    engine.results((client.id(2), 0))
    assert rows_of(engine.heard()) == [(client.id(2), 0)]
    assert client.exchange.tasks.done == 2


def test_an_id_twice_in_one_message_is_one_task(client: Line, engine: Line) -> None:
    """A careless client costs itself, not the hub's order."""
    client.submit(1, 1, 1)
    assert rows_of(engine.heard()) == [(client.id(1), 0)]
    engine.results((client.id(1), 0))
    assert list(ends_of(client.heard())) == [client.id(1)]
    assert client.exchange.tasks.summary()["queued"] == 0


def test_a_result_that_comes_again_is_stored_again(client: Line, engine: Line) -> None:
    """The engine forgets it; the client is told once, and the first result stays."""
    number = client.id(1)
    client.submit(1)
    engine.results((number, 0), payload=b"first")
    stored = engine.results((number, 0), payload=b"second")
    assert stored[-1] == m.Stored(((number, number),))
    assert ends_of(client.heard()) == {number: (0, b"first")}
    assert client.exchange.tasks.duplicates == 1


def test_a_result_twice_in_one_message(client: Line, engine: Line) -> None:
    """Counts once."""
    number = client.id(1)
    client.submit(1)
    engine.results((number, 0), (number, 0))
    assert client.exchange.tasks.done == 1


@pytest.mark.parametrize("attempt", [1, 7])
def test_a_result_of_another_attempt_does_not_count(
    client: Line, engine: Line, attempt: int
) -> None:
    """It is acknowledged and dropped; the task goes on."""
    client.submit(1)
    assert m.Stored(((client.id(1), client.id(1)),)) in engine.results((client.id(1), attempt))
    assert ends_of(client.heard()) == {}
    assert client.exchange.tasks.summary()["running"] == 1


def test_an_engine_cannot_end_another_engines_task(
    exchange: Exchange, client: Line, engine: Line
) -> None:
    """Nor one that is queued, ended, or unknown."""
    other = an_engine(exchange, "other")
    client.submit(1, 2, 3)
    ids = [client.id(n) for n in (1, 2, 3, 99)]
    holder = engine if rows_of(engine.heard())[0][0] == client.id(1) else other
    outsider = other if holder is engine else engine
    outsider.results((ids[0], 0), (ids[2], 0), (ids[3], 0), (0, 0))
    assert ends_of(client.heard()) == {}
    assert exchange.tasks.duplicates == 4


def test_a_client_that_does_not_acknowledge_gets_results_again_after_a_hello(
    client: Line, engine: Line
) -> None:
    """And not before; once acknowledged, never again."""
    number = client.id(1)
    client.submit(1)
    engine.results((number, 0))
    assert list(ends_of(client.heard())) == [number]
    assert client.registered is not None
    assert list(ends_of(client.say(TASK, m.Hello(client.registered.token)))) == [number]
    client.say(TASK, m.Received(((number, number),)))
    assert ends_of(client.say(TASK, m.Hello(client.registered.token))) == {}


def test_nobody_acknowledges_for_another(exchange: Exchange, client: Line, engine: Line) -> None:
    """A client's Received touches its own results only."""
    other = Line(exchange, "other client")
    other.register(m.Role.ADMIN)
    client.submit(1)
    engine.results((client.id(1), 0))
    other.say(TASK, m.Received(((0, 2**62),)))
    assert client.id(1) in exchange.tasks._tasks


def test_acknowledging_early_twice_and_too_much_is_harmless(client: Line, engine: Line) -> None:
    """Before the result, again, and for ids that never were."""
    client.submit(1)
    client.say(TASK, m.Received(((0, 2**63 - 1),) * 3))
    engine.results((client.id(1), 0))
    client.say(TASK, m.Received(((client.id(1), client.id(1)),) * 3 + ((0, 2**63 - 1),)))
    assert client.exchange.tasks._tasks == {}
    assert client.exchange.switchboard.refused == 0


# ---------------------------------------------------------------- what is refused


def test_tasks_of_another_session_are_refused(client: Line, engine: Line) -> None:
    """The whole message, with nothing half done."""
    foreign = request_id(12345, 1)
    rows = ((client.id(1), 0, b""), (foreign, 0, b""))
    message = m.SubmitTasks(((b"f", 0, 0, ""),), rows, ((b"f", b"code"),))
    [refused] = client.say(TASK, message)
    assert isinstance(refused, m.Refused)
    assert refused.code == "invalid_request"
    assert client.exchange.tasks._tasks == {}
    assert engine.heard() == []


@pytest.mark.parametrize("index", [-1, 1, 2**62])
def test_a_row_without_a_template_is_refused(client: Line, index: int) -> None:
    """Whatever number it names."""
    message = m.SubmitTasks(((b"f", 0, 0, ""),), ((client.id(1), index, b""),), ((b"f", b""),))
    [refused] = client.say(TASK, message)
    assert isinstance(refused, m.Refused)


def test_a_refusal_comes_behind_what_was_accepted(client: Line) -> None:
    """So a client fails no task that will run."""
    exchange = client.exchange
    bad = m.SubmitTasks(((b"f", 0, 0, ""),), ((1, 0, b""),), ((b"f", b""),))

    origin = Origin(Connection(0, TASK, client.address))
    good = m.SubmitTasks(((b"f", 0, 0, ""),), ((client.id(1), 0, b""),), ((b"f", b""),))
    for message in (good, bad):
        frames = encode(message)
        exchange.switchboard.receive(origin, frames[0], frames[1:], exchange.now)
    exchange.turn()
    assert [type(each) for each in client.heard()] == [m.Accepted, m.Refused]


def test_at_the_limit_tasks_end_with_the_reason() -> None:
    """Each that is too many, by itself; those before go on; room made is room again."""
    exchange = Exchange(HubConfig(max_outstanding=3))
    client = Line(exchange, "client")
    client.register(m.Role.ADMIN)
    client.submit(1, 2, 3)
    ends = ends_of(client.submit(4, 5))
    assert set(ends) == {client.id(4), client.id(5)}
    failure = unpack_failure(ends[client.id(4)][1])
    assert (failure.code, "max_outstanding" in failure.evalue) == ("limit_exceeded", True)
    assert exchange.tasks.summary()["queued"] == 3
    client.call("tasks", "cancel", requests=[[client.id(1), client.id(3)]])
    client.say(TASK, m.Received(((client.id(1), client.id(5)),)))
    assert ends_of(client.submit(6)) == {}
    assert exchange.tasks.summary()["queued"] == 1


def test_a_client_that_never_reads_cannot_grow_the_hub() -> None:
    """Beyond as many refusals as the limit its messages are refused whole, and kept nowhere."""
    exchange = Exchange(HubConfig(max_outstanding=10))
    client = Line(exchange, "client")
    client.register(m.Role.ADMIN)
    refused = 0
    for n in range(100):
        refused += any(isinstance(each, m.Refused) for each in client.submit(n + 1))
    assert refused == 80
    assert len(exchange.tasks._tasks) == 20


def test_results_not_fetched_count_against_the_limit(engine: Line, exchange: Exchange) -> None:
    """A client cannot have the hub keep any number of results by never acknowledging them."""
    small = Exchange(HubConfig(max_outstanding=5))
    client, worker = Line(small, "client"), an_engine(small, "engine")
    client.register(m.Role.ADMIN)
    for n in range(1, 6):
        client.submit(n)
        worker.results((client.id(n), 0))
    client.heard()
    [(status, _)] = ends_of(client.submit(6)).values()
    assert status == m.Status.ERROR


# ---------------------------------------------------------------- functions


def test_a_batch_whose_function_is_missing_waits_for_it(client: Line, engine: Line) -> None:
    """It asks once, keeps the order, and goes on when the function comes."""
    asked = client.submit(1, functions=())
    assert asked == [m.NeedFunctions((b"f",))]
    assert client.submit(2, function=b"g") == []
    client.heard()
    client.exchange.turn()
    client.exchange.turn()
    assert client.heard() == []
    answers = client.say(TASK, m.Functions(((b"f", b"code"),)))
    assert {type(each) for each in answers} == {m.Accepted}
    assert rows_of(engine.heard()) == [(client.id(1), 0)]
    engine.results((client.id(1), 0))
    assert rows_of(engine.heard()) == [(client.id(2), 0)]


def test_an_answer_without_the_function_is_asked_for_again(client: Line) -> None:
    """Nothing is lost by it."""
    client.submit(1, functions=())
    assert client.say(TASK, m.Functions(())) == [m.NeedFunctions((b"f",))]
    assert client.exchange.tasks._tasks == {}


def test_a_lost_question_is_asked_again_after_a_hello(client: Line) -> None:
    """The question may have gone with the connection."""
    client.submit(1, functions=())
    assert client.registered is not None
    answers = client.say(TASK, m.Hello(client.registered.token))
    assert m.NeedFunctions((b"f",)) in answers


def test_a_function_may_come_with_a_later_batch(client: Line) -> None:
    """It serves those that wait as well."""
    client.submit(1, functions=())
    client.submit(2)
    client.say(TASK, m.Functions(()))
    assert len(client.exchange.tasks._tasks) == 2


def test_waiting_messages_are_bounded(client: Line, monkeypatch: pytest.MonkeyPatch) -> None:
    """A client whose function never comes is refused at some point."""
    monkeypatch.setattr("ctrlhub.controller.interfaces.task_submissions.MOST_WAITING", 3)
    answers = [client.submit(n, functions=())[-1:] for n in range(1, 6)]
    assert [type(each[0]) if each else None for each in answers] == [
        m.NeedFunctions, None, None, m.Refused, m.Refused,
    ]  # fmt: skip


def test_an_engine_is_sent_each_function_once(client: Line, engine: Line) -> None:
    """And again when it asks: it may have forgotten."""
    client.submit(1, 2)
    [first] = engine.heard()
    engine.results((client.id(1), 0))
    [second] = engine.heard(m.RunTasks)
    assert isinstance(first, m.RunTasks)
    assert isinstance(second, m.RunTasks)
    assert (first.functions, second.functions) == (((b"f", b"code"),), ())
    engine.heard()
    answer = engine.say(TASK, m.NeedFunctions((b"f", b"unknown")))
    assert answer == [m.Functions(((b"f", b"code"),))]


# ---------------------------------------------------------------- payloads


def test_large_payloads_travel_in_frames(client: Line, engine: Line) -> None:
    """Through the hub and back, as they came."""
    arguments, value = bytes(INLINE_BYTES + 1), b"v" * (INLINE_BYTES + 1)
    number = client.id(1)
    submit = m.SubmitTasks(
        ((b"f", 0, 0, ""),),
        ((number, 0, (0, 2)),),
        ((b"f", (2, 1)),),
        0,
        (arguments, b"x", b"code"),
    )
    client.say(TASK, submit)
    [run] = engine.heard()
    assert isinstance(run, m.RunTasks)
    assert run.rows == ((number, 0, 0, (0, 2)),)
    assert run.functions == ((b"f", (2, 1)),)
    assert run.frames == (arguments, b"x", b"code")
    row = (number, 0, 0, (0, 1), 0.0, 0.0, None)
    engine.say(TASK, m.Results((row,), (value,)))
    [completed] = client.heard(m.Completed)
    assert isinstance(completed, m.Completed)
    assert completed.frames == (value,)


def test_batches_to_an_engine_stay_within_the_limits(client: Line, engine: Line) -> None:
    """By bytes and by frames: the engine can read each."""
    teach(client, engine)
    client.submit(*range(1, 41), payload=bytes(INLINE_BYTES))
    runs = engine.heard(m.RunTasks)
    assert len(runs) > 1
    assert sum(len(run.rows) for run in runs if isinstance(run, m.RunTasks)) == 40


def test_counts(client: Line, engine: Line) -> None:
    """As a call of the interface."""
    client.submit(1, 2)
    engine.results((client.id(1), 0))
    answer = client.call("tasks", "counts")
    assert answer.value == {"queued": 0, "running": 1, "done": 1, "failed": 0}

"""TaskQueue: what is acknowledged, what is fenced, what is run again, and what is not."""

from __future__ import annotations

import pytest

from ctrlhub.controller.config import HubConfig
from ctrlhub.controller.core.effects import Connection, Forget, SaveRequests, SaveResults
from ctrlhub.controller.switchboard import Origin
from ctrlhub.wire import messages as m
from ctrlhub.wire.codec import encode
from ctrlhub.wire.errors import unpack_failure
from ctrlhub.wire.ids import request_id
from ctrlhub.wire.limits import INLINE_BYTES
from tests.support.exchange import Exchange, Line, ends_of, rows_of
from tests.support.peers import ScriptedClient, ScriptedEngine, registration
from tests.support.world import World

TASK, HUB, MULTIENGINE = m.Stream.TASK, m.Stream.HUB, m.Stream.MULTIENGINE


@pytest.fixture
def exchange() -> Exchange:
    """A hub with nobody there."""
    return Exchange()


@pytest.fixture
def client(exchange: Exchange) -> Line:
    """A client that has joined."""
    line = Line(exchange, "client")
    line.register(m.Role.CLIENT)
    line.heard()
    return line


@pytest.fixture
def engine(exchange: Exchange) -> Line:
    """An engine that has joined."""
    return an_engine(exchange, "engine")


def an_engine(exchange: Exchange, name: str) -> Line:
    """Return an engine that has joined."""
    line = Line(exchange, name)
    line.register(m.Role.ENGINE)
    line.heard(m.Registered, m.Welcome)
    return line


def a_nanny(exchange: Exchange) -> Line:
    """Return a nanny that has joined."""
    line = Line(exchange, "nanny")
    line.register(m.Role.NANNY)
    return line


def teach(client: Line, engine: Line, runs: int = 100) -> None:
    """Let the hub see that the function takes no time, so that it prefetches."""
    for counter in range(9000, 9000 + runs // 50):
        client.submit(counter)
        engine.heard()
        engine.results((client.id(counter), 0), elapsed=1e-6)
        client.say(TASK, m.Received(((client.id(counter), client.id(counter)),)))
        engine.heard()
    client.exchange.tasks._functions.get(b"f").runs = runs  # type: ignore[union-attr]
    client.exchange.operations.clear()


def dies(exchange: Exchange, engine: Line, **fields: object) -> None:
    """Let the nanny tell of an engine's death."""
    said = engine.said
    nanny = Line(exchange, "nanny")
    if not exchange.switchboard.sessions.of_key("nanny"):
        nanny.register(m.Role.NANNY)
    nanny.say(HUB, m.EngineDied(said.key, said.incarnation, "signal SIGKILL", **fields))  # type: ignore[arg-type]


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
    assert kinds == [SaveRequests, SaveResults, Forget]
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
    other.register(m.Role.CLIENT)
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
    client.register(m.Role.CLIENT)
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
    client.register(m.Role.CLIENT)
    refused = 0
    for n in range(100):
        refused += any(isinstance(each, m.Refused) for each in client.submit(n + 1))
    assert refused == 80
    assert len(exchange.tasks._tasks) == 20


def test_results_not_fetched_count_against_the_limit(engine: Line, exchange: Exchange) -> None:
    """A client cannot have the hub keep any number of results by never acknowledging them."""
    small = Exchange(HubConfig(max_outstanding=5))
    client, worker = Line(small, "client"), an_engine(small, "engine")
    client.register(m.Role.CLIENT)
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
    monkeypatch.setattr("ctrlhub.controller.interfaces.taskqueue.MOST_WAITING", 3)
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


# ---------------------------------------------------------------- order with commands


def test_tasks_wait_for_the_command_given_before(client: Line, engine: Line) -> None:
    """Streams do not wait for each other: a batch that overtook its command is held back."""
    assert client.submit(2, after=client.id(1)) == []
    assert engine.heard() == []
    answers = client.command(1, 0)
    assert {type(each) for each in answers} == {m.Accepted}
    [run] = engine.heard()
    assert isinstance(run, m.RunCommand)
    engine.results((client.id(1), 0), stream=MULTIENGINE)
    assert rows_of(engine.heard()) == [(client.id(2), 0)]


def test_later_batches_do_not_overtake_a_waiting_one(client: Line, engine: Line) -> None:
    """Order of submission is order of dispatch, for one client."""
    client.submit(2, after=client.id(1))
    client.submit(3)
    assert engine.heard() == []
    client.command(1, 0)
    engine.results((client.id(1), 0), stream=MULTIENGINE)
    assert rows_of(engine.heard()) == [(client.id(2), 0)]


def test_another_client_does_not_wait(exchange: Exchange, client: Line, engine: Line) -> None:
    """What one client holds back is its own."""
    other = Line(exchange, "other")
    other.register(m.Role.CLIENT)
    client.submit(2, after=client.id(1))
    other.submit(1)
    assert rows_of(engine.heard()) == [(other.id(1), 0)]


@pytest.mark.parametrize("fields", [{"action": "dance"}, {"payloads": (b"", b"", b"")}])
def test_a_refused_command_holds_nothing_up(
    client: Line, engine: Line, fields: dict[str, object]
) -> None:
    """Tasks given after a command that the hub refuses run all the same."""
    client.submit(2, after=client.id(1))
    refused = client.command(1, 0, **fields)
    assert any(isinstance(each, m.Refused) for each in refused)
    assert rows_of(engine.heard()) == [(client.id(2), 0)]


def test_without_commands_exposed_tasks_do_not_wait_for_them() -> None:
    """A hub that exposes tasks alone refuses the command, and runs the tasks."""
    exchange = Exchange(HubConfig(interfaces=("tasks",)))
    client, engine = Line(exchange, "client"), an_engine(exchange, "engine")
    client.register(m.Role.CLIENT)
    client.submit(2, after=client.id(1))
    [refused] = [r for r in client.command(1, 0) if isinstance(r, m.Refused)]
    assert refused.code == "unknown_interface"
    assert rows_of(engine.heard()) == [(client.id(2), 0)]


def test_the_last_target_of_a_command_may_be_named(client: Line, engine: Line) -> None:
    """`after` may be any id of the command."""
    client.command(1, 0, 0, 0)
    client.submit(9, after=client.id(3))
    for n in (1, 2, 3):
        engine.results((client.id(n), 0), stream=MULTIENGINE)
    assert rows_of(engine.heard()) == [(client.id(9), 0)]


def test_tasks_prefer_engines_without_commands(exchange: Exchange, client: Line) -> None:
    """A long command holds up its engine, not the tasks."""
    engines = [an_engine(exchange, name) for name in ("a", "b")]
    client.command(1, 0)
    client.submit(2, 3)
    assert rows_of(engines[0].heard()) == []
    assert rows_of(engines[1].heard()) == [(client.id(2), 0)]


def test_push_then_map_a_thousand_times() -> None:
    """However the streams are delayed against each other, no task runs before its push."""
    world = World()
    engines = [world.joined(ScriptedEngine(f"engine {n}")) for n in range(2)]
    client = world.joined(ScriptedClient("client"))
    pushed: dict[int, set[int]] = {0: set(), 1: set()}
    for turn in range(1000):
        commands = client.command([0, 1])
        tasks = client.tasks(b"a", b"b")
        world.tick(client)
        first, second = (TASK, MULTIENGINE) if turn % 2 else (MULTIENGINE, TASK)
        for stream in (first, second):
            while world.wires[client].up[stream]:
                world.deliver(client, "up", stream)
        while not all(n in client.ends for n in (*commands, *tasks)):
            world.run()
            for place, engine in enumerate(engines):
                count = len(engine.ran)
                engine.work()
                for number, _ in engine.ran[count:]:
                    if number in commands:
                        pushed[place].add(number)
                    else:
                        assert commands[place] in pushed[place], "a task ran before its push"
                world.tick(engine)
        world.run()
    assert client.results(client.ends) is not None


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


@pytest.mark.parametrize("status", [3, 99, -1])
def test_a_status_that_does_not_exist_is_refused(client: Line, engine: Line, status: int) -> None:
    """Clients are told of those they know; the task goes on."""
    client.submit(1)
    row = (client.id(1), 0, status, b"?", 0.0, 0.0, None)
    [refused] = engine.say(TASK, m.Results((row,)))
    assert isinstance(refused, m.Refused)
    assert ends_of(client.heard()) == {}
    assert client.exchange.tasks.summary()["running"] == 1


def held_by(client: Line, engine: Line, count: int, **fields: object) -> list[int]:
    """Let an engine hold so many tasks of a quick function; return their ids."""
    teach(client, engine)
    client.submit(*range(1, count + 1), **fields)
    given = [number for number, _ in rows_of(engine.heard())]
    assert given == [client.id(n) for n in range(1, count + 1)]
    client.heard()
    return given


def attempts(exchange: Exchange, client: Line, count: int) -> dict[int, tuple[int, int]]:
    """Return (attempt, losses) of tasks 1 … count."""
    tasks = exchange.tasks._tasks
    return {
        n: (tasks[client.id(n)].attempt, tasks[client.id(n)].losses) for n in range(1, count + 1)
    }


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
    client.register(m.Role.CLIENT, incarnation=client.said.incarnation)
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


# ---------------------------------------------------------------- cancelling


def test_queued_tasks_are_cancelled_at_once(client: Line) -> None:
    """Without any engine; cancelling again finds them finished."""
    client.submit(1, 2, 3)
    requests = [[client.id(1), client.id(2)]]
    answer = client.call("tasks", "cancel", requests=requests)
    both = ((client.id(1), client.id(2)),)
    assert answer.value == {"cancelled": both, "interrupted": (), "finished": ()}
    assert ends_of(client.heard()) == {client.id(n): (m.Status.CANCELLED, b"") for n in (1, 2)}
    answer = client.call("tasks", "cancel", requests=requests)
    assert answer.value == {"cancelled": (), "interrupted": (), "finished": both}
    assert client.exchange.tasks.summary()["queued"] == 1


def test_a_cancelled_task_is_stored_as_such(client: Line) -> None:
    """A hub that restarts must not run it."""
    client.submit(1)
    client.exchange.operations.clear()
    client.call("tasks", "cancel", requests=[[client.id(1), client.id(1)]])
    saved = [o for o in client.exchange.operations if isinstance(o, SaveResults)]
    assert [row[0] for operation in saved for row in operation.rows] == [client.id(1)]


def test_running_tasks_are_interrupted(client: Line, engine: Line) -> None:
    """The engine answers for them: cancelled, or finished after all."""
    ids = held_by(client, engine, 2)
    answer = client.call("tasks", "cancel", requests=[[ids[0], ids[1]]])
    assert answer.value["interrupted"] == ((ids[0], ids[1]),)
    assert engine.heard() == [m.Interrupt(((ids[0], ids[1]),))]
    engine.results((ids[0], 0), status=m.Status.CANCELLED, payload=b"")
    engine.results((ids[1], 0))
    assert ends_of(client.heard()) == {ids[0]: (2, b""), ids[1]: (0, b"value")}


def test_nobody_cancels_for_another(exchange: Exchange, client: Line) -> None:
    """Another client's tasks are not found."""
    other = Line(exchange, "other")
    other.register(m.Role.CLIENT)
    client.submit(1)
    answer = other.call("tasks", "cancel", requests=[[0, 2**62]])
    assert answer.value == {"cancelled": (), "interrupted": (), "finished": ()}
    assert exchange.tasks.summary()["queued"] == 1


def test_overlapping_ranges_cancel_once(client: Line) -> None:
    """A request named three times ends once."""
    client.submit(1, 2)
    both = [client.id(1), client.id(2)]
    answer = client.call("tasks", "cancel", requests=[both, both, [client.id(2), client.id(2)]])
    assert answer.value["cancelled"] == (tuple(both),)
    assert client.exchange.tasks.failed == 2


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


def test_a_client_that_leaves_leaves_nothing(exchange: Exchange, client: Line, engine: Line) -> None:
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
    client.register(m.Role.CLIENT)

    exchange.operations.clear()
    submit = m.SubmitTasks(((b"f", 0, 0, ""),), ((client.id(1), 0, b""),), ((b"f", b""),))
    for stream, message in ((TASK, submit), (HUB, m.Goodbye())):
        frames = encode(message)
        origin = Origin(Connection(0, stream, client.address))
        exchange.switchboard.receive(origin, frames[0], frames[1:], exchange.now)
    exchange.turn()
    other = Line(exchange, "other")
    other.register(m.Role.CLIENT)
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
    client.register(m.Role.CLIENT, incarnation=b"x", session=client.registered.session)
    assert client.id(1) == number
    answers = client.submit(1)
    if exchange.tasks.summary()["running"]:
        assert unpack_failure(ends_of(answers)[number][1]).code == "task_aborted"
        client.say(TASK, m.Received(((number, number),)))


# ---------------------------------------------------------------- payloads


def test_large_payloads_travel_in_frames(client: Line, engine: Line) -> None:
    """Through the hub and back, as they came."""
    arguments, value = bytes(INLINE_BYTES + 1), b"v" * (INLINE_BYTES + 1)
    number = client.id(1)
    submit = m.SubmitTasks(
        ((b"f", 0, 0, ""),), ((number, 0, (0, 2)),), ((b"f", (2, 1)),), 0, (arguments, b"x", b"code")
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

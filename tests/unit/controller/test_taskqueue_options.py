"""TaskQueue: what tasks ask for: when, where, how long; and what is said of those that wait."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import Any

import pytest

from ctrlhub.controller.config import HubConfig
from ctrlhub.controller.core import deliveries
from ctrlhub.controller.core.effects import Connection
from ctrlhub.controller.core.reclaims import SURPRISE
from ctrlhub.wire import messages as m
from ctrlhub.wire.codec import encode
from ctrlhub.wire.errors import EngineError, Failure, pack_failure, unpack_failure
from ctrlhub.wire.limits import MAX_HEADER_BYTES
from ctrlhub.wire.options import LONGEST_RESOURCE, MOST_RESOURCES
from tests.support.exchange import Exchange, Line, ends_of, rows_of
from tests.support.peers import registration
from tests.support.taskqueue import an_engine, client, dies, engine, exchange, held_by, teach

__all__ = ["client", "engine", "exchange"]

TASK, HUB = m.Stream.TASK, m.Stream.HUB
BROKEN = pack_failure(Failure.from_error(EngineError("broken")))


def after(client: Line, *counters: int, **flags: bool) -> list[Any]:
    """Return the condition that these have ended well, or what the flags say."""
    requests = [[client.id(counter), client.id(counter)] for counter in counters]
    said = {"all": True, "success": True, "failure": False, **flags}
    return [[requests, said["all"], said["success"], said["failure"]]]


def how(client: Line, counter: int) -> tuple[str, str]:
    """Take how a task ended: the name of its error and the text, or the value."""
    status, payload = ends_of(client.heard())[client.id(counter)]
    if status == m.Status.OK:
        return "ok", payload.decode()
    failure = unpack_failure(payload)
    return failure.ename, failure.evalue


def explained(client: Line, counter: int) -> tuple[str, str]:
    """Ask why a task does not run."""
    value = client.call("tasks", "explain", request=client.id(counter)).value
    return value["state"], value["why"]


# ---------------------------------------------------------------- dependencies


def test_a_task_runs_after_those_it_waits_for(client: Line, engine: Line) -> None:
    """Not before, however free the engine is."""
    client.submit(1, 2)
    client.submit(3, options={"after": after(client, 1, 2)})
    assert rows_of(engine.heard()) == [(client.id(1), 0)]
    assert explained(client, 3)[0] == "waiting"
    engine.results((client.id(1), 0))
    engine.results((client.id(2), 0))
    assert rows_of(engine.heard()) == [(client.id(2), 0), (client.id(3), 0)]


def test_a_request_of_another_client_may_be_on_its_way(
    exchange: Exchange, client: Line, engine: Line
) -> None:
    """Two clients' streams have no order: what one names may come after it; but not for ever."""
    other = Line(exchange, "other")
    other.register(m.Role.ADMIN)
    client.submit(1, options={"after": after(other, 1)})
    client.submit(2, options={"after": after(other, 2)})
    client.submit(3, options={"after": after(other, 3)})
    assert explained(client, 1)[1].endswith("which has not arrived yet")
    other.submit(1)
    other.command(2, 0)
    assert (other.id(1), 0) in rows_of(engine.heard())
    engine.results((other.id(1), 0))
    exchange.pass_time(2.0)
    engine.results((other.id(2), 0), stream=m.Stream.MULTIENGINE)
    exchange.pass_time(0.1)
    assert rows_of(engine.heard()) == [(client.id(1), 0), (client.id(2), 0)]
    for peer in (client, other, engine):
        peer.say(HUB, m.Beat())
    exchange.pass_time(3.0)
    assert how(client, 3)[0] == "InvalidDependency"


def test_a_chain_of_failures_ends_at_once(client: Line, engine: Line) -> None:
    """A thousand tasks behind one that fails: each says which one it was for."""
    client.submit(1)
    for counter in range(2, 1001):
        client.submit(counter, options={"after": after(client, counter - 1)})
    engine.results((client.id(1), 0), status=m.Status.ERROR, payload=BROKEN)
    ends = ends_of(client.heard())
    assert len(ends) == 1000
    failure = unpack_failure(ends[client.id(1000)][1])
    assert failure.ename == "ImpossibleDependency"
    assert "failed (ImpossibleDependency" in failure.evalue


def test_a_request_of_somebody_else_or_a_command(exchange: Exchange, client: Line) -> None:
    """Anything that is on record can be waited for."""
    engine = an_engine(exchange, "engine")
    other = Line(exchange, "other")
    other.register(m.Role.ADMIN)
    other.command(1, 0)
    engine.heard()
    client.submit(2, options={"after": after(other, 1)})
    assert rows_of(engine.heard()) == []
    engine.results((other.id(1), 0), stream=m.Stream.MULTIENGINE)
    assert rows_of(engine.heard()) == [(client.id(2), 0)]


def test_nothing_depends_on_itself_or_on_what_comes_later(client: Line, engine: Line) -> None:
    """Also within one message: so there are no circles."""
    templates = tuple((b"f", 0, 3, "", {"after": after(client, on)}) for on in (2, 1, 3))
    rows = tuple((client.id(n), n - 1, b"") for n in (1, 2, 3))
    client.say(TASK, m.SubmitTasks(templates, rows, ((b"f", b"code"),)))
    ends = {n: unpack_failure(payload) for n, (_, payload) in ends_of(client.heard()).items()}
    assert [ends[client.id(n)].ename for n in (1, 2, 3)] == [
        "InvalidDependency", "ImpossibleDependency", "InvalidDependency",
    ]  # fmt: skip
    assert engine.heard() == []


@pytest.mark.parametrize(
    "options",
    [
        {"priority": "high"}, {"priority": 1 << 40}, {"timeout": -1}, {"timeout": float("nan")},
        {"time_limit": "long"}, {"targets": []}, {"targets": ["x"]}, {"resources": {"gpu": 0}},
        {"resources": [1]}, {"after": 7}, {"after": [[[[1, 1]], True, False, False]]},
        {"after": [[[[5, 1]], True, True, False]]}, {"arguments": [[0, 1 << 60]]},
        {"after": [[[[0, 1 << 60]], True, True, False]]},
    ],
)  # fmt: skip
def test_options_that_make_no_sense_are_refused(client: Line, options: dict[str, Any]) -> None:
    """With a word on why, and no harm to anything else."""
    [refused] = client.submit(1, options=options)
    assert isinstance(refused, m.Refused)
    assert refused.code == "invalid_request"
    client.submit(2)
    assert client.exchange.tasks.summary()["queued"] == 1


def test_a_cancelled_task_waits_no_more(client: Line, engine: Line) -> None:
    """And those behind it learn of it."""
    client.submit(1)
    client.submit(2, options={"after": after(client, 1)})
    client.submit(3, options={"after": after(client, 2)})
    client.call("tasks", "cancel", requests=[[client.id(2), client.id(2)]])
    ends = ends_of(client.heard())
    assert ends[client.id(2)] == (m.Status.CANCELLED, b"")
    assert "was cancelled" in unpack_failure(ends[client.id(3)][1]).evalue
    assert engine.heard(m.Interrupt) == []


def test_what_is_cancelled_before_it_has_come_does_not_run(client: Line, engine: Line) -> None:
    """The wish travels on another stream, and may be quicker."""
    answer = client.call("tasks", "cancel", requests=[[client.id(1), client.id(2)]])
    assert answer.value == {"cancelled": (), "interrupted": (), "finished": (), "running": ()}
    client.submit(1, 2, 3)
    ends = ends_of(client.heard())
    assert {number: end[0] for number, end in ends.items()} == {
        client.id(1): m.Status.CANCELLED, client.id(2): m.Status.CANCELLED,
    }  # fmt: skip
    assert [row[0] for run in engine.heard(m.RunTasks) for row in run.rows] == [client.id(3)]
    assert not client.exchange.tasks._early


def test_values_go_along_to_the_engine(client: Line, engine: Line) -> None:
    """In the message that gives it the task, which names them; they are kept for that."""
    client.submit(1)
    number = client.id(1)
    client.submit(2, options={"arguments": [[number, number]]})
    engine.results((number, 0), payload=b"the value")
    client.say(TASK, m.Received(((number, number),)))
    client.call("history", "purge", requests=[[number, number]], engines=[], rest=False)
    run = engine.heard(m.RunTasks)[-1]
    assert isinstance(run, m.RunTasks)
    assert run.values == ((number, b"the value"),)
    assert run.templates[0][4] == {"arguments": ((number, number),)}
    engine.results((client.id(2), 0))
    assert not client.exchange.tasks._values


def test_it_follows(exchange: Exchange, client: Line) -> None:
    """To the engine where the other one ran, though that is busy and another is not."""
    first, second = an_engine(exchange, "first"), an_engine(exchange, "second")
    client.submit(1)
    assert rows_of(first.heard()) == [(client.id(1), 0)]
    first.results((client.id(1), 0))
    client.submit(2, function=b"slow", options={"targets": [0]})
    first.heard()
    client.submit(3, options={"follow": after(client, 1)})
    assert rows_of(second.heard()) == []
    assert "only 1 of 2 may run it" in explained(client, 3)[1]
    first.results((client.id(2), 0))
    assert rows_of(first.heard()) == [(client.id(3), 0)]
    dies(exchange, first)
    client.submit(4, options={"follow": after(client, 1)})
    assert how(client, 4)[0] == "ImpossibleDependency"


# ---------------------------------------------------------------- where


def test_what_no_engine_has_fails_at_once(exchange: Exchange, client: Line) -> None:
    """With the reason; without any engine it waits for one."""
    client.submit(1, options={"resources": {"gpu": 1}})
    assert explained(client, 1)[1].startswith("there is no engine")
    line = Line(exchange, "gpu")
    line.register(m.Role.ENGINE, resources=(("gpu", 2),))
    assert rows_of(line.heard()) == [(client.id(1), 0)]
    client.submit(2, options={"resources": {"gpu": 3}})
    name, text = how(client, 2)
    assert name == "ImpossibleDependency"
    assert "gpu=3" in text


def test_an_engine_that_is_restarted_is_waited_for(exchange: Exchange, client: Line) -> None:
    """Its tasks do not fail because it is not there for a moment."""
    gpu, plain = Line(exchange, "gpu"), an_engine(exchange, "plain")
    gpu.register(m.Role.ENGINE, resources=(("gpu", 1),))
    dies(exchange, gpu, restarting=True)
    client.submit(1, options={"resources": {"gpu": 1}})
    exchange.pass_time(1.0)
    assert ends_of(client.heard()) == {}
    gpu.register(m.Role.ENGINE, incarnation=b"another", resources=(("gpu", 1),))
    assert rows_of(gpu.heard()) == [(client.id(1), 0)]
    assert rows_of(plain.heard()) == []


# ---------------------------------------------------------------- how long


def test_a_timeout_ends_a_task_that_waits(client: Line, engine: Line) -> None:
    """For an engine or for others; the error says for what. One that an engine has goes on."""
    client.submit(1, options={"timeout": 5.0})
    client.submit(2, options={"timeout": 5.0})
    client.submit(3, options={"timeout": 5.0, "after": after(client, 1)})
    client.exchange.pass_time(4.9)
    assert ends_of(client.heard()) == {}
    engine.say(HUB, m.Beat())
    client.exchange.pass_time(0.2)
    ends = {n: unpack_failure(payload) for n, (_, payload) in ends_of(client.heard()).items()}
    assert set(ends) == {client.id(2), client.id(3)}
    assert ends[client.id(2)].ename == "TaskTimeout"
    assert ends[client.id(3)].ename == "DependencyTimeout"
    assert "it waits for request" in ends[client.id(3)].evalue


def test_a_time_limit_interrupts(client: Line, engine: Line) -> None:
    """It ends with an error that says so, and is not tried again."""
    number = client.id(1)
    client.submit(1, retries=5, options={"time_limit": 2.0})
    client.exchange.pass_time(1.9)
    assert engine.heard(m.Interrupt) == []
    client.exchange.pass_time(0.2)
    assert engine.heard(m.Interrupt) == [m.Interrupt(((number, number),))]
    engine.results((number, 0), status=m.Status.CANCELLED, payload=b"")
    name, text = how(client, 1)
    assert name == "TimeLimitExceeded"
    assert "time_limit of 2 s" in text


@pytest.mark.parametrize("status", [m.Status.OK, m.Status.ERROR])
@pytest.mark.parametrize("elapsed", [1.9, 2.5])
def test_a_time_limit_holds_for_who_catches_the_interrupt(
    client: Line, engine: Line, status: m.Status, elapsed: float
) -> None:
    """Whatever it returns or raises after its time; what it has done in time counts."""
    client.submit(1, retries=5, options={"time_limit": 2.0})
    client.exchange.pass_time(2.1)
    payload = BROKEN if status else b"value"
    engine.results((client.id(1), 0), status=status, payload=payload, elapsed=elapsed)
    [end] = [row for message in client.heard(m.Completed) for row in message.rows]
    if elapsed < 2.0:
        assert (end[1], end[2]) == (int(status), payload)
    else:
        assert unpack_failure(end[2]).code == "time_limit_exceeded"


def test_a_time_limit_counts_what_a_task_runs(client: Line, engine: Line) -> None:
    """Not what it waits behind others, though the engine has it."""
    teach(client, engine)
    client.submit(1, 2, options={"time_limit": 2.0})
    client.exchange.pass_time(1.9)
    engine.say(HUB, m.Beat())
    engine.results((client.id(1), 0))
    client.exchange.pass_time(1.9)
    assert engine.heard(m.Interrupt) == []
    client.exchange.pass_time(0.2)
    assert engine.heard(m.Interrupt) == [m.Interrupt(((client.id(2), client.id(2)),))]


def test_a_time_limit_holds_though_a_command_waits(client: Line, engine: Line) -> None:
    """The engine had none when the task began: so that is what runs."""
    client.submit(1, options={"time_limit": 2.0})
    client.exchange.pass_time(0.6)
    client.command(9, 0)
    client.exchange.pass_time(1.3)
    assert engine.heard(m.Interrupt, m.GiveBack) == []
    client.exchange.pass_time(0.2)
    assert engine.heard(m.Interrupt) == [m.Interrupt(((client.id(1), client.id(1)),))]


@pytest.mark.parametrize("limit", [0.1, 2.0])
def test_a_task_that_may_run_behind_a_command_or_before_it(
    client: Line, engine: Line, limit: float
) -> None:
    """Its engine is asked to give it back; what it keeps runs, and has its time from then."""
    client.submit(1, options={"time_limit": limit})
    client.command(9, 0)
    client.exchange.pass_time(0.6)
    assert engine.heard(m.Interrupt, m.GiveBack) == [m.GiveBack(1)]
    engine.say(TASK, m.GaveBack(()))
    client.exchange.pass_time(limit * 0.9)
    assert engine.heard(m.Interrupt, m.GiveBack) == []
    client.exchange.pass_time(limit * 0.2)
    assert engine.heard(m.Interrupt) == [m.Interrupt(((client.id(1), client.id(1)),))]


def test_the_time_of_a_task_behind_a_command_does_not_count(client: Line, engine: Line) -> None:
    """It is given back, and given again when the command has ended."""
    number = client.id(1)
    client.submit(1, options={"time_limit": 2.0})
    client.command(9, 0)
    client.exchange.pass_time(0.6)
    assert engine.heard(m.GiveBack) == [m.GiveBack(1)]
    engine.say(TASK, m.GaveBack(((number, number),)))
    client.exchange.pass_time(3.0)
    assert engine.heard(m.Interrupt, m.GiveBack) == []
    engine.results((client.id(9), 0), stream=m.Stream.MULTIENGINE)
    assert rows_of(engine.heard()) == [(number, 0), (number, 1)]
    client.exchange.pass_time(1.9)
    assert engine.heard(m.Interrupt) == []
    client.exchange.pass_time(0.2)
    assert engine.heard(m.Interrupt) == [m.Interrupt(((number, number),))]


def test_a_time_limit_is_for_one_run() -> None:
    """What a task ran on an engine that was lost, or before it failed, counts no more."""
    exchange = Exchange(HubConfig(suspect=300.0, lost=600.0))
    client = Line(exchange, "client")
    client.register(m.Role.ADMIN)
    engine = an_engine(exchange, "engine")
    client.submit(1, retries=1, options={"time_limit": 10.0})
    exchange.pass_time(8.0)
    other = an_engine(exchange, "other")
    dies(exchange, engine)
    assert rows_of(other.heard()) == [(client.id(1), 1)]
    exchange.pass_time(8.0)
    other.results((client.id(1), 1), status=m.Status.ERROR, payload=BROKEN)
    assert rows_of(other.heard()) == [(client.id(1), 2)]
    exchange.pass_time(8.0)
    assert other.heard(m.Interrupt) == []
    exchange.pass_time(2.1)
    assert other.heard(m.Interrupt) == [m.Interrupt(((client.id(1), client.id(1)),))]


def test_who_does_not_listen_is_killed(exchange: Exchange, client: Line, engine: Line) -> None:
    """After its grace, where it asked for that; its engine is started again."""
    nanny = Line(exchange, "nanny")
    nanny.register(m.Role.NANNY)
    nanny.say(HUB, m.Beat((engine.said.key,)))
    nanny.heard()
    client.submit(1, options={"grace": 1.0})
    client.call("tasks", "cancel", requests=[[client.id(1), client.id(1)]])
    exchange.pass_time(0.9)
    assert nanny.heard(m.Restart) == []
    exchange.pass_time(0.2)
    [restart] = nanny.heard(m.Restart)
    assert isinstance(restart, m.Restart)
    assert (restart.key, restart.at_once) == (engine.said.key, True)
    dies(exchange, engine, restarting=True, running=client.id(1))
    assert ends_of(client.heard()) == {client.id(1): (m.Status.CANCELLED, b"")}


def test_who_does_not_listen_is_killed_though_a_command_waits(
    exchange: Exchange, client: Line, engine: Line
) -> None:
    """Once its engine has said that it is the task that runs."""
    nanny = Line(exchange, "nanny")
    nanny.register(m.Role.NANNY)
    nanny.say(HUB, m.Beat((engine.said.key,)))
    client.submit(1, options={"grace": 1.0})
    client.command(9, 0)
    client.call("tasks", "cancel", requests=[[client.id(1), client.id(1)]])
    exchange.pass_time(1.1)
    assert nanny.heard(m.Restart) == []
    assert engine.heard(m.GiveBack) == [m.GiveBack(1)]
    engine.say(TASK, m.GaveBack(()))
    exchange.pass_time(0.1)
    [restart] = nanny.heard(m.Restart)
    assert "went on for 1 s" in restart.reason  # type: ignore[attr-defined]


def test_a_wish_has_a_grace_of_its_own(exchange: Exchange, client: Line, engine: Line) -> None:
    """In the place of the task's, whether that has one; the same wish again gives no more time."""
    nanny = Line(exchange, "nanny")
    nanny.register(m.Role.NANNY)
    nanny.say(HUB, m.Beat((engine.said.key,)))
    nanny.heard()
    client.submit(1, options={"grace": 100.0})
    client.submit(2)
    one, two = ([[client.id(n), client.id(n)]] for n in (1, 2))
    client.call("tasks", "cancel", requests=one)
    client.call("tasks", "cancel", requests=one, grace=1.0)
    exchange.pass_time(0.9)
    assert nanny.heard(m.Restart) == []
    client.call("tasks", "cancel", requests=one, grace=1.0)
    exchange.pass_time(0.2)
    [restart] = nanny.heard(m.Restart)
    assert "went on for 1 s" in restart.reason  # type: ignore[attr-defined]
    for wrong in (-1, "1", float("nan"), True):
        answer = client.call("tasks", "cancel", requests=two, grace=wrong)
        assert answer.code == "invalid_request"


def test_nobody_is_killed_for_another(exchange: Exchange, client: Line, engine: Line) -> None:
    """A task that is to stop and has not begun is no reason to kill what runs."""
    nanny = Line(exchange, "nanny")
    nanny.register(m.Role.NANNY)
    nanny.say(HUB, m.Beat((engine.said.key,)))
    teach(client, engine)
    client.submit(1, 2, options={"grace": 1.0})
    client.call("tasks", "cancel", requests=[[client.id(2), client.id(2)]])
    exchange.pass_time(1.5)
    exchange.pass_time(1.5)
    assert nanny.heard(m.Restart) == []
    engine.results((client.id(2), 0), status=m.Status.CANCELLED, payload=b"")


def test_a_nanny_that_is_away_for_a_moment_is_waited_for(
    exchange: Exchange, client: Line, caplog: pytest.LogCaptureFixture
) -> None:
    """It is told once it is back, if the task goes on still."""
    engine = Line(exchange, "engine")
    engine.register(m.Role.ENGINE, supervised=True)
    nanny = Line(exchange, "nanny")
    registered = nanny.register(m.Role.NANNY)
    nanny.say(HUB, m.Beat((engine.said.key,)))
    client.submit(1, options={"grace": 1.0})
    client.call("tasks", "cancel", requests=[[client.id(1), client.id(1)]])
    exchange.switchboard.disconnected(Connection(0, HUB, nanny.address))
    exchange.pass_time(1.1)
    assert "has no nanny" not in caplog.text
    nanny.say(HUB, replace(nanny.said, token=registered.token))
    exchange.pass_time(0.5)
    [restart] = nanny.heard(m.Restart)
    assert "went on for 1 s" in restart.reason  # type: ignore[attr-defined]


def test_without_a_nanny_it_is_logged(
    client: Line, engine: Line, caplog: pytest.LogCaptureFixture
) -> None:
    """Nobody else could kill it."""
    client.submit(1, options={"grace": 1.0})
    client.call("tasks", "cancel", requests=[[client.id(1), client.id(1)]])
    engine.heard()
    with caplog.at_level(logging.WARNING):
        client.exchange.pass_time(1.1)
    assert "has no nanny that could restart it" in caplog.text


# ---------------------------------------------------------------- clients that do not read


@pytest.fixture
def narrow(monkeypatch: pytest.MonkeyPatch) -> None:
    """A hub that holds little for a client."""
    monkeypatch.setattr(deliveries, "WINDOW_BYTES", 1000)
    monkeypatch.setattr(deliveries, "BEHIND_BYTES", 2000)


def runs_until_held(client: Line, engine: Line) -> int:
    """Run a client's tasks, whose results it does not read, until no more is given; return how many."""
    for ran in range(100):
        given = rows_of(engine.heard())
        if not given:
            return ran
        for row in given:
            engine.results(row, payload=bytes(500), elapsed=1.0)
    raise AssertionError("there is no end")


@pytest.mark.usefixtures("narrow")
def test_who_does_not_read_has_no_more_run(
    exchange: Exchange, client: Line, engine: Line
) -> None:
    """Once much waits for it; what others want runs, and so does the rest when it has caught up."""
    other = Line(exchange, "other")
    other.register(m.Role.ADMIN)
    client.submit(*range(1, 21))
    ran = runs_until_held(client, engine)
    assert 4 <= ran < 10
    state, why = explained(client, 20)
    assert state == "waiting"
    assert "has not read its results" in why
    [trouble] = other.call("query", "status").value["hub"]["trouble"]
    assert "does not read its results" in trouble
    client.submit(21)
    status = other.call("query", "queue_status").value
    assert status["unassigned"] == 21 - ran
    other.submit(1)
    assert rows_of(engine.heard()) == [(other.id(1), 0)]
    engine.results((other.id(1), 0))
    client.call("tasks", "cancel", requests=[[client.id(20), client.id(20)]])
    for _ in range(4):
        client.say(TASK, m.Received(((client.id(1), client.id(21)),)))
    assert rows_of(engine.heard()) == [(client.id(ran + 1), 0)]
    assert list(other.call("query", "status").value["hub"]["trouble"]) == []


@pytest.mark.usefixtures("narrow")
def test_what_does_not_run_goes_with_its_client(
    exchange: Exchange, client: Line, engine: Line
) -> None:
    """And ends when it has waited for too long."""
    client.submit(*range(1, 21), options={"timeout": 1.0})
    ran = runs_until_held(client, engine)
    exchange.pass_time(1.1)
    assert exchange.tasks.failed == 20 - ran
    client.submit(*range(21, 31))
    assert rows_of(engine.heard()) == []
    client.say(HUB, m.Goodbye("enough"))
    assert exchange.tasks.unassigned == 0


# ---------------------------------------------------------------- waited for too long


def test_time_in_the_queue_includes_what_an_engine_has_not_begun(
    exchange: Exchange, client: Line, engine: Line
) -> None:
    """It is asked back, with all behind the task that runs; others wait again, and are not charged."""
    teach(client, engine)
    client.submit(1)
    client.submit(2, options={"timeout": 0.5})
    client.submit(3)
    assert len(rows_of(engine.heard())) == 3
    exchange.pass_time(0.6)
    assert engine.heard(m.GiveBack) == [m.GiveBack(2)]
    engine.say(TASK, m.GaveBack(((client.id(2), client.id(3)),)))
    name, text = how(client, 2)
    assert (name, "engine 0 has it, and runs 1 others before it" in text) == ("TaskTimeout", True)
    engine.results((client.id(1), 0))
    assert rows_of(engine.heard()) == [(client.id(3), 1)]


def test_what_an_engine_has_begun_in_time_goes_on(
    exchange: Exchange, client: Line, engine: Line
) -> None:
    """The engine alone knows that: it keeps what it has begun."""
    teach(client, engine)
    client.submit(1)
    client.submit(2, options={"timeout": 0.5})
    exchange.pass_time(0.6)
    engine.heard()
    engine.say(TASK, m.GaveBack(()))
    engine.results((client.id(1), 0), (client.id(2), 0))
    assert how(client, 2) == ("ok", "value")


def test_a_question_for_what_is_overdue_survives_a_reconnection(
    exchange: Exchange, client: Line, engine: Line
) -> None:
    """And an engine's loss: what is queued again then has waited too long already."""
    teach(client, engine)
    client.submit(1)
    client.submit(2, options={"timeout": 0.5})
    exchange.pass_time(0.6)
    engine.heard()
    assert engine.registered is not None
    engine.say(TASK, m.Hello(engine.registered.token, ((client.id(1), client.id(2)),)))
    exchange.pass_time(0.1)
    assert engine.heard(m.GiveBack) == [m.GiveBack(1)]
    dies(exchange, engine)
    exchange.pass_time(0.1)
    assert how(client, 2)[0] == "TaskTimeout"


# ---------------------------------------------------------------- reclaimed


def test_work_is_taken_back_for_an_engine_that_comes(exchange: Exchange, client: Line) -> None:
    """At once what is worth it: half for each; the engine says what it has not begun."""
    first = an_engine(exchange, "first")
    teach(client, first)
    exchange.tasks._functions.get(b"f").took(0.002, 100)  # type: ignore[union-attr]
    ids = held_by_at_least(client, first, 4)
    second = an_engine(exchange, "second")
    [asked] = first.heard(m.GiveBack)
    assert asked == m.GiveBack((len(ids) - 1) // 2)
    given = ids[-asked.most :]  # type: ignore[attr-defined]
    first.say(TASK, m.GaveBack(((given[0], given[-1]),)))
    assert rows_of(second.heard()) == [(number, 1) for number in given]
    assert rows_of(first.heard()) == [], "what it gave back is not for it again"
    assert all(exchange.tasks._tasks[number].losses == 0 for number in given)


def test_what_an_engine_keeps_is_taken_back_later(exchange: Exchange, client: Line) -> None:
    """It was asked for a part, since little time was expected of what runs; that takes long."""
    first = an_engine(exchange, "first")
    teach(client, first)
    exchange.tasks._functions.get(b"f").took(0.002, 100)  # type: ignore[union-attr]
    ids = held_by_at_least(client, first, 4)
    second = an_engine(exchange, "second")
    first.heard(m.GiveBack)
    first.say(TASK, m.GaveBack(((ids[-1], ids[-1]),)))
    for number, attempt in rows_of(second.heard()):
        second.results((number, attempt))
    exchange.pass_time(1.0)
    assert first.heard(m.GiveBack) == [m.GiveBack(2)]
    first.say(TASK, m.GaveBack(((ids[1], ids[2]),)))
    assert rows_of(second.heard()) == [(ids[1], 1), (ids[2], 1)]


def test_an_engine_that_has_no_more_to_give_back_is_left_alone(
    exchange: Exchange, client: Line
) -> None:
    """It has begun what it keeps: the results are on their way."""
    engine = an_engine(exchange, "engine")
    ids = held_by(client, engine, 3)
    an_engine(exchange, "other").heard()
    exchange.pass_time(1.0)
    assert engine.heard(m.GiveBack) == [m.GiveBack(2)]
    engine.say(TASK, m.GaveBack(((ids[2], ids[2]),)))
    exchange.pass_time(1.0)
    assert engine.heard(m.GiveBack) == []


def held_by_at_least(client: Line, engine: Line, count: int) -> list[int]:
    """Let an engine hold tasks; return their ids."""
    client.submit(*range(1, count + 1))
    given = [number for number, _ in rows_of(engine.heard())]
    assert len(given) == count
    return given


def test_what_takes_unexpectedly_long_holds_up_nobody(exchange: Exchange, client: Line) -> None:
    """What waits behind it is taken back, once it is clear that it takes long."""
    engine = an_engine(exchange, "engine")
    ids = held_by(client, engine, 3)
    other = an_engine(exchange, "other")
    other.heard()
    assert engine.heard(m.GiveBack) == []
    due = exchange.switchboard.next_deadline()
    assert due is not None
    assert due <= exchange.now + SURPRISE + 0.001
    exchange.pass_time(SURPRISE + 0.001)
    assert engine.heard(m.GiveBack) == [m.GiveBack(2)]
    engine.say(TASK, m.GaveBack(((ids[1], ids[2]),)))
    assert rows_of(other.heard()) == [(ids[1], 1), (ids[2], 1)]


def test_a_task_that_is_to_stop_is_not_given_to_another(exchange: Exchange, client: Line) -> None:
    """It ends when it comes back; a late result of it counts no more."""
    engine = an_engine(exchange, "engine")
    ids = held_by(client, engine, 2)
    other = an_engine(exchange, "other")
    exchange.pass_time(1.0)
    client.call("tasks", "cancel", requests=[[ids[1], ids[1]]])
    engine.say(TASK, m.GaveBack(((ids[1], ids[1]),)))
    assert ends_of(client.heard()) == {ids[1]: (m.Status.CANCELLED, b"")}
    engine.results((ids[1], 0))
    assert exchange.tasks.duplicates == 1
    assert rows_of(other.heard()) == []


def test_an_answer_that_is_lost_is_not_waited_for(exchange: Exchange, client: Line) -> None:
    """After a hello the engine has what it says, and what it lacks is given to it again."""
    engine = an_engine(exchange, "engine")
    ids = held_by(client, engine, 2)
    an_engine(exchange, "other").heard()
    exchange.pass_time(1.0)
    engine.heard()
    assert engine.registered is not None
    engine.say(TASK, m.Hello(engine.registered.token, ((ids[0], ids[0]),)))
    assert rows_of(engine.heard()) == [(ids[1], 0)]
    assert [g.most for g in engine.heard(m.GiveBack)] in ([], [1])  # type: ignore[attr-defined]


# ---------------------------------------------------------------- explanations


def test_every_state_is_explained(client: Line, engine: Line) -> None:
    """In words that name what is waited for."""
    client.submit(1, 2)
    client.submit(3, options={"after": after(client, 1)})
    assert explained(client, 1) == ("given", "it runs on engine 0")
    assert explained(client, 2) == (
        "queued", "engine 0 is busy with 1 tasks; 0 other tasks are queued",
    )  # fmt: skip
    state, why = explained(client, 3)
    assert state == "waiting"
    assert why.endswith("-1, which engine 0 has")
    engine.results((client.id(1), 0))
    assert explained(client, 1)[0] == "ended"
    assert explained(client, 99)[0] == "unknown"


# ---------------------------------------------------------------- what has ended long ago


def fetched(client: Line, engine: Line, counter: int, **fields: Any) -> None:
    """Let a task end, and its client have the result."""
    client.submit(counter)
    engine.results((client.id(counter), 0), **fields)
    client.say(TASK, m.Received(((client.id(counter), client.id(counter)),)))
    client.heard()
    engine.heard()


def test_what_history_has_forgotten_can_be_waited_for() -> None:
    """How it ended is known as long as its client is there, its value is not."""
    exchange = Exchange(HubConfig(history_records=0))
    client = Line(exchange, "client")
    client.register(m.Role.ADMIN)
    engine = an_engine(exchange, "engine")
    fetched(client, engine, 1)
    fetched(client, engine, 2, status=m.Status.ERROR, payload=BROKEN)
    client.submit(3, options={"after": after(client, 1)})
    client.submit(4, options={"after": after(client, 2, success=False, failure=True)})
    engine.results((client.id(3), 0))
    assert rows_of(engine.heard()) == [(client.id(3), 0), (client.id(4), 0)]
    engine.results((client.id(4), 0))
    number = client.id(1)
    for counter, options in (
        (5, {"after": after(client, 2)}),
        (7, {"arguments": [[number, number]]}),
    ):
        client.heard()
        client.submit(counter, options=options)
        name, text = how(client, counter)
        assert name == {5: "ImpossibleDependency", 7: "ResultLost"}[counter]
        assert counter == 5 or "fetched long ago" in text


def test_what_history_has_forgotten_can_be_followed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where it ran is known for longer than the rest; then an error says what to do."""
    monkeypatch.setattr("ctrlhub.controller.core.ended_places.MOST_PLACES", 4)
    monkeypatch.setattr("ctrlhub.controller.core.ended_places.BLOCK", 1)
    exchange = Exchange(HubConfig(history_records=0))
    client = Line(exchange, "client")
    client.register(m.Role.ADMIN)
    engine, other = an_engine(exchange, "engine"), an_engine(exchange, "other")
    ran: dict[int, Line] = {}
    for counter in range(1, 7):
        client.submit(counter, options={"targets": [counter % 2]})
        (ran[counter],) = (line for line in (engine, other) if rows_of(line.heard()))
        ran[counter].results((client.id(counter), 0))
        client.say(TASK, m.Received(((client.id(counter), client.id(counter)),)))
    assert ran[3] is not ran[4]
    for counter in range(3, 7):
        client.submit(10 + counter, options={"follow": after(client, counter)})
        assert rows_of(ran[counter].heard()) == [(client.id(10 + counter), 0)]
        ran[counter].results((client.id(10 + counter), 0))
    client.heard()
    client.submit(20, options={"follow": after(client, 1)})
    name, text = how(client, 20)
    assert name == "InvalidDependency"
    assert "targets" in text


def test_a_client_may_know_what_the_hub_does_not(client: Line, engine: Line) -> None:
    """That a request ended well, and where: a former hub had it. What the hub knows itself counts."""
    assert engine.registered is not None
    here, number = engine.registered.engine_id, client.id(1)
    there = [[[[number, number]], True, True, False, [[number, here]]]]
    for counter, name in ((2, "after"), (3, "follow")):
        client.submit(counter, options={name: there})
        assert rows_of(engine.heard()) == [(client.id(counter), 0)]
        engine.results((client.id(counter), 0))
    client.submit(4)
    engine.results((client.id(4), 0), status=m.Status.ERROR, payload=BROKEN)
    client.heard()
    number = client.id(4)
    wrong = [[[[number, number]], True, True, False, [[number, here]]]]
    client.submit(5, options={"after": wrong})
    assert how(client, 5)[0] == "ImpossibleDependency"


def test_what_was_purged_is_not_known(client: Line, engine: Line) -> None:
    """Whoever depends on it is told so."""
    fetched(client, engine, 1)
    number = client.id(1)
    client.call("history", "purge", requests=[[number, number]], engines=[], rest=False)
    client.submit(2, options={"after": after(client, 1)})
    name, text = how(client, 2)
    assert name == "InvalidDependency"
    assert "purged" in text


def test_engines_cannot_say_so_much_that_clients_cannot_read_it() -> None:
    """A client is told what each has: as many engines as there may be, with all that they may have."""
    exchange, count = Exchange(), 32
    longest = [("é" * (LONGEST_RESOURCE // 2 - 1) + f"{n:02}", 1.0) for n in range(MOST_RESOURCES)]
    for n in range(count):
        Line(exchange, f"engine {n}").register(m.Role.ENGINE, resources=longest)
    [header] = encode(Line(exchange, "client").register(m.Role.ADMIN))
    assert len(header) / count * HubConfig().max_engines < MAX_HEADER_BYTES
    line = Line(exchange, "too much")
    too_long = registration(m.Role.ENGINE, "too much", resources=[("é" * LONGEST_RESOURCE, 1.0)])
    [refused] = line.say(m.Stream.HUB, too_long)
    assert isinstance(refused, m.Refused)
    assert f"at most {LONGEST_RESOURCE} bytes" in refused.message

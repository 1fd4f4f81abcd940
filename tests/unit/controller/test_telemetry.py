"""`telemetry.read`: what a hub has counted agrees with what its peers have seen."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from ctrlhub.controller.core.telemetry import MOST_SAMPLED
from ctrlhub.controller.interfaces import telemetry as interface
from ctrlhub.wire import messages as m
from ctrlhub.wire.errors import InvalidRequest
from ctrlhub.wire.failure import Failure, pack_failure
from ctrlhub.wire.telemetry import Telemetry, engines_of, merged
from tests.support.exchange import Exchange, Line, rows_of
from tests.support.multiengine import a_peer, begun, client, ends, exchange
from tests.support.taskqueue import an_engine, dies, teach

__all__ = ["client", "exchange"]

ERROR = m.Status.ERROR
FAILURE = pack_failure(Failure("remote", "ValueError", "wrong", "Traceback: wrong"))


@pytest.fixture
def reader(exchange: Exchange) -> Line:
    """A client that looks."""
    return a_peer(exchange, "reader", m.Role.ADMIN)


def read(line: Line, since: int = 0) -> Telemetry:
    """Ask for everything."""
    answer = line.call("telemetry", "read", since=since)
    assert not answer.code, answer.message
    return Telemetry.from_answer(answer.value)


def given(engine: Line) -> list[tuple[int, int]]:
    """Take the tasks that an engine was given."""
    return rows_of(engine.heard(m.RunTasks))


def counted(seen: Telemetry, kind: str, *names: str) -> Sequence[int]:
    """Return some counters of tasks or commands."""
    return [seen.counters[f"{kind}_{name}"] for name in names]


ENDS = ("submitted", "done", "failed", "cancelled")


def test_a_hub_that_has_done_nothing(reader: Line) -> None:
    """Has nothing to tell, but its clients."""
    seen = read(reader)
    assert (seen.cursor, seen.queued, seen.running, seen.missed) == (0, 0, 0, 0)
    assert not seen.engines + seen.queues + seen.tasks + seen.failures
    assert set(seen.latency) == {"queue", "run", "total", "command"}
    assert all(each.count == 0 for each in seen.latency.values())
    assert seen.gauges["clients"] == 1
    assert seen.store.kind == "memory"


def test_tasks_are_counted_by_how_they_ended(exchange: Exchange, client: Line, reader: Line) -> None:
    """Those that are cancelled while queued, too; the histograms have those that an engine has ended."""
    engine = a_peer(exchange, "engine", m.Role.ENGINE)
    client.submit(1, 2, 3)
    exchange.now += 5.0
    engine.results((client.id(1), 0), elapsed=2.0)
    engine.results((client.id(2), 0), status=ERROR, payload=FAILURE, elapsed=1.0)
    client.submit(4)
    client.call("tasks", "cancel", requests=[[client.id(4), client.id(4)]])
    seen = read(reader)
    assert counted(seen, "tasks", *ENDS) == [4, 1, 1, 1]
    assert seen.cursor == 3
    assert [seen.latency[name].count for name in ("queue", "run", "total")] == [2, 2, 2]
    assert seen.latency["total"].sum == pytest.approx(10.0)
    assert seen.latency["queue"].sum == pytest.approx(7.0)


def test_a_task_that_is_run_again_is_counted_once(
    exchange: Exchange, client: Line, reader: Line
) -> None:
    """When it ends; what it raised before is a retry."""
    engine = a_peer(exchange, "engine", m.Role.ENGINE)
    client.submit(1, retries=2)
    for attempt in range(2):
        engine.results((client.id(1), attempt), status=ERROR, payload=FAILURE, elapsed=3.0)
    assert read(reader).latency["run"].count == 0
    engine.results((client.id(1), 2), elapsed=1.0)
    engine.results((client.id(1), 2), elapsed=1.0)
    seen = read(reader)
    assert counted(seen, "tasks", *ENDS, "retried", "duplicate") == [1, 1, 0, 0, 2, 1]
    assert seen.latency["run"].count == 1
    assert seen.latency["run"].sum == pytest.approx(1.0)


def test_the_loss_of_an_engine_is_counted(exchange: Exchange, client: Line, reader: Line) -> None:
    """One task is charged with it, and what it had goes back."""
    engine = a_peer(exchange, "engine", m.Role.ENGINE)
    client.submit(1)
    assert given(engine)
    dies(exchange, engine, running=client.id(1))
    seen = read(reader)
    assert counted(seen, "tasks", "orphaned", "reclaimed", "done") == [1, 1, 0]
    assert seen.counters["engines_lost"] == 1
    assert [(row.priority, row.queued) for row in seen.queues] == [(0, 1)]


def test_what_is_run_again_runs_since_it_was_given_again(
    exchange: Exchange, client: Line, reader: Line
) -> None:
    """Also where another process comes in the place of an engine that was killed; who reconnects begins nothing."""
    engine = a_peer(exchange, "engine", m.Role.ENGINE)
    client.submit(1)
    assert given(engine)
    began = read(reader).engines[0].running_since
    exchange.now += 10.0
    dies(exchange, engine, running=client.id(1))
    again = an_engine(exchange, "engine again")
    assert given(again)
    exchange.now += 3.0
    seen = read(reader)
    assert seen.engines[0].running_since == seen.time - 3.0 == began + 10.0
    assert again.registered is not None
    again.say(m.Stream.TASK, m.Hello(again.registered.token))
    assert read(reader).engines[0].running_since == began + 10.0


def test_commands_are_counted_too(exchange: Exchange, client: Line, reader: Line) -> None:
    """By how they ended, and the one that runs is shown with its label and since when."""
    engine = a_peer(exchange, "engine", m.Role.ENGINE)
    read(reader)
    client.command(1, 0)
    client.command(2, 0, label="a name")
    client.command(3, 0)
    ends(engine, client.id(1), elapsed=0.25)
    exchange.now += 3.0
    seen = read(reader)
    [shown] = seen.engines
    assert (shown.running, shown.label, shown.commands) == (client.id(2), "a name", 2)
    assert shown.running_since == seen.time - 3.0
    assert seen.latency["command"].sum == pytest.approx(0.25)
    ends(engine, client.id(2), status=ERROR, payload=FAILURE)
    client.call("multiengine", "abort", requests=[[client.id(3), client.id(3)]])
    assert begun(engine)
    ends(engine, client.id(3), status=m.Status.CANCELLED, payload=b"")
    client.command(4, 7)
    seen = read(reader)
    assert counted(seen, "commands", *ENDS) == [4, 1, 2, 1]
    assert [(each.kind, each.status) for each in seen.tasks] == [
        ("command", "ok"), ("command", "error"), ("command", "aborted"),
    ]  # fmt: skip
    assert [each.label for each in seen.failures] == ["a name", "push"]
    assert seen.cursor == 4
    assert seen.missed == 1  # which no engine has ended


def test_samples_and_failures_are_those_since_the_last_answer(
    exchange: Exchange, client: Line, reader: Line
) -> None:
    """Nobody had looked before the first; what is left out is counted."""
    engine = a_peer(exchange, "engine", m.Role.ENGINE)
    client.submit(1)
    engine.results((client.id(1), 0))
    first = read(reader)
    assert (first.cursor, first.missed, first.tasks) == (1, 1, ())
    client.submit(2)
    engine.results((client.id(2), 0), status=ERROR, payload=FAILURE, elapsed=0.5)
    second = read(reader, first.cursor)
    [task], [failure] = second.tasks, second.failures
    assert (task.id, task.engine, task.status, task.error) == (
        client.id(2), 0, "error", "ValueError: wrong",
    )  # fmt: skip
    assert task.ended - task.begun == pytest.approx(0.5)
    assert (failure.id, failure.error, failure.traceback) == (
        client.id(2), "ValueError: wrong", "Traceback: wrong",
    )  # fmt: skip
    assert second.missed == 0
    third = read(reader, second.cursor)
    assert not third.tasks + third.failures
    assert third.missed == 0


def test_a_cursor_of_another_hub_begins_anew(reader: Line) -> None:
    """It is larger than anything here."""
    assert read(reader, 10**9).missed == 0


@pytest.mark.parametrize("since", [-1, "1", None, 1.5, True])
def test_what_is_no_cursor_is_refused(reader: Line, since: Any) -> None:
    """With the reason."""
    answer = reader.call("telemetry", "read", since=since)
    assert answer.code == InvalidRequest.code


def test_queues_are_told_by_client_and_priority(
    exchange: Exchange, client: Line, reader: Line
) -> None:
    """Cancelled ones are not counted, nor those that engines have; and how old the oldest is."""
    client.submit(1, 2, 3)
    exchange.now += 10.0
    client.submit(4, 5, options={"priority": 3})
    reader.submit(1)
    client.call("tasks", "cancel", requests=[[client.id(1), client.id(2)]])
    seen = read(reader)
    assert client.registered is not None
    assert reader.registered is not None
    mine, others = client.registered.session, reader.registered.session
    assert {(row.session, row.priority): row.queued for row in seen.queues} == {
        (mine, 0): 1, (mine, 3): 2, (others, 0): 1,
    }  # fmt: skip
    assert seen.queued == 4
    assert seen.gauges["oldest_queued_seconds"] == pytest.approx(10.0)
    assert seen.queues[0].client == f"{client.said.host}:{client.said.pid}"
    a_peer(exchange, "engine", m.Role.ENGINE)
    assert sum(row.queued for row in read(reader).queues) == 3


def test_of_many_clients_the_longest_queues_are_told(
    monkeypatch: pytest.MonkeyPatch, exchange: Exchange, reader: Line
) -> None:
    """The others in one sum."""
    monkeypatch.setattr(interface, "MOST_QUEUES", 2)
    for number in range(4):
        line = a_peer(exchange, f"client {number}", m.Role.ADMIN)
        line.submit(*range(1, number + 2))
    rows = read(reader).queues
    assert [row.queued for row in rows] == [4, 3, 3]
    assert rows[-1].session == interface.OTHERS


def test_of_many_engines_further_ones_are_asked_for(
    monkeypatch: pytest.MonkeyPatch, exchange: Exchange, reader: Line
) -> None:
    """So that an answer stays small."""
    monkeypatch.setattr(interface, "MOST_ENGINES", 2)
    for number in range(5):
        a_peer(exchange, f"engine {number}", m.Role.ENGINE)
    answer = reader.call("telemetry", "read").value
    found, further = Telemetry.from_answer(answer), []
    while answer["more"] is not None:
        answer = reader.call("telemetry", "engines_after", after=answer["more"]).value
        further += engines_of(answer)
    assert [each.id for each in merged(found, further).engines] == [0, 1, 2, 3, 4]


def test_another_process_in_an_engine_s_place_is_a_restart(
    exchange: Exchange, reader: Line
) -> None:
    """One that only lost its connection is none."""
    engine = a_peer(exchange, "engine", m.Role.ENGINE)
    engine.say(m.Stream.HUB, engine.said)
    assert read(reader).engines[0].restarts == 0
    nanny = a_peer(exchange, "nanny", m.Role.NANNY)
    nanny.say(
        m.Stream.HUB,
        m.EngineDied(engine.said.key, engine.said.incarnation, "signal SIGSEGV", restarting=True),
    )
    engine.register(m.Role.ENGINE, incarnation=b"another")
    seen = read(reader)
    assert [(each.id, each.restarts) for each in seen.engines] == [(0, 1)]
    assert (seen.counters["engine_restarts"], seen.counters["engines_lost"]) == (1, 1)


def test_results_that_nobody_takes_are_told(exchange: Exchange, client: Line, reader: Line) -> None:
    """As long as that is so."""
    engine = a_peer(exchange, "engine", m.Role.ENGINE)
    client.submit(1)
    engine.results((client.id(1), 0))
    assert read(reader).gauges["results_undelivered"] == 1
    client.say(m.Stream.TASK, m.Received(((client.id(1), client.id(1)),)))
    assert read(reader).gauges["results_undelivered"] == 0


# ---------------------------------------------------------------- what engines use


def test_a_nanny_tells_what_its_engines_use(exchange: Exchange, reader: Line) -> None:
    """Cores are known with the second word; what is old is not told any more."""
    engine = a_peer(exchange, "engine", m.Role.ENGINE)
    nanny = a_peer(exchange, "nanny", m.Role.NANNY)

    def tells(cpu: float, rss: int) -> None:
        nanny.say(m.Stream.HUB, m.Beat((engine.said.key,), ((engine.said.key, cpu, rss),)))

    tells(10.0, 1000)
    exchange.now += 2.0
    tells(13.0, 2000)
    [shown] = read(reader).engines
    assert (shown.cpu, shown.cpu_seconds, shown.rss) == (1.5, 13.0, 2000)
    for _ in range(20):
        exchange.now += 1.0
        for line in (nanny, engine, reader):
            line.say(m.Stream.HUB, m.Beat())
    [shown] = read(reader).engines
    assert (shown.cpu, shown.cpu_seconds, shown.rss) == (None, 13.0, None)


def test_an_engine_tells_of_itself_alone(exchange: Exchange, reader: Line) -> None:
    """Nor may a client tell anything."""
    engines = [a_peer(exchange, f"engine {n}", m.Role.ENGINE) for n in range(2)]
    rows = tuple((each.said.key, 10.0, 1000) for each in engines)
    engines[0].say(m.Stream.HUB, m.Beat((), rows))
    assert [each.rss for each in read(reader).engines] == [1000, None]
    reader.say(m.Stream.HUB, m.Beat((), rows))
    assert [each.rss for each in read(reader).engines] == [1000, None]


def test_a_nanny_does_not_tell_of_the_engines_of_another(exchange: Exchange, reader: Line) -> None:
    """As long as that one is here."""
    engine = a_peer(exchange, "engine", m.Role.ENGINE)
    own, other = (a_peer(exchange, name, m.Role.NANNY) for name in ("own", "other"))
    own.say(m.Stream.HUB, m.Beat((engine.said.key,)))
    other.say(m.Stream.HUB, m.Beat((), ((engine.said.key, 1.0, 1000), ("nobody", 1.0, 1000))))
    assert read(reader).engines[0].rss is None


def test_what_is_cancelled_leaves_room_for_samples(
    exchange: Exchange, client: Line, reader: Line
) -> None:
    """Of a thousand that end before an engine has them none is a sample, nor counts as one."""
    read(reader)
    many = MOST_SAMPLED + 100
    client.submit(*range(1, many + 1))
    client.call("tasks", "cancel", requests=[[client.id(1), client.id(many - 1)]])
    engine = a_peer(exchange, "engine", m.Role.ENGINE)
    engine.results((client.id(many), 0))
    seen = read(reader)
    assert [each.id for each in seen.tasks] == [client.id(many)]
    assert seen.missed == many - 1


def test_a_batch_of_several_calls_is_counted_call_by_call(
    exchange: Exchange, client: Line, reader: Line
) -> None:
    """Each came at a time of its own; a run that ends no task is left out, among others that do."""
    engine = a_peer(exchange, "engine", m.Role.ENGINE)
    teach(client, engine)
    before = read(reader)
    client.submit(1, 2)
    exchange.now += 10.0
    client.submit(3, retries=1)
    exchange.now += 5.0
    assert len(given(engine)) == 3
    rows = ((1, m.Status.OK, 1.0), (2, m.Status.ERROR, 2.0), (3, m.Status.ERROR, 3.0))
    engine.say(
        m.Stream.TASK,
        m.Results(tuple((client.id(n), 0, int(s), FAILURE, 0.0, t, None) for n, s, t in rows)),
    )
    seen = read(reader, before.cursor)
    took = {name: seen.latency[name].since(before.latency[name]) for name in ("queue", "run", "total")}
    assert [each.count for each in took.values()] == [2, 2, 2]
    assert [each.sum for each in took.values()] == pytest.approx([27.0, 3.0, 30.0])
    assert seen.counters["tasks_retried"] == 1
    engine.results((client.id(3), 1), elapsed=4.0)
    again = read(reader, seen.cursor)
    assert again.latency["total"].sum - seen.latency["total"].sum == pytest.approx(5.0)
    assert [each.id for each in again.tasks] == [client.id(3)]

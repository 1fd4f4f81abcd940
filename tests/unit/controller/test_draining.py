"""Engines that are to finish, message by message."""

from __future__ import annotations

from dataclasses import replace
from math import inf

import pytest

from ctrlhub.controller.core.drains import SAME
from ctrlhub.controller.core.effects import Connection
from ctrlhub.wire import messages as m
from ctrlhub.wire.errors import unpack_failure
from ctrlhub.wire.options import TaskOptions
from tests.support.exchange import Exchange, Line, ends_of, rows_of
from tests.support.multiengine import HUB, a_peer, begun, client, engines, exchange, hello
from tests.support.taskqueue import teach

__all__ = ["client", "engines", "exchange"]

TASK = m.Stream.TASK


@pytest.fixture
def nanny(exchange: Exchange, engines: list[Line]) -> Line:
    """A nanny of both engines."""
    made = a_peer(exchange, "nanny", m.Role.NANNY)
    made.say(HUB, m.Beat(("engine 0", "engine 1")))
    made.heard()
    return made


def story(client: Line, number: int) -> str:
    """Return what the failure of a request says."""
    status, payload = ends_of(client.heard(m.Completed))[number]
    assert status == m.Status.ERROR
    return unpack_failure(payload).evalue


def state(client: Line, number: int) -> str:
    """Return the state of an engine, as it is told."""
    found = [each for each in client.call("query", "engines_now").value["engines"] if each["id"] == number]
    return str(found[0]["state"])


def test_an_engine_that_drains_is_told_and_shown(client: Line, engines: list[Line], nanny: Line) -> None:
    """Engine and nanny hear of it, and clients see it; it is stored."""
    client.exchange.events()
    client.exchange.operations.clear()

    assert client.call("control", "drain", targets=[0]).value == (0,)

    [told] = engines[0].heard(m.Shutdown)
    assert isinstance(told, m.Shutdown)
    assert told.within == inf
    assert nanny.heard(m.Retire) == [
        m.Retire("engine 0", engines[0].said.incarnation, told.reason, inf)
    ]
    assert client.exchange.events() == [("draining", 0)]
    assert state(client, 0) == "draining"
    assert state(client, 1) == "idle"
    [kept] = client.exchange.operations
    assert kept.value[:3] == ("engine 0", engines[0].said.incarnation, told.reason)  # type: ignore[union-attr]


def test_it_gets_no_tasks(client: Line, engines: list[Line]) -> None:
    """They go to the others, as many as there are."""
    client.call("control", "drain", targets=[0])
    teach(client, engines[1])
    client.submit(*range(1, 9))

    assert rows_of(engines[0].heard()) == []
    assert len(rows_of(engines[1].heard())) == 8


def test_what_it_gives_back_runs_elsewhere_uncharged(client: Line, engines: list[Line]) -> None:
    """Although the hub has not asked it for that."""
    client.submit(1, 2)
    given = [[n for n, _ in rows_of(each.heard())] for each in engines]
    assert sorted(map(len, given)) == [1, 1]
    client.call("control", "drain", targets=[0])
    [number] = given[0]

    engines[0].say(TASK, m.GaveBack(((number, number),)))
    engines[1].results((given[1][0], 0))

    assert rows_of(engines[1].heard()) == [(number, 1)]
    assert client.exchange.tasks._tasks[number].losses == 0


def test_what_runs_at_its_goodbye_runs_elsewhere_uncharged(client: Line, engines: list[Line]) -> None:
    """Its time is over, and it gives back what it has begun."""
    client.submit(1, engine_retries=0)
    [number] = [n for n, _ in rows_of(engines[0].heard())]
    client.call("control", "drain", targets=[0], within=3)

    engines[0].say(HUB, m.Goodbye("client 1"))

    assert rows_of(engines[1].heard()) == [(number, 1)]
    assert [n for n, _ in client.exchange.events()].count("unregistered") == 1


def test_the_result_of_what_it_ran_counts(client: Line, engines: list[Line]) -> None:
    """It is accepted before the engine leaves."""
    client.submit(1)
    engines[0].heard()
    client.call("control", "drain", targets=[0])

    engines[0].results((client.id(1), 0))

    assert ends_of(client.heard(m.Completed)) == {client.id(1): (m.Status.OK, b"value")}


def test_commands_that_it_has_not_begun_fail(client: Line, engines: list[Line]) -> None:
    """Those that wait as well as those to come; what runs goes on."""
    client.command(1, 0)
    client.command(2, 0)
    assert begun(engines[0]) == [client.id(1)]

    client.call("control", "drain", targets=[0])

    assert "engine 0 is draining" in story(client, client.id(2))
    client.command(3, 0)
    assert "name another engine" in story(client, client.id(3))
    engines[0].results((client.id(1), 0), stream=m.Stream.MULTIENGINE)
    assert ends_of(client.heard(m.Completed))[client.id(1)][0] == m.Status.OK
    assert begun(engines[0]) == []


def test_tasks_that_only_it_may_run_do_not_wait_for_its_end(client: Line, engines: list[Line]) -> None:
    """They would never run; tasks without such needs wait, also where every engine drains."""
    client.command(1, 0)  # so that the task waits
    client.submit(2, options=TaskOptions(targets=(0,)).to_wire())
    client.call("control", "drain", targets=[0])

    ends = ends_of(client.heard(m.Completed))
    assert "draining" in unpack_failure(ends[client.id(2)][1]).evalue

    client.call("control", "drain", targets=[1])
    client.submit(3, options=TaskOptions(resources=(("gpu", 1.0),)).to_wire())
    client.submit(4)
    assert client.heard(m.Completed) == []
    why = client.call("tasks", "explain", request=client.id(4)).value["why"]
    assert "engine 0 is draining" in why
    assert "engine 1 is draining" in why


def test_it_is_told_again_when_it_was_away(client: Line, engines: list[Line], nanny: Line) -> None:
    """With the time that is left; so is its nanny, at each beat."""
    exchange = client.exchange
    exchange.switchboard.disconnected(Connection(0, HUB, engines[0].address))
    client.call("control", "drain", targets=[0], within=60)
    assert engines[0].heard(m.Shutdown) == []
    nanny.heard()
    exchange.now += 2

    assert engines[0].registered is not None
    engines[0].say(HUB, replace(engines[0].said, token=engines[0].registered.token))
    hello(engines[0])
    nanny.say(HUB, m.Beat(("engine 0", "engine 1")))

    assert [each.within for each in engines[0].heard(m.Shutdown)] == [58]  # type: ignore[attr-defined]
    assert [each.within for each in nanny.heard(m.Retire)] == [58]  # type: ignore[attr-defined]


def test_an_engine_that_comes_and_drains(client: Line, exchange: Exchange) -> None:
    """It had been told by a hub that has forgotten it: it gets nothing."""
    line = Line(exchange, "late")
    line.register(m.Role.ENGINE, draining="its nanny was told to stop")
    client.submit(1, 2, 3)
    number = client.call("query", "engines_now").value["engines"][-1]["id"]

    assert state(client, number) == "draining"
    assert rows_of(line.heard()) == []


def test_another_process_in_its_place_does_not_drain(client: Line, engines: list[Line]) -> None:
    """Who is started by hand with the same key is a new engine."""
    client.call("control", "drain", targets=[0])
    again = Line(client.exchange, "again")
    again.register(m.Role.ENGINE, key=engines[0].said.key)

    assert state(client, 0) == "idle"
    client.submit(1, 2)
    assert len(rows_of(again.heard())) == 1


def test_the_shortest_time_counts(client: Line, engines: list[Line]) -> None:
    """A longer one is no news, nor is the same said again; a shutdown hastens any drain."""
    client.call("control", "drain", targets=[0], within=60)
    client.call("control", "drain", targets=[0])
    client.call("control", "drain", targets=[0], within=60 - SAME / 2)
    client.call("control", "drain", targets=[0], within=5)
    client.call("control", "shutdown", targets=[0])
    client.call("control", "drain", targets=[0], within=0)

    assert [each.within for each in engines[0].heard(m.Shutdown)] == [60, 5, -1]  # type: ignore[attr-defined]
    assert client.exchange.events().count(("draining", 0)) == 1


def test_a_nanny_has_its_own_engines_drain(client: Line, engines: list[Line], nanny: Line) -> None:
    """Not those of another nanny, whatever it says."""
    other = a_peer(client.exchange, "other nanny", m.Role.NANNY)
    other.say(HUB, m.Drain(("engine 0", "engine 1", "nobody"), "for fun", 1.0))
    assert state(client, 0) == "idle"

    nanny.say(HUB, m.Drain(("engine 0",), "the time of its job is nearly over", 30.0))

    assert engines[0].heard(m.Shutdown) == [m.Shutdown("the time of its job is nearly over", 30.0)]
    assert engines[1].heard(m.Shutdown) == []
    nanny.say(HUB, m.Drain(("engine 0",), "the time of its job is nearly over", 30.0))
    assert engines[0].heard(m.Shutdown) == []


def test_a_death_in_mid_drain_is_one(client: Line, engines: list[Line], nanny: Line) -> None:
    """What ran is charged, and the place is given up: no other process comes."""
    client.submit(1, engine_retries=0)
    engines[0].heard()
    client.call("control", "drain", targets=[0])

    said = engines[0].said
    nanny.say(HUB, m.EngineDied(said.key, said.incarnation, "signal SIGKILL", running=client.id(1)))

    assert "signal SIGKILL" in story(client, client.id(1))
    assert client.call("query", "engines_now").value["absent"] == ()


def test_who_drains_is_not_restarted(client: Line, engines: list[Line], nanny: Line) -> None:
    """It is refused, with what to do."""
    client.call("control", "drain", targets=[0])

    answer = client.call("control", "restart", targets=[0, 1])

    assert answer.code == "engine_error"
    assert "start another one" in answer.message
    assert nanny.heard(m.Restart) == []


def test_start_hooks_pass_it_over(client: Line, engines: list[Line]) -> None:
    """A hook is kept once the engines that stay have run it."""
    client.command(1, 0)
    client.say(m.Stream.MULTIENGINE, m.StartHook(client.id(2), "one", "push", b"data"))
    client.call("control", "drain", targets=[0])
    client.say(m.Stream.MULTIENGINE, m.StartHook(client.id(3), "two", "push", b"data"))
    for number in (2, 3):
        assert begun(engines[1])[-1:] == [client.id(number)]
        engines[1].results((client.id(number), 0), stream=m.Stream.MULTIENGINE)

    assert [each["state"] for each in client.call("start_hooks", "list").value] == ["kept", "kept"]


@pytest.mark.parametrize("within", [-1, "long", True, float("nan")])
def test_a_time_that_is_none_is_refused(client: Line, engines: list[Line], within: object) -> None:
    """And nothing drains."""
    assert client.call("control", "drain", targets=[0], within=within).code == "invalid_request"
    assert state(client, 0) == "idle"

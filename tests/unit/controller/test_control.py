"""The control of engines, message by message."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from ctrlhub.controller.core.effects import Connection
from ctrlhub.controller.interfaces.control import MOST_PARKED, PATIENCE
from ctrlhub.controller.interfaces.nanny_orders import MOST_HELD
from ctrlhub.controller.interfaces.nanny_orders import PATIENCE as NANNY_PATIENCE
from ctrlhub.wire import messages as m
from ctrlhub.wire.errors import unpack_failure
from tests.support.exchange import Exchange, Line, ends_of, rows_of
from tests.support.multiengine import HUB, a_peer, begun, client, engines, exchange, hello

__all__ = ["client", "engines", "exchange"]


@pytest.fixture
def nanny(exchange: Exchange, engines: list[Line]) -> Line:
    """A nanny of both engines."""
    made = a_peer(exchange, "nanny", m.Role.NANNY)
    made.say(HUB, m.Beat(("engine 0", "engine 1")))
    made.heard()
    return made


def reborn(exchange: Exchange, engine: Line) -> Line:
    """Let another process take an engine's place."""
    made = Line(exchange, engine.address.decode() + " again")
    made.register(m.Role.ENGINE, key=engine.said.key)
    made.heard()
    return made


def cut_off(engine: Line) -> None:
    """Let an engine's connection on the stream of control break."""
    engine.exchange.switchboard.disconnected(Connection(0, HUB, engine.address))


def comes_back(engine: Line) -> None:
    """Let an engine resume its session."""
    assert engine.registered is not None
    engine.say(HUB, replace(engine.said, token=engine.registered.token))
    hello(engine)


def interrupts(engine: Line) -> list[m.Interrupt]:
    """Take the interrupts that an engine was sent."""
    return [each for each in engine.heard(m.Interrupt) if isinstance(each, m.Interrupt)]


def evalue(client: Line, number: int) -> str:
    """Return the text of the failure that a request ended with."""
    status, payload = ends_of(client.heard(m.Completed))[number]
    assert status == m.Status.ERROR
    return unpack_failure(payload).evalue


# ---------------------------------------------------------------- interrupts


def test_an_interrupt_names_the_command_that_is_on_its_way(
    client: Line, engines: list[Line]
) -> None:
    """Whoever gave it: the engine waits for it, but only if nothing runs there."""
    other = a_peer(client.exchange, "other", m.Role.ADMIN)
    other.command(1, 0)
    other.command(2, 0)

    assert client.call("control", "interrupt", targets=[0]).value == (0,)

    number = other.id(1)
    assert engines[0].heard(m.Interrupt) == [m.Interrupt(((number, number),), cancels=False)]
    assert engines[1].heard(m.Interrupt) == []


def test_without_a_command_whatever_runs_is_interrupted(client: Line, engines: list[Line]) -> None:
    """A task, which only the engine knows; or nothing."""
    client.submit(1, 2)

    client.call("control", "interrupt", targets=[0, 1])

    for engine in engines:
        assert engine.heard(m.Interrupt) == [m.Interrupt((), cancels=False)]


def test_what_was_interrupted_ends_as_the_engine_says(client: Line, engines: list[Line]) -> None:
    """The hub makes nothing of it, and the next command begins."""
    client.command(1, 0)
    client.command(2, 0)
    client.call("control", "interrupt", targets=[0])
    engines[0].results(
        (client.id(1), 0), stream=m.Stream.MULTIENGINE, status=m.Status.ERROR, payload=b"why"
    )

    assert ends_of(client.heard(m.Completed)) == {client.id(1): (m.Status.ERROR, b"why")}
    assert begun(engines[0]) == [client.id(1), client.id(2)]


def test_an_interrupt_waits_for_the_command_that_it_is_for(
    client: Line, engines: list[Line]
) -> None:
    """Which was sent before it, and takes another stream."""
    number = client.id(1)
    assert client.call("control", "interrupt", targets=[0], after=number).value == (0,)
    assert engines[0].heard(m.Interrupt) == []

    client.command(1, 0)

    assert engines[0].heard(m.Interrupt) == [m.Interrupt(((number, number),), cancels=False)]
    client.call("control", "interrupt", targets=[0], after=client.id(2))
    client.say(HUB, m.Goodbye())
    assert [each.cancels for each in interrupts(engines[0])] == [True]  # its command 1


def test_interrupts_that_wait_are_bounded(client: Line, engines: list[Line]) -> None:
    """For each client by itself; and they wait for the caller's own commands only."""
    for _ in range(MOST_PARKED):
        client.call("control", "interrupt", targets=[0], after=client.id(9))
    answer = client.call("control", "interrupt", targets=[0], after=client.id(9))
    assert answer.code == "limit_exceeded"
    answer = client.call("control", "interrupt", targets=[0], after=client.id(9) + (1 << 40))
    assert answer.code == "invalid_request"
    other = a_peer(client.exchange, "other", m.Role.ADMIN)
    assert other.call("control", "interrupt", targets=[0], after=other.id(1)).value == (0,)


def test_an_interrupt_does_not_wait_for_long(client: Line, engines: list[Line]) -> None:
    """What comes much later is nothing that it was meant for."""
    client.call("control", "interrupt", targets=[0], after=client.id(1))
    client.exchange.pass_time(PATIENCE / 2)
    client.say(HUB, m.Beat())
    engines[0].say(HUB, m.Beat())
    client.exchange.pass_time(PATIENCE / 2)

    client.command(1, 0)

    assert begun(engines[0]) == [client.id(1)]
    assert engines[0].heard(m.Interrupt) == []


def test_an_interrupt_for_a_command_that_was_taken_back(client: Line, engines: list[Line]) -> None:
    """It never comes; the next one is not struck in its place."""
    client.call("control", "interrupt", targets=[0], after=client.id(1))
    client.command(2, 0)
    assert engines[0].heard(m.Interrupt) == []


@pytest.mark.parametrize("fields", [{"action": "dance"}, {"action": "push", "payloads": ()}])
def test_an_interrupt_for_a_command_that_was_refused(
    client: Line, engines: list[Line], fields: dict[str, Any]
) -> None:
    """It has come, with all of its targets: what runs is interrupted."""
    client.call("control", "interrupt", targets=[0], after=client.id(2))
    said = {"payloads": (b"",), **fields}
    client.say(m.Stream.MULTIENGINE, m.Command(client.id(1), (0, 1), **said))

    assert client.one(m.Refused).code == "invalid_request"
    assert interrupts(engines[0]) == [m.Interrupt((), cancels=False)]


def test_an_engine_that_is_away_is_not_interrupted(client: Line, engines: list[Line]) -> None:
    """Whoever asks for it is told; the others are."""
    cut_off(engines[0])

    answer = client.call("control", "interrupt", targets=[0, 1])

    assert answer.code == "engine_error"
    assert "engines [0]" in answer.message
    assert len(interrupts(engines[1])) == 1


# ---------------------------------------------------------------- signals


def test_signals_go_to_the_nanny(client: Line, nanny: Line) -> None:
    """Of each engine that was named."""
    assert client.call("control", "signal", targets=[0], name="SIGINT").value == (0,)
    assert nanny.heard(m.Signal) == [m.Signal("engine 0", "SIGINT")]


@pytest.mark.parametrize(("method", "arguments"), [("signal", {"name": "SIGINT"}), ("restart", {})])
def test_an_engine_without_a_nanny(
    exchange: Exchange, client: Line, engines: list[Line], method: str, arguments: Any
) -> None:
    """It is said which one, and no other engine is touched either."""
    nanny = a_peer(exchange, "nanny", m.Role.NANNY)
    nanny.say(HUB, m.Beat(("engine 0",)))
    nanny.heard()

    answer = client.call("control", method, targets=[0, 1], **arguments)

    assert answer.code == "engine_error"
    assert "engine 1 has no nanny" in answer.message
    assert nanny.heard(m.Signal, m.Restart) == []


def test_a_nanny_that_has_gone_is_none(client: Line, nanny: Line) -> None:
    """What it was told would reach nobody."""
    nanny.say(HUB, m.Goodbye())

    assert client.call("control", "signal", targets=[0], name="SIGINT").code == "engine_error"


def test_a_nanny_may_vouch_for_an_engine_before_it_comes(exchange: Exchange, client: Line) -> None:
    """So that it can be signalled from its first moment on."""
    nanny = a_peer(exchange, "nanny", m.Role.NANNY)
    nanny.say(HUB, m.Beat(("late",)))
    a_peer(exchange, "late", m.Role.ENGINE)

    assert client.call("control", "signal", targets=[0], name="SIGINT").value == (0,)


@pytest.fixture
def supervised(exchange: Exchange) -> Line:
    """An engine that has come before its nanny."""
    made = Line(exchange, "young")
    made.register(m.Role.ENGINE, supervised=True)
    made.heard()
    return made


def ask(client: Line, method: str, **arguments: Any) -> list[m.Message]:
    """Call a method; return what is answered at once."""
    client.say(HUB, m.Call(9, "control", method, {"targets": [0], **arguments}))
    return client.heard(m.Answer)


@pytest.mark.parametrize(
    ("method", "arguments", "kind"),
    [("signal", {"name": "SIGINT"}, m.Signal), ("restart", {}, m.Restart)],
)
def test_a_nanny_that_has_not_come_yet_is_waited_for(
    exchange: Exchange, supervised: Line, client: Line, method: str, arguments: Any, kind: Any
) -> None:
    """The answer waits with the wish; the nanny hears it as soon as it vouches for the engine."""
    assert ask(client, method, **arguments) == []
    nanny = a_peer(exchange, "nanny", m.Role.NANNY)
    assert client.heard(m.Answer) == []

    nanny.say(HUB, m.Beat(("young",)))

    assert client.one(m.Answer).value == (0,)
    assert [each.key for each in nanny.heard(kind)] == ["young"]  # type: ignore[attr-defined]
    exchange.pass_time(2 * NANNY_PATIENCE)
    assert client.heard(m.Answer) == []


def test_a_nanny_that_is_away_for_a_moment_is_waited_for(
    exchange: Exchange, supervised: Line, client: Line
) -> None:
    """Its connection may be on its way back."""
    nanny = a_peer(exchange, "nanny", m.Role.NANNY)
    nanny.say(HUB, m.Beat(("young",)))
    exchange.switchboard.disconnected(Connection(0, HUB, nanny.address))
    assert ask(client, "signal", name="SIGINT") == []

    assert nanny.registered is not None
    nanny.say(HUB, replace(nanny.said, token=nanny.registered.token))

    assert client.one(m.Answer).value == (0,)
    assert len(nanny.heard(m.Signal)) == 1


def test_a_nanny_that_does_not_come(exchange: Exchange, supervised: Line, client: Line) -> None:
    """It is waited for for a while only, and not again by those who ask later than it came."""
    ask(client, "signal", name="SIGINT")
    exchange.pass_time(NANNY_PATIENCE / 2)
    client.say(HUB, m.Beat())
    supervised.say(HUB, m.Beat())
    assert client.heard(m.Answer) == []

    exchange.pass_time(NANNY_PATIENCE / 2)

    answer = client.one(m.Answer)
    assert answer.code == "engine_error"
    assert "the nanny of engine 0 (process 4711 on here), which could signal it" in answer.message
    nanny = a_peer(exchange, "nanny", m.Role.NANNY)
    nanny.say(HUB, m.Beat(("young",)))
    assert nanny.heard(m.Signal) == []


def test_an_engine_that_ends_before_its_nanny_comes(
    exchange: Exchange, supervised: Line, client: Line
) -> None:
    """Whoever wished something of it is told, and how it ended."""
    ask(client, "restart")

    supervised.say(HUB, m.Goodbye("it was told to"))

    answer = client.one(m.Answer)
    assert answer.code == "engine_error"
    assert "ended before its nanny could restart it: it left: it was told to" in answer.message


def test_wishes_to_nannies_are_bounded(exchange: Exchange, supervised: Line, client: Line) -> None:
    """For each client by itself, and they go with it."""
    for _ in range(MOST_HELD):
        assert ask(client, "signal", name="SIGINT") == []
    (refused,) = ask(client, "signal", name="SIGINT")
    assert isinstance(refused, m.Answer)
    assert refused.code == "limit_exceeded"
    other = a_peer(exchange, "other", m.Role.ADMIN)
    assert ask(other, "signal", name="SIGTERM") == []

    client.say(HUB, m.Goodbye())
    nanny = a_peer(exchange, "nanny", m.Role.NANNY)
    nanny.say(HUB, m.Beat(("young",)))

    assert nanny.heard(m.Signal) == [m.Signal("young", "SIGTERM")]


@pytest.mark.parametrize("name", [5, None, ["SIGINT"]])
def test_a_signal_has_a_name(client: Line, nanny: Line, name: Any) -> None:
    """Anything else is the caller's fault."""
    assert client.call("control", "signal", targets=[0], name=name).code == "invalid_request"


# ---------------------------------------------------------------- restarts


def test_a_restart_is_the_nannys_affair(client: Line, engines: list[Line], nanny: Line) -> None:
    """The engine itself may not listen."""
    assert client.call("control", "restart", targets=[1]).value == (1,)

    (asked,) = nanny.heard(m.Restart)
    assert isinstance(asked, m.Restart)
    assert (asked.key, asked.incarnation) == ("engine 1", engines[1].said.incarnation)
    assert engines[1].heard() == []


def test_a_restart_is_said_again_until_the_engine_has_ended(
    exchange: Exchange, client: Line, engines: list[Line], nanny: Line
) -> None:
    """The nanny may not have heard of it; and no more for the process that comes."""
    client.call("control", "restart", targets=[1])
    nanny.heard()
    nanny.say(HUB, m.Beat(("engine 0", "engine 1")))
    (again,) = nanny.heard(m.Restart)
    assert isinstance(again, m.Restart)
    assert again.incarnation == engines[1].said.incarnation

    reborn(exchange, engines[1])
    nanny.say(HUB, m.Beat(("engine 0", "engine 1")))
    assert nanny.heard(m.Restart) == []


def test_an_engine_that_is_being_restarted_is_said_to_be(
    exchange: Exchange, client: Line, engines: list[Line], nanny: Line
) -> None:
    """To who asks for the engines, and to who names it, until it is back."""
    client.call("control", "restart", targets=[0])
    said = engines[0].said
    nanny.say(HUB, m.EngineDied(said.key, said.incarnation, "killed", restarting=True))

    session = client.registered.session if client.registered else 0
    state = f"is being restarted: client {session} asked for it"
    now = client.call("query", "engines_now").value
    assert [engine["id"] for engine in now["engines"]] == [1]
    assert now["absent"] == ({"id": 0, "state": state, "restarting": True},)
    assert (
        f"engine 0 {state}" in client.call("control", "signal", targets=[0], name="SIGINT").message
    )
    client.command(1, 0)
    assert f"engine 0 {state}" in evalue(client, client.id(1))
    nanny.heard()
    assert client.call("control", "restart", targets=[0]).value == ()
    assert not nanny.heard(m.Restart)

    reborn(exchange, engines[0])
    assert client.call("query", "engines_now").value["absent"] == ()


def test_an_engine_that_is_lost_may_come_back(
    exchange: Exchange, client: Line, engines: list[Line]
) -> None:
    """So long as its session is kept; one that has left does not."""
    engines[0].say(HUB, m.Goodbye("done"))
    for _ in range(12):
        exchange.pass_time(1.0)
        client.say(HUB, m.Beat())

    (absent,) = client.call("query", "engines_now").value["absent"]
    state = "is away, and may come back: not heard of for 10 s"
    assert absent == {"id": 1, "state": state, "restarting": False}

    for _ in range(int(exchange.config.session_ttl)):
        exchange.pass_time(1.0)
        client.say(HUB, m.Beat())
    assert client.call("query", "engines_now").value["absent"] == ()


@pytest.mark.parametrize("how", ["leaves", "is killed", "is replaced"])
def test_a_restarted_engine_keeps_its_id(
    exchange: Exchange, client: Line, engines: list[Line], nanny: Line, how: str
) -> None:
    """However the former process ends; its commands fail with the reason, and new ones run."""
    client.command(1, 0)
    client.command(2, 0)
    client.call("control", "restart", targets=[0])
    if how == "leaves":
        engines[0].say(HUB, m.Goodbye("it was told to"))
    elif how == "is killed":
        said = engines[0].said
        nanny.say(HUB, m.EngineDied(said.key, said.incarnation, "killed by signal 9 (SIGKILL)"))
    again = reborn(exchange, engines[0])

    ends = ends_of(client.heard(m.Completed))
    assert list(ends) == [client.id(1), client.id(2)]
    assert all("restarted" in unpack_failure(payload).evalue for _, payload in ends.values())
    assert again.registered is not None
    assert again.registered.engine_id == 0
    client.command(3, 0)
    assert begun(again) == [client.id(3)]


def test_an_engine_that_is_to_be_restarted_gets_no_tasks(
    client: Line, engines: list[Line], nanny: Line
) -> None:
    """What it has goes elsewhere when it ends, and is not to blame."""
    client.submit(1, engine_retries=0)
    (first,) = [engine for engine in engines if rows_of(engine.heard(m.RunTasks))]
    (other,) = [engine for engine in engines if engine is not first]
    assert first.registered is not None
    client.call("control", "restart", targets=[first.registered.engine_id])
    client.submit(2)
    assert rows_of(first.heard(m.RunTasks)) == []

    said = first.said
    nanny.say(
        HUB, m.EngineDied(said.key, said.incarnation, "killed", "", True, running=client.id(1))
    )

    other.results((client.id(2), 0))
    assert (client.id(1), 1) in rows_of(other.heard(m.RunTasks))


# ---------------------------------------------------------------- shutdown, and all


def test_shutting_engines_down(client: Line, engines: list[Line]) -> None:
    """Those that were named are asked."""
    assert client.call("control", "shutdown", targets=[1]).value == (1,)
    assert [type(each) for each in engines[1].heard()] == [m.Shutdown]
    assert engines[0].heard() == []


def test_an_engine_that_is_away_is_shut_down_when_it_is_back(
    client: Line, engines: list[Line]
) -> None:
    """The wish is kept for it, and not for the process that takes its place."""
    cut_off(engines[0])
    assert client.call("control", "shutdown", targets=[0]).value == (0,)
    assert engines[0].heard(m.Shutdown) == []

    comes_back(engines[0])
    assert len(engines[0].heard(m.Shutdown)) == 1

    again = reborn(client.exchange, engines[0])
    hello(again)
    assert again.heard(m.Shutdown) == []


@pytest.mark.parametrize("method", ["interrupt", "restart", "shutdown"])
@pytest.mark.parametrize(
    ("targets", "code"),
    [([9], "invalid_engine_id"), ([-1], "invalid_engine_id"), (0, "invalid_request"),
     (["0"], "invalid_request"), ([True], "invalid_request"), (None, "invalid_request")],
)  # fmt: skip
def test_targets_are_checked(
    client: Line, engines: list[Line], method: str, targets: Any, code: str
) -> None:
    """Before anything is done."""
    assert client.call("control", method, targets=targets).code == code
    assert engines[0].heard() == []


# ---------------------------------------------------------------- what became of an engine


def test_an_engine_that_went_with_its_nanny(
    exchange: Exchange, client: Line, engines: list[Line], nanny: Line
) -> None:
    """Another nanny's engine takes its place, and nobody has said how the former ended."""
    client.command(1, 0)
    again = reborn(exchange, engines[0])

    assert "its nanny (process 4711 on here) did not say how" in evalue(client, client.id(1))
    assert again.registered is not None


def test_an_engine_whose_host_is_silent(
    exchange: Exchange, client: Line, engines: list[Line], nanny: Line
) -> None:
    """Neither it nor its nanny was heard of: it is said what that may mean."""
    client.command(1, 0)
    for _ in range(12):
        exchange.pass_time(1.0)
        client.say(HUB, m.Beat())

    assert "nor was its nanny: is here down, or cut off?" in evalue(client, client.id(1))


def test_who_was_to_blame_is_said(client: Line, engines: list[Line], nanny: Line) -> None:
    """To the command that ran, and to those that waited behind it."""
    client.command(1, 0)
    client.command(2, 0, action="pull")
    said, number = engines[0].said, client.id(1)
    nanny.say(HUB, m.EngineDied(said.key, said.incarnation, "exit code 3", "", True, number))

    ends = ends_of(client.heard(m.Completed))
    first, second = (unpack_failure(payload).evalue for _, payload in ends.values())
    assert first == "engine 0 died while it ran this (push): exit code 3"
    session = client.registered.session if client.registered else 0
    assert second == (
        f"engine 0 died before this (pull), while it ran a command of client {session} (push): "
        "exit code 3"
    )

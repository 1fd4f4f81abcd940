"""MultiEngine: commands run once, in order, on the engines that were named, or fail by name."""

from __future__ import annotations

from typing import Any

import pytest

from ctrlhub.controller.config import HubConfig
from ctrlhub.controller.core.effects import Fetched, Keep, SaveRequests, SaveResults
from ctrlhub.wire import messages as m
from ctrlhub.wire.errors import unpack_failure
from ctrlhub.wire.ids import request_id
from ctrlhub.wire.limits import INLINE_BYTES
from tests.support.exchange import Exchange, Line, ends_of
from tests.support.multiengine import (
    STREAM,
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


# ---------------------------------------------------------------- the way of a command


def test_the_way_of_a_command(exchange: Exchange, client: Line, engines: list[Line]) -> None:
    """One id for each target; each step is acknowledged and stored, and nothing remains."""
    ids = ((client.id(1), client.id(2)),)
    message = m.Command(client.id(1), (0, 1), "apply", (b"data",), b"f", ((b"f", b"code"),))
    assert client.say(STREAM, message) == [m.Accepted(ids)]
    for n, engine in enumerate(engines):
        [run] = engine.heard()
        expected = m.RunCommand(client.id(1 + n), "apply", b"data", b"f", ((b"f", b"code"),))
        assert run == expected
        number = client.id(1 + n)
        assert ends(engine, number, payload=b"%d" % n) == [m.Stored(((number, number),))]
    assert ends_of(client.heard()) == {client.id(1): (0, b"0"), client.id(2): (0, b"1")}
    client.say(STREAM, m.Received(ids))
    assert exchange.commands._commands == {}
    kinds = {type(each) for each in exchange.operations}
    assert kinds - {Keep} == {SaveRequests, SaveResults, Fetched}


def test_each_target_may_have_its_own_payload(client: Line, engines: list[Line]) -> None:
    """As many payloads as targets, in frames or inline."""
    message = m.Command(
        client.id(1), (1, 0), "push", (b"one", (0, 1)), frames=(b"x" * (INLINE_BYTES + 1),)
    )
    client.say(STREAM, message)
    [large], [small] = engines[0].heard(), engines[1].heard()
    assert isinstance(small, m.RunCommand)
    assert isinstance(large, m.RunCommand)
    assert small.payload == b"one"
    assert (large.payload, large.frames) == ((0, 1), (b"x" * (INLINE_BYTES + 1),))


def test_commands_of_an_engine_run_in_order_one_at_a_time(
    client: Line, engines: list[Line]
) -> None:
    """The next begins when the result of the one before is there, also an error."""
    for counter in (1, 2, 3):
        client.command(counter, 0)
    for counter in (1, 2, 3):
        assert begun(engines[0]) == [client.id(counter)]
        status = m.Status.ERROR if counter == 1 else m.Status.OK
        ends(engines[0], client.id(counter), status=status)
    assert {status for status, _ in ends_of(client.heard()).values()} == {0, 1}


def test_engines_do_not_wait_for_each_other(client: Line, engines: list[Line]) -> None:
    """A second command begins on an engine that has finished the first."""
    client.command(1, 0, 1)
    client.command(3, 0, 1)
    ends(engines[1], client.id(2))
    assert begun(engines[0]) == [client.id(1)]
    assert begun(engines[1]) == [client.id(2), client.id(4)]


def test_a_command_that_comes_again_is_recognised(client: Line, engines: list[Line]) -> None:
    """It is accepted again and begun once: queued, running or ended."""
    for _ in range(2):
        assert m.Accepted(((client.id(1), client.id(1)),)) in client.command(1, 0)
        client.command(2, 0)
    assert begun(engines[0]) == [client.id(1)]
    ends(engines[0], client.id(1))
    client.command(1, 0)
    ends(engines[0], client.id(2))
    assert begun(engines[0]) == [client.id(2)]


def test_a_result_that_comes_again_counts_once(client: Line, engines: list[Line]) -> None:
    """It is acknowledged each time; the first stays."""
    client.command(1, 0)
    number = client.id(1)
    for payload in (b"first", b"second"):
        assert ends(engines[0], number, payload=payload)[-1] == m.Stored(((number, number),))
    assert ends_of(client.heard()) == {number: (0, b"first")}
    assert client.exchange.commands.duplicates == 1


def test_only_the_engine_that_runs_it_ends_a_command(client: Line, engines: list[Line]) -> None:
    """Another engine's word does not count, nor an end before the beginning."""
    client.command(1, 0)
    client.command(2, 0)
    ends(engines[1], client.id(1))
    ends(engines[0], client.id(2))
    assert ends_of(client.heard()) == {}


# ---------------------------------------------------------------- what fails


def test_a_target_that_is_not_there_fails_by_itself(client: Line, engines: list[Line]) -> None:
    """The others run."""
    client.command(1, 0, 99, -1)
    failures = ends_of(client.heard())
    assert set(failures) == {client.id(2), client.id(3)}
    failure = unpack_failure(failures[client.id(2)][1])
    assert (failure.code, "99" in failure.evalue) == ("invalid_engine_id", True)
    assert begun(engines[0]) == [client.id(1)]


def test_commands_of_a_dead_engine_fail_with_the_cause(
    exchange: Exchange, client: Line, engines: list[Line]
) -> None:
    """Running and queued; commands elsewhere go on."""
    client.command(1, 0, 1)
    client.command(3, 0)
    dies(exchange, engines[0])
    failures = ends_of(client.heard())
    assert set(failures) == {client.id(1), client.id(3)}
    failure = unpack_failure(failures[client.id(3)][1])
    assert (failure.code, "SIGSEGV" in failure.evalue) == ("engine_error", True)
    ends(engines[1], client.id(2))
    assert list(ends_of(client.heard())) == [client.id(2)]


@pytest.mark.parametrize(
    "fields",
    [
        {"action": "dance"},
        {"targets": ()},
        {"payloads": ()},
        {"payloads": (b"", b"", b"")},
        {"first": request_id(12345, 1)},
        {"first": 0},
        {"first": -1},
    ],
)
def test_a_command_that_makes_no_sense_is_refused(
    client: Line, engines: list[Line], fields: dict[str, Any]
) -> None:
    """Whole, and nothing is kept of it."""
    said = {"first": client.id(1), "targets": (0, 1), "action": "push", "payloads": (b"",)}
    answers = client.say(STREAM, m.Command(**(said | fields)))
    assert [type(each) for each in answers] == [m.Refused]
    assert client.exchange.commands._commands == {}
    assert begun(engines[0]) == []


def test_ids_must_not_run_into_another_session(client: Line, engines: list[Line]) -> None:
    """The last target's id belongs to the session as well."""
    assert client.registered is not None
    last = request_id(client.registered.session + 1, 0) - 1
    [refused] = client.say(STREAM, m.Command(last, (0, 1), "push", (b"",)))
    assert isinstance(refused, m.Refused)


def test_a_million_targets_are_refused_by_the_limit() -> None:
    """Commands count against the same limit as tasks."""
    exchange = Exchange(HubConfig(max_outstanding=100))
    client = a_peer(exchange, "client", m.Role.ADMIN)
    a_peer(exchange, "engine", m.Role.ENGINE)
    client.command(1, *[0] * 1_000_000)
    assert isinstance(client.heard()[-1], m.Refused)
    assert exchange.commands._commands == {}
    client.command(1, *[0] * 100)
    client.heard()
    client.command(101, 0)
    [(_, payload)] = ends_of(client.heard()).values()
    assert unpack_failure(payload).code == "limit_exceeded"


# ---------------------------------------------------------------- functions


def test_commands_wait_for_a_function_in_their_order(client: Line, engines: list[Line]) -> None:
    """The hub asks once; what was given later does not overtake."""
    assert client.command(1, 0, function=b"f", action="apply") == [m.NeedFunctions((b"f",))]
    assert client.command(2, 0) == []
    assert client.command(3, 0, function=b"f", action="apply") == []
    client.say(STREAM, m.Functions(((b"f", b"code"),)))
    for counter in (1, 2, 3):
        assert begun(engines[0]) == [client.id(counter)]
        ends(engines[0], client.id(counter))


def test_a_lost_question_is_asked_again_after_a_hello(client: Line, engines: list[Line]) -> None:
    """The question may have gone with the connection."""
    client.command(1, 0, function=b"f", action="apply")
    assert client.registered is not None
    assert m.NeedFunctions((b"f",)) in client.say(STREAM, m.Hello(client.registered.token))


def test_parked_commands_are_bounded(client: Line, monkeypatch: pytest.MonkeyPatch) -> None:
    """A client whose function never comes is refused at some point."""
    monkeypatch.setattr("ctrlhub.controller.interfaces.command_submissions.MOST_PARKED", 2)
    answers = [client.command(n, 0, function=b"f") for n in (1, 2, 3)]
    assert isinstance(answers[2][-1], m.Refused)


def test_an_engine_that_forgot_a_function_asks(client: Line, engines: list[Line]) -> None:
    """It travels with the first command that needs it, and on request."""
    for counter in (1, 2):
        client.command(counter, 0, function=b"f", functions=((b"f", b"code"),))
        [run] = engines[0].heard()
        assert isinstance(run, m.RunCommand)
        assert run.functions == (((b"f", b"code"),) if counter == 1 else ())
        ends(engines[0], client.id(counter))
        engines[0].heard()
    answer = engines[0].say(STREAM, m.NeedFunctions((b"f", b"unknown")))
    assert answer == [m.Functions(((b"f", b"code"),))]


# ---------------------------------------------------------------- reconnections


def test_a_command_that_was_lost_on_its_way_is_given_again(
    client: Line, engines: list[Line]
) -> None:
    """With its function; one that the engine names is not."""
    client.command(1, 0, function=b"f", functions=((b"f", b"code"),))
    engines[0].heard()
    assert [type(each) for each in hello(engines[0], client.id(1))] == [m.Welcome]
    answers = hello(engines[0])
    [run] = [each for each in answers if isinstance(each, m.RunCommand)]
    assert (run.id, run.functions) == (client.id(1), ((b"f", b"code"),))


def test_commands_begin_when_the_engine_has_a_connection(exchange: Exchange, client: Line) -> None:
    """Registered and not yet heard on this stream, it is given nothing; then everything."""
    line = Line(exchange, "engine")
    line.register(m.Role.ENGINE)
    line.heard()
    exchange.switchboard.disconnected(exchange.commands.engine(0).session.connections[STREAM])
    client.command(1, 0)
    client.command(2, 0)
    assert begun(line) == []
    hello(line)
    assert begun(line) == [client.id(1)]


def test_results_not_acknowledged_come_again_after_a_hello(
    client: Line, engines: list[Line]
) -> None:
    """Until they are."""
    client.command(1, 0)
    ends(engines[0], client.id(1))
    assert list(ends_of(hello(client))) == [client.id(1)]
    client.say(STREAM, m.Received(((client.id(1), client.id(1)),)))
    assert ends_of(hello(client)) == {}

"""What waited and is refused in its turn: its sender hears of it, and what waited behind goes on."""

from __future__ import annotations

import pytest

from ctrlhub.controller.config import HubConfig
from ctrlhub.wire import messages as m
from tests.support.exchange import Exchange, Line, rows_of
from tests.support.peerage import CLIENT, ENGINE, MULTIENGINE, TASK, a_peer

ONE_FUNCTION = m.Functions(((b"g", b"code"),))


@pytest.fixture
def exchange() -> Exchange:
    """A hub that keeps few requests of a client."""
    return Exchange(HubConfig(max_outstanding=1))


@pytest.fixture
def client(exchange: Exchange) -> Line:
    """A client that has joined."""
    return a_peer(exchange, "client", CLIENT)


@pytest.fixture
def engine(exchange: Exchange) -> Line:
    """An engine that has joined."""
    return a_peer(exchange, "engine", ENGINE)


def without_template(client: Line, counter: int, after: int) -> m.SubmitTasks:
    """Return a submission whose task names a template that there is not."""
    return m.SubmitTasks(
        ((b"f", 0, 3, ""),), ((client.id(counter), 5, b"x"),), ((b"f", b"code"),), after=after
    )


def test_tasks_behind_a_refused_one_go_on(client: Line, engine: Line) -> None:
    """They waited for a command; the refusal leaves behind what the same turn accepts."""
    assert client.say(TASK, without_template(client, 2, client.id(1))) == []
    assert client.submit(3, after=client.id(1)) == []

    answers = client.command(1, 0)

    last = client.id(3)
    assert m.Accepted(((last, last),)) in answers
    assert isinstance(answers[-1], m.Refused)
    assert answers[-1].code == "invalid_request"
    engine.results((client.id(1), 0), stream=MULTIENGINE)
    assert rows_of(engine.heard()) == [(last, 0)]


def test_tasks_that_waited_for_a_function_go_on_too(client: Line, engine: Line) -> None:
    """The same where the function comes, not the command."""
    client.submit(2, function=b"g", functions=())
    client.say(TASK, without_template(client, 3, 0))
    client.submit(4, 5, 6)  # more than twice what may be kept

    answers = client.say(TASK, ONE_FUNCTION)

    refusals = [each.code for each in answers if isinstance(each, m.Refused)]
    assert refusals == ["invalid_request", "limit_exceeded"]
    assert [type(each) for each in answers[-2:]] == [m.Refused, m.Refused]
    assert rows_of(engine.heard()) == [(client.id(2), 0)]


def test_commands_behind_a_refused_one_go_on(client: Line, engine: Line) -> None:
    """They waited for its function."""
    client.command(1, 0, 0, 0, action="apply", function=b"g")  # more than twice what may be kept
    client.command(4, 0)

    answers = client.say(MULTIENGINE, ONE_FUNCTION)

    last = client.id(4)
    assert m.Accepted(((last, last),)) in answers
    assert isinstance(answers[-1], m.Refused)
    assert [each.id for each in engine.heard() if isinstance(each, m.RunCommand)] == [last]


def test_tasks_do_not_wait_for_a_refused_command(client: Line, engine: Line) -> None:
    """It will never be given."""
    client.command(1, 0, 0, 0, action="apply", function=b"g")
    assert client.submit(4, after=client.id(1)) == []

    answers = client.say(MULTIENGINE, ONE_FUNCTION)

    assert isinstance(answers[-1], m.Refused)
    assert rows_of(engine.heard()) == [(client.id(4), 0)]

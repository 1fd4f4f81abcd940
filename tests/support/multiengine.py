"""Command queues, a client and two engines, spoken to by hand."""

from __future__ import annotations

from typing import Any

import pytest

from ctrlhub.wire import messages as m
from tests.support.exchange import Exchange, Line

HUB, STREAM = m.Stream.HUB, m.Stream.MULTIENGINE


@pytest.fixture
def exchange() -> Exchange:
    """A hub that is old enough not to wait for engines of a life before."""
    made = Exchange()
    made.turn()
    made.pass_time(60.0)
    return made


@pytest.fixture
def client(exchange: Exchange) -> Line:
    """A client that has joined."""
    return a_peer(exchange, "client", m.Role.ADMIN)


@pytest.fixture
def engines(exchange: Exchange) -> list[Line]:
    """Two engines that have joined."""
    return [a_peer(exchange, name, m.Role.ENGINE) for name in ("engine 0", "engine 1")]


def a_peer(exchange: Exchange, name: str, role: m.Role) -> Line:
    """Return a peer that has joined."""
    line = Line(exchange, name)
    line.register(role)
    line.heard()
    return line


def begun(engine: Line) -> list[int]:
    """Take the commands that an engine was given."""
    return [run.id for run in engine.heard(m.RunCommand) if isinstance(run, m.RunCommand)]


def ends(engine: Line, number: int, **fields: Any) -> list[m.Message]:
    """Let an engine end a command."""
    return engine.results((number, 0), stream=STREAM, **fields)


def dies(exchange: Exchange, engine: Line) -> None:
    """Let a nanny tell of an engine's death."""
    nanny = a_peer(exchange, "nanny", m.Role.NANNY)
    nanny.say(HUB, m.EngineDied(engine.said.key, engine.said.incarnation, "signal SIGSEGV"))


def hello(line: Line, *held: int) -> list[m.Message]:
    """Say hello, naming what is held."""
    assert line.registered is not None
    ranges = tuple((number, number) for number in held)
    return line.say(STREAM, m.Hello(line.registered.token, ranges))

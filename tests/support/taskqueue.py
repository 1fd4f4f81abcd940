"""A task queue, a client and an engine, spoken to by hand."""

from __future__ import annotations

import pytest

from ctrlhub.wire import messages as m
from tests.support.exchange import Exchange, Line, rows_of

TASK, HUB = m.Stream.TASK, m.Stream.HUB


@pytest.fixture
def exchange() -> Exchange:
    """A hub with nobody there."""
    return Exchange()


@pytest.fixture
def client(exchange: Exchange) -> Line:
    """A client that has joined."""
    line = Line(exchange, "client")
    line.register(m.Role.ADMIN)
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

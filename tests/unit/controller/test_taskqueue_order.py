"""TaskQueue: tasks and commands keep the order in which their client gave them."""

from __future__ import annotations

import pytest

from ctrlhub.controller.config import HubConfig
from ctrlhub.wire import messages as m
from tests.support.exchange import Exchange, Line, rows_of
from tests.support.peers import ScriptedClient, ScriptedEngine
from tests.support.taskqueue import (
    an_engine,
    client,
    engine,
    exchange,
)
from tests.support.world import World

__all__ = ["client", "engine", "exchange"]

TASK, HUB, MULTIENGINE = m.Stream.TASK, m.Stream.HUB, m.Stream.MULTIENGINE


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
    other.register(m.Role.ADMIN)
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
    client.register(m.Role.ADMIN)
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
            for place, each in enumerate(engines):
                count = len(each.ran)
                each.work()
                for number, _ in each.ran[count:]:
                    if number in commands:
                        pushed[place].add(number)
                    else:
                        assert commands[place] in pushed[place], "a task ran before its push"
                world.tick(each)
        world.run()
    assert client.results(client.ends) is not None

"""Interrupting engines: what runs there raises, whoever asked for it."""

from __future__ import annotations

import pytest

from ctrlhub import AsyncResult, Client, InvalidEngineID, RemoteError
from tests.contract.conftest import ENGINES
from tests.support.work import Work

WAIT = 60.0


def interrupted(result: AsyncResult) -> RemoteError:
    """Wait for a result, and return the error that tells of an interrupt."""
    with pytest.raises(RemoteError) as caught:
        result.get(WAIT)
    assert caught.value.ename == "KeyboardInterrupt"
    assert not isinstance(caught.value, KeyboardInterrupt)  # it would end the program
    return caught.value


def test_what_runs_raises_for_those_who_wait(client: Client, other: Client, work: Work) -> None:
    """It was somebody else's; the error tells of a KeyboardInterrupt there: nobody has cancelled it."""
    result = client[0].apply_async(work.endless())
    work.begun("endless")

    other.interrupt(0)

    assert interrupted(result).engine_id == 0
    assert not result.cancelled()


def test_what_waits_behind_it_has_its_turn(client: Client, work: Work) -> None:
    """And the engine keeps its namespace."""
    view = client[0]
    view.push({"x": 5}, block=True)
    first = view.apply_async(work.endless())
    second = view.pull("x")
    work.begun("endless")

    view.interrupt()

    assert second.get(timeout=WAIT) == 5
    interrupted(first)


def test_a_task_before_a_command(client: Client, work: Work) -> None:
    """The task runs, so it is interrupted, and not the command that waits for it to end."""
    view = client.load_balanced_view()
    names = [f"endless {number}" for number in range(ENGINES)]
    tasks = [view.apply_async(work.endless(name)) for name in names]
    for name in names:
        work.begun(name)
    commands = client[:].apply_async(int, "7")

    client.interrupt()

    for task in tasks:
        interrupted(task)
    assert commands.get(WAIT) == [7] * ENGINES


def test_a_task_that_is_interrupted_is_not_run_again(client: Client, work: Work) -> None:
    """However many retries it has: whoever interrupts it wants it to end."""
    view = client.load_balanced_view()
    view.retries = 5
    result = view.apply_async(work.endless())
    work.begun("endless")

    client.interrupt()

    interrupted(result)


def test_where_nothing_runs_nothing_happens(client: Client) -> None:
    """To no command that comes later, either."""
    client.interrupt()

    assert client[:].apply_sync(int, "7") == [7] * ENGINES


def test_an_engine_that_is_not_there(client: Client) -> None:
    """It is said, and nobody is interrupted."""
    with pytest.raises(InvalidEngineID):
        client.interrupt([0, 99])


def test_a_command_that_was_given_just_before(client: Client, work: Work) -> None:
    """It is interrupted although it may not have begun: it was there first."""
    for number in range(20):
        result = client[0].apply_async(work.endless(f"endless {number}"))
        client.interrupt(0)
        interrupted(result)

"""Cancelling: what is queued at once, what runs by an interrupt; nothing else is disturbed."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError
from typing import Any

import pytest

from ctrlhub import AsyncResult, Client, InvalidRequest, RemoteError, TaskAborted
from tests.contract.conftest import ENGINES, AnyCluster
from tests.support.processes import until
from tests.support.work import Work

WAIT = 60.0


@pytest.fixture
def occupied(client: Client, work: Work) -> Iterator[list[AsyncResult]]:
    """Every engine is busy with a command, for the time of the test."""
    held = [view.apply_async(work.held(f"held-{n}")) for n, view in enumerate(client)]
    for n in range(ENGINES):
        work.begun(f"held-{n}")
    yield held
    for n in range(ENGINES):
        work.release(f"held-{n}")
    assert [result.get(WAIT) for result in held] == [f"held-{n}" for n in range(ENGINES)]


def test_only_tasks_have_a_grace(client: Client, occupied: list[AsyncResult]) -> None:
    """A command would take its engine's namespace along: the error says so, and nothing is stopped."""
    waiting = client.load_balanced_view().apply_async(abs, -1)
    for stop in (occupied[0].cancel, lambda grace: client.abort([waiting, occupied[0]], grace=grace)):
        with pytest.raises(ValueError, match="restart"):
            stop(1.0)  # type: ignore[operator]
    for wrong, error in ((-1, ValueError), ("1", TypeError)):
        with pytest.raises(error, match="grace"):
            waiting.cancel(grace=wrong)  # type: ignore[arg-type]
    assert not waiting.done()
    client[0].abort(waiting, grace=5)
    assert_cancelled(waiting)


def assert_cancelled(result: AsyncResult) -> None:
    """It is, by all its names."""
    assert result.wait(WAIT)
    assert (result.done(), result.cancelled(), result.successful()) == (True, True, False)
    with pytest.raises(TaskAborted):
        result.get(0)
    with pytest.raises(CancelledError):
        result.result(0)


@pytest.mark.usefixtures("occupied")
def test_a_queued_task(client: Client) -> None:
    """It is cancelled when `cancel` returns; it never runs, and its neighbours do."""
    view = client.load_balanced_view()
    tasks = [view.apply_async(int, str(n)) for n in range(5)]

    assert tasks[2].cancel() is True
    assert_cancelled(tasks[2])
    assert tasks[2].status == "aborted"
    until(lambda: client.queue_status()["unassigned"] == 4, "the others wait at the hub")
    assert not tasks[1].done()


@pytest.mark.usefixtures("occupied")
def test_a_queued_command(client: Client) -> None:
    """Those behind it run in their order."""
    view = client[1]
    first, second, third = (view.execute(f"x = {n}") for n in range(3))

    assert second.cancel() is True
    assert_cancelled(second)
    assert not first.done()
    assert not third.done()


def test_commands_behind_a_cancelled_one_run(client: Client, work: Work) -> None:
    """Once the engine is free."""
    view = client[0]
    held = view.apply_async(work.held())
    first, second = view.execute("x = 1"), view.execute("x = 2")
    assert second.cancel()
    work.release()

    assert held.get(WAIT) == "held"
    first.get(WAIT)
    assert view["x"] == 1


def test_a_running_task(client: Client, work: Work) -> None:
    """It is interrupted; the engine goes on."""
    result = client.load_balanced_view().apply_async(work.endless())
    work.begun("endless")

    result.cancel()

    assert_cancelled(result)
    assert client[:].apply_sync(int, "7") == [7] * ENGINES


def test_tasks_in_stock_with_busy_engines(client: Client, work: Work) -> None:
    """They wait as the others do: each is cancelled when `cancel` says so, and never runs."""
    view, endless = client.load_balanced_view(), work.endless()

    def either(occupies: bool) -> None:
        if occupies:
            endless()

    view.map_sync(either, [False] * 100)  # quick, so that engines are given several ahead
    running = [view.apply_async(either, True) for _ in range(ENGINES)]
    work.begun("endless")
    until(lambda: all(each.running() for each in running), "all engines are busy")
    waiting = [view.apply_async(either, False) for _ in range(10)]

    assert [each.cancel() for each in waiting] == [True] * 10
    client.abort(running)
    for each in running:
        assert_cancelled(each)


def test_a_running_command(client: Client, work: Work) -> None:
    """On all its engines."""
    calls = [view.apply_async(work.endless(f"endless-{n}")) for n, view in enumerate(client)]
    group = client[:].apply_async(work.endless("group"))
    for n in range(ENGINES):
        work.begun(f"endless-{n}")
    for call in calls:
        call.cancel()
        assert_cancelled(call)
    work.begun("group")
    group.cancel()

    assert_cancelled(group)
    assert group.status == ["aborted"] * ENGINES
    assert client[:].apply_sync(int, "7") == [7] * ENGINES


def test_a_map_under_way(client: Client, work: Work) -> None:
    """What runs and what waits; what was done before stays done."""
    endless = work.endless()
    result = client.load_balanced_view().map_async(lambda n: n if n == 0 else endless(), range(100))
    until(lambda: result.progress, "the first item is done")
    work.begun("endless")

    result.cancel()

    assert result.wait(WAIT)
    assert result.cancelled()
    assert result[0] == 0
    with pytest.raises(TaskAborted):
        result.get(0)
    assert set(result.status[1:]) == {"aborted"}


def test_a_map_of_which_most_has_not_left(client: Client, work: Work) -> None:
    """What is still on its way to the hub, or has not left, does not run either."""
    endless = work.endless()

    def items() -> Iterator[int]:
        yield 0
        work.begun("endless")
        yield from range(30_000)

    result = client.load_balanced_view().map_async(lambda n: endless(), items())

    result.cancel()

    assert result.wait(WAIT)
    assert set(result.status) == {"aborted"}


def test_a_task_that_does_not_heed_an_interrupt(client: Client, work: Work) -> None:
    """It ends as it wants to, and its result is kept."""
    endless = work.endless()

    def stubborn() -> str:
        with contextlib.suppress(KeyboardInterrupt):
            endless()
        return "I go when I like"

    result = client.load_balanced_view().apply_async(stubborn)
    work.begun("endless")
    assert result.cancel() is False

    assert result.get(WAIT) == "I go when I like"
    assert not result.cancelled()


def test_a_task_that_raises_when_interrupted(client: Client, work: Work) -> None:
    """Its own error is the result."""
    endless = work.endless()

    def offended() -> None:
        try:
            endless()
        except KeyboardInterrupt:
            raise ValueError("how dare you") from None

    result = client[0].apply_async(offended)
    work.begun("endless")
    result.cancel()

    with pytest.raises(ValueError, match="how dare you") as caught:
        result.get(WAIT)
    assert isinstance(caught.value, RemoteError)


def test_a_task_that_was_just_submitted(client: Client, work: Work) -> None:
    """However far it has come: afterwards it is done, one way or the other."""
    view = client.load_balanced_view()
    for _ in range(50):
        result = view.apply_async(int, "7")
        is_cancelled = result.cancel()
        assert result.wait(WAIT)
        if is_cancelled or result.cancelled():  # an engine may have it, and not have begun
            assert_cancelled(result)
        else:
            assert result.get(0) == 7


def test_all_of_a_client_s_requests(client: Client, work: Work) -> None:
    """`abort` stops everything that it has out, of both interfaces."""
    command = client[0].apply_async(work.endless())
    tasks = client.load_balanced_view().map_async(work.endless, range(1))
    view = client.load_balanced_view()
    more = [view.apply_async(work.endless(f"task-{n}")) for n in range(10)]
    work.begun("endless")

    client.abort()

    assert tasks.wait(WAIT)
    for result in (command, *more):
        assert_cancelled(result)


def catching(work: Work, answer: Callable[[], Any]) -> Callable[[], Any]:
    """Return work that answers an interrupt, in place of ending with it."""
    endless = work.endless()

    def run() -> Any:
        try:
            endless()
        except KeyboardInterrupt:
            return answer()

    return run


@pytest.mark.parametrize("stop", ["cancel", "abort"])
def test_a_task_that_catches_the_interrupt_ends_as_it_likes(
    client: Client, work: Work, stop: str
) -> None:
    """With its value, as a task of asyncio does: it is not cancelled, though it was asked to end."""
    result = client.load_balanced_view().apply_async(catching(work, lambda: "half of it"))
    work.begun("endless")

    if stop == "cancel":
        assert not result.cancel()
    else:
        client.abort(result)

    assert result.get(WAIT) == "half of it"
    assert (result.cancelled(), result.status) == (False, "ok")


def test_a_task_that_raises_something_else_is_not_tried_again(client: Client, work: Work) -> None:
    """Nobody wants it any more; its error is told."""
    view = client.load_balanced_view(retries=5)
    result = view.apply_async(catching(work, lambda: {}["rest"]))
    work.begun("endless")

    client.abort(result)

    with pytest.raises(KeyError, match="rest"):
        result.get(WAIT)
    assert not result.cancelled()


def test_what_waited_is_cancelled_when_abort_returns(client: Client, work: Work) -> None:
    """Also where others, which run, are still to end."""
    view = client.load_balanced_view()
    running = [view.apply_async(work.endless(f"endless-{n}")) for n in range(ENGINES)]
    for n in range(ENGINES):
        work.begun(f"endless-{n}")
    waiting = [view.apply_async(abs, -n) for n in range(500)]
    commands = [client[0].apply_async(abs, -n) for n in range(20)]

    client.abort([*running, *waiting, *commands])

    # The first command is with its engine, which alone knows that it has not begun.
    assert all(result.cancelled() for result in (*waiting, *commands[1:]))
    for result in (*running, commands[0]):
        assert_cancelled(result)


def test_requests_by_their_ids(client: Client, work: Work) -> None:
    """As `msg_ids` names them; one that is unknown is nothing to stop."""
    result = client[0].apply_async(work.endless())
    work.begun("endless")

    client.abort([*result.msg_ids, "7-7"])

    assert_cancelled(result)


@pytest.mark.usefixtures("occupied")
def test_nobody_cancels_the_requests_of_others(client: Client, other: Client) -> None:
    """Clients share engines, not requests."""
    task = client.load_balanced_view().apply_async(int)
    command = client[0].apply_async(int)
    until(lambda: client.queue_status()["unassigned"] == 1, "the task is at the hub")
    until(lambda: client.queue_status(0)[0]["queue"] == 2, "so is the command")
    numbers = [[n, n] for result in (task, command) for n in result._numbers()]

    until(lambda: client.queue_status()["unassigned"] == 1, "the task is there")
    for name, method in (("tasks", "cancel"), ("multiengine", "abort")):
        answer = getattr(other.interface(name), method)(requests=numbers)
        assert not any(answer.values())
    until(lambda: client.queue_status()["unassigned"] == 1, "the task waits at the hub")
    assert not task.done()
    assert not command.done()


def test_requests_of_another_client(client: Client, other: Client, work: Work) -> None:
    """By their ids: what waits is cancelled, what runs is interrupted; their client is told as usual."""
    task = client.load_balanced_view(targets=1).apply_async(work.endless("task"))
    command, behind = client[0].apply_async(work.endless("command")), client[0].execute("x = 1")
    work.begun("task")
    work.begun("command")
    done = client[2].apply_async(int, "7")
    assert done.get(WAIT) == 7
    names = [each.msg_ids[0] for each in (command, behind, done, task)]

    with pytest.raises(InvalidRequest, match="cancel_requests"):
        other.abort(names[0])
    stopped = other.cancel_requests([*names, "1-77"])

    assert stopped["unknown"] == ["1-77"]
    assert stopped["finished"] == [names[2]]
    assert stopped["cancelled"] == [names[1]]
    assert set(stopped["interrupted"]) == {names[0], names[3]}
    for result in (task, command, behind):
        assert_cancelled(result)
    assert other.cancel_requests(names[0]) == {
        "cancelled": [], "interrupted": [], "finished": [names[0]], "unknown": [],
    }  # fmt: skip


def test_requests_of_a_client_that_is_gone(cluster: AnyCluster, client: Client, work: Work) -> None:
    """What it has left behind can be stopped, too; whoever attaches to its session finds it cancelled."""
    former = cluster.connect_client_sync()
    task = former.load_balanced_view(targets=1).apply_async(work.endless("task"))
    waiting = former.load_balanced_view(targets=1).apply_async(int, "7")
    work.begun("task")
    names, session = [task.msg_ids[0], waiting.msg_ids[0]], former.session
    former.detach()

    stopped = client.cancel_requests(names)

    assert {*stopped["cancelled"], *stopped["interrupted"]} == set(names)
    successor = cluster.connect_client_sync(session=session)
    try:
        for name in names:
            assert_cancelled(successor.get_result(name))
    finally:
        successor.close()

"""AsyncClient: the views as coroutines, on every transport."""

from __future__ import annotations

import asyncio
import gc
import threading
import weakref
from contextlib import aclosing
from itertools import count
from typing import Any

import pytest

from ctrlhub import (
    AsyncClient,
    AsyncResult,
    Client,
    Cluster,
    ConnectionFileError,
    InvalidEngineID,
    RemoteError,
    SerializationError,
    SessionClosed,
    TaskCancelled,
)
from tests.contract.conftest import ENGINES, AnyCluster
from tests.support.coroutines import odd, run
from tests.support.http_cluster import HttpCluster
from tests.support.processes import until
from tests.support.work import Work

WAIT = 60.0


# ---------------------------------------------------------------- calls


def test_tasks(client: Client) -> None:
    """Values are returned, and errors raised, of single calls, of many at once, and of maps."""

    async def main() -> None:
        view = AsyncClient(client=client).load_balanced_view()
        assert await view.apply(int, "7") == 7
        assert await view.apply(int, "11", base=2) == 3
        assert await asyncio.gather(*(view.apply(int, str(n)) for n in range(300))) == [*range(300)]
        assert await view.map(pow, [2, 3], [3, 2]) == [8, 9]
        assert await view.map(int, "1234", chunksize=3) == [1, 2, 3, 4]
        with pytest.raises(ValueError, match="4"):
            await view.apply(odd, 4)
        with pytest.raises(SerializationError):
            await view.apply(int, threading.Lock())
        result = view.apply_async(int, "5")
        assert isinstance(result, AsyncResult)
        assert await result == await result == 5
        assert [v async for v in view.map_async(int, "123")] == [1, 2, 3]

    run(main())


def test_commands(client: Client) -> None:
    """Names, code, parts of sequences: on one engine, on several, on all."""

    async def main() -> None:
        rc = AsyncClient(client=client)
        everywhere = rc[:]
        await everywhere.push({"a": 6})
        assert await everywhere.pull("a") == [6] * ENGINES
        await rc[0].execute("b = a * 7")
        assert await rc[0].pull("b") == 42
        assert await rc.direct_view().pull("b", targets=0) == 42
        await everywhere.scatter("x", range(10))
        assert await everywhere.gather("x") == [*range(10)]
        assert await everywhere.apply(len, "abc") == [3] * ENGINES
        assert await everywhere.map(int, "12345") == [1, 2, 3, 4, 5]
        assert [v async for v in everywhere.imap(int, "12345")] == [1, 2, 3, 4, 5]
        assert await rc.broadcast_view().apply(len, "") == [0] * ENGINES
        assert [await view.apply(len, "") for view in rc] == [0] * ENGINES
        with pytest.raises(NameError):
            await rc[1].pull("b")
        with pytest.raises(InvalidEngineID):
            await everywhere.pull("a", targets=99)
        with pytest.raises(InvalidEngineID):
            await everywhere.pull("a", 99)
        with pytest.raises(TypeError, match="block"):
            await everywhere.pull("a", block=True)
        await rc.clear()
        with pytest.raises(NameError):
            await rc[0].pull("b")

    run(main())


def test_flags(client: Client) -> None:
    """They are attributes, as of other views; there is no `block`, whatever the client's is."""
    client.block = True

    async def main() -> None:
        rc = AsyncClient(client=client)
        view = rc.load_balanced_view(retries=2, label="mine")
        assert (view.retries, view.label) == (2, "mine")
        view.priority = 3
        with view.temp_flags(priority=4):
            assert view.priority == 4
        assert view.priority == 3
        result = view.apply_async(int, "7")
        assert await result == 7
        assert result.metadata.label == "mine"
        direct = rc.direct_view([0, 1])
        assert direct.targets == [0, 1]
        assert (len(direct), len(view), len(rc)) == (2, ENGINES, ENGINES)
        assert await direct.apply(len, "") == [0, 0]
        for wrong in (lambda: view.set_flags(block=True), lambda: setattr(view, "speed", 1)):
            with pytest.raises(TypeError):
                wrong()
        with pytest.raises(TypeError, match="block"), view.temp_flags(block=True):
            pass
        with pytest.raises(AttributeError):
            view.block  # noqa: B018

    run(main())


def test_questions(client: Client) -> None:
    """What is asked of the hub is awaited, too."""

    async def main() -> None:
        rc = AsyncClient(client=client)
        view = rc.load_balanced_view()
        result = view.apply_async(int, "7")
        assert await rc.wait(result)
        assert await rc.wait()
        assert await (await rc.get_result(result.msg_id)) == 7
        assert (await rc.queue_status())["unassigned"] == 0
        assert len((await rc.status())["engines"]) == ENGINES
        assert rc.ids == [*range(ENGINES)]
        await rc.wait_for_engines(ENGINES, timeout=WAIT)
        with pytest.raises(TimeoutError):
            await rc.wait_for_engines(99, timeout=0.01)
        assert (await rc.result_status(result.msg_id))["completed"] == [result.msg_id]

    run(main())


# ---------------------------------------------------------------- maps as they come


def test_imap_without_an_end(client: Client) -> None:
    """Few tasks are out at a time; the rest is stopped when the iteration is given up."""
    read = []

    def numbers() -> Any:
        for n in count(1):
            read.append(n)
            yield n

    async def main() -> None:
        view = AsyncClient(client=client).load_balanced_view()
        got = []
        async with aclosing(view.imap(abs, numbers(), max_outstanding=4)) as values:
            async for value in values:
                got.append(value)
                if value == 50:
                    break
        assert got == [*range(1, 51)]
        assert len(read) <= 54

    run(main())


def test_imap_in_any_order(client: Client, work: Work) -> None:
    """A value that is there does not wait for one that is not."""

    async def main() -> None:
        held = work.held()
        view = AsyncClient(client=client).load_balanced_view()
        values = view.imap(lambda n: n or held(), [0, 1, 2], ordered=False)
        assert {await anext(values), await anext(values)} == {1, 2}
        work.release()
        assert await anext(values) == "held"
        with pytest.raises(StopAsyncIteration):
            await anext(values)

    run(main())


def test_imap_with_errors(client: Client) -> None:
    """An error ends it, or is among the values; so does an error of the sequence."""

    def broken() -> Any:
        yield 1
        raise LookupError("no more")

    async def main() -> None:
        view = AsyncClient(client=client).load_balanced_view()
        with pytest.raises(ValueError, match="2"):
            [v async for v in view.imap(odd, [1, 2, 3])]
        found = [v async for v in view.imap(odd, [1, 2, 3], return_exceptions=True)]
        assert [isinstance(v, ValueError) for v in found] == [False, True, False]
        values = view.imap(odd, broken())
        assert await anext(values) == 1
        with pytest.raises(LookupError, match="no more"):
            await anext(values)
        with pytest.raises(TypeError, match="sequence"):
            [v async for v in view.imap(odd)]
        assert [v async for v in view.imap(odd, [])] == []

    run(main())


def test_imap_over_what_comes_in_its_own_time(client: Client) -> None:
    """Values are there before the next row is; few are out; the source is closed in the end."""
    closed: list[bool] = []

    async def main() -> None:
        view = AsyncClient(client=client).load_balanced_view()
        seen: asyncio.Queue[int] = asyncio.Queue()

        async def echo() -> Any:
            try:
                yield 0
                while True:
                    yield await seen.get() + 1
            finally:
                closed.append(True)

        for ordered in (True, False):
            got = []
            async with aclosing(view.imap(pow, echo(), count(1), ordered=ordered)) as values:
                async for value in values:
                    got.append(value)
                    if len(got) == 3:
                        break
                    seen.put_nowait(value)
            assert got == [0, 1, 8]
        assert closed == [True, True]

        async def few() -> Any:
            for n in range(20):
                yield n

        assert [v async for v in view.imap(abs, few(), max_outstanding=3)] == [*range(20)]
        assert [v async for v in view.imap(pow, few(), [2, 2, 2])] == [0, 1, 4]

        async def broken() -> Any:
            yield 1
            raise LookupError("no more")

        values = view.imap(abs, broken())
        assert await anext(values) == 1
        with pytest.raises(LookupError, match="no more"):
            await anext(values)
        with pytest.raises(ValueError, match="0"):
            [v async for v in view.imap(odd, few())]

    run(main())
    assert client.wait(timeout=WAIT)


def test_nothing_asks_the_hub_in_the_loop(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """Views and calls go by what is known; whoever is awaited asks in a thread."""
    connection, loops = client._connection, []
    ask = connection.call

    def call(*given: Any, **more: Any) -> Any:
        loops.append(asyncio._get_running_loop())
        return ask(*given, **more)

    monkeypatch.setattr(connection, "call", call)
    monkeypatch.setattr(type(connection._session), "may_miss_engines", True)

    async def main() -> None:
        rc = await AsyncClient(client=client)
        assert (len(rc), len(rc[:]), len(rc.load_balanced_view())) == (ENGINES,) * 3
        assert [len(view) for view in rc] == [1] * ENGINES
        with pytest.raises(InvalidEngineID):
            rc[99]
        with pytest.raises(InvalidEngineID):
            rc.load_balanced_view([99])
        result = rc[:].apply_async(abs, -1)
        assert await result == [1] * ENGINES
        assert await rc.direct_view("all").map(abs, range(-4, 0)) == [4, 3, 2, 1]
        with pytest.raises(InvalidEngineID):
            await rc[0].pull("a", targets=99)
        assert [v async for v in rc[:].imap(abs, [1, 2])] == [1, 2]

    run(main())
    assert loops
    assert loops == [None] * len(loops)


# ---------------------------------------------------------------- being stopped


@pytest.mark.usefixtures("needs_processes")
def test_who_is_cancelled_cancels(client: Client, work: Work) -> None:
    """A cancelled task of asyncio stops what it awaits; so does one that iterates."""

    async def main() -> None:
        view = AsyncClient(client=client).load_balanced_view()
        running = asyncio.create_task(view.apply(work.endless()))
        await asyncio.to_thread(work.begun, "endless")
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running

        async def iterate() -> None:
            async for _ in view.imap(lambda f: f(), [work.endless("second")]):
                pass

        iterating = asyncio.create_task(iterate())
        await asyncio.to_thread(work.begun, "second")
        iterating.cancel()
        with pytest.raises(asyncio.CancelledError):
            await iterating

    run(main())
    assert client.wait(timeout=WAIT)


@pytest.mark.usefixtures("needs_processes")
def test_a_wait_that_is_given_up_stops_nothing(client: Client, work: Work) -> None:
    """`AsyncClient.wait` looks on only."""

    async def main() -> None:
        rc = AsyncClient(client=client)
        result = rc.load_balanced_view().apply_async(work.held())
        assert not await rc.wait(result, timeout=0.01)
        waiting = asyncio.create_task(rc.wait(result))
        await asyncio.sleep(0)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        work.release()
        assert await result == "held"

    run(main())


def test_aborted(client: Client, work: Work) -> None:
    """What was stopped raises so where it is awaited."""

    async def main() -> None:
        rc = AsyncClient(client=client)
        holding = rc[0].apply_async(work.held())
        queued = rc[0].apply_async(len, "")
        await rc.abort(queued)
        with pytest.raises(TaskCancelled):
            await queued
        work.release()
        assert await holding == "held"

    run(main())


# ---------------------------------------------------------------- what apply returns


def test_a_call_is_made_at_once(client: Client, work: Work) -> None:
    """It runs before anybody awaits it, and many at once take no tasks of asyncio."""

    async def main() -> None:
        view = AsyncClient(client=client).load_balanced_view()
        first, tasks = view.apply(work.held()), asyncio.all_tasks()
        await asyncio.to_thread(work.begun, "held")
        together = asyncio.gather(*(view.apply(int, str(n)) for n in range(100)))
        assert asyncio.all_tasks() == tasks
        work.release()
        assert await together == [*range(100)]
        assert await first == await first == "held"

    run(main())


def test_a_call_is_a_future_and_a_coroutine(client: Client) -> None:
    """It can be given to whatever takes one or the other."""

    async def main() -> None:
        rc = AsyncClient(client=client)
        view = rc.load_balanced_view()
        assert await asyncio.create_task(view.apply(int, "7")) == 7
        async with asyncio.TaskGroup() as group:
            task = group.create_task(view.apply(int, "8"))
        assert task.result() == 8
        assert await asyncio.ensure_future(view.apply(int, "9")) == 9
        assert await asyncio.wait_for(view.apply(int, "1"), WAIT) == 1
        assert await asyncio.shield(rc[:].apply(int, "2")) == [2] * ENGINES
        calls = [view.apply(int, str(n)) for n in range(5)]
        assert sorted([await each for each in asyncio.as_completed(calls)]) == [*range(5)]
        with pytest.raises(ValueError, match="4"):
            await asyncio.create_task(view.apply(odd, 4))

    run(main())
    outside = AsyncClient(client=client).load_balanced_view().apply(int, "5")
    assert asyncio.run(outside) == 5


def test_errors_of_calls(client: Client) -> None:
    """They come where the call is awaited, whatever they are; what nobody asks for is told."""
    told: list[dict[str, Any]] = []

    async def main() -> None:
        view = AsyncClient(client=client).load_balanced_view()
        calls = view.apply(int, threading.Lock()), view.apply(odd, 4), view.apply(odd, 5)
        refused, raised, value = await asyncio.gather(*calls, return_exceptions=True)
        assert isinstance(refused, SerializationError)
        assert isinstance(raised, ValueError)
        assert value == 5
        with pytest.raises(RemoteError, match="StopIteration"):
            await view.apply(next, iter(()))
        asyncio.get_running_loop().set_exception_handler(lambda _, context: told.append(context))
        del calls, raised, refused
        lost = view.apply(odd, 4)
        while not lost.done():  # type: ignore[attr-defined]
            await asyncio.sleep(0.001)
        del lost
        while not told:
            gc.collect()
            await asyncio.sleep(0.001)

    run(main())
    assert len(told) == 1
    assert "never retrieved" in told[0]["message"]


@pytest.mark.usefixtures("needs_processes")
def test_a_cancelled_call(client: Client, work: Work) -> None:
    """What runs is stopped, by whichever way it is cancelled; `shield` keeps it from that."""

    async def main() -> None:
        view = AsyncClient(client=client).load_balanced_view()
        running = view.apply(work.endless())
        await asyncio.to_thread(work.begun, "endless")
        assert running.cancel()  # type: ignore[attr-defined]
        with pytest.raises(asyncio.CancelledError):
            await running
        assert not running.cancel()  # type: ignore[attr-defined]

        together = asyncio.gather(view.apply(work.endless("second")), view.apply(int, "7"))
        await asyncio.to_thread(work.begun, "second")
        together.cancel()
        with pytest.raises(asyncio.CancelledError):
            await together

        with pytest.raises(TimeoutError):
            await asyncio.wait_for(view.apply(work.endless("third")), 0.01)
        given_up = view.apply(work.endless("fourth"))
        given_up.close()

        kept = view.apply(work.held())
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(asyncio.shield(kept), 0.01)
        work.release()
        assert await kept == "held"

    run(main())
    assert client.wait(timeout=WAIT)


def test_calls_of_a_loop_that_ends_early(client: Client, work: Work) -> None:
    """They end all the same, and nothing of them is kept."""
    left: list[weakref.ref[Any]] = []

    async def leave() -> None:
        view = AsyncClient(client=client).load_balanced_view()
        left.extend([weakref.ref(view.apply(work.held())), weakref.ref(view.apply(int, "7"))])

    run(leave())
    work.release()
    assert client.wait(timeout=WAIT)
    until(lambda: gc.collect() >= 0 and all(each() is None for each in left), "gone")


def test_calls_that_came_leave_no_cycles(client: Client) -> None:
    """A value that was awaited goes with the last reference to it, without the collector."""

    async def main() -> None:
        view = AsyncClient(client=client).load_balanced_view()
        calls = [view.apply(set, [n]) for n in range(20)]
        values = [weakref.ref(value) for value in await asyncio.gather(*calls)]
        del calls
        await asyncio.sleep(0)  # the loop's handle of this very step has them as well
        until(lambda: all(each() is None for each in values), "gone")  # the I/O thread, too

    gc.disable()
    try:
        run(main())
    finally:
        gc.enable()


# ---------------------------------------------------------------- loops, and life


def test_many_loops(client: Client) -> None:
    """One after another, and several threads' at once, each with the same client."""
    rc = AsyncClient(client=client)
    view = rc.load_balanced_view()

    async def main() -> int:
        return sum(await asyncio.gather(*(view.apply(int, str(n)) for n in range(50))))

    assert [run(main()) for _ in range(3)] == [1225] * 3
    sums: list[int] = []
    threads = [threading.Thread(target=lambda: sums.append(run(main()))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(WAIT)
    assert sums == [1225] * 4


def test_a_loop_that_ends_early(client: Client, work: Work) -> None:
    """A result that comes when the loop has gone harms nobody."""

    async def leave() -> None:
        result = client.load_balanced_view().apply_async(work.held())
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(asyncio.shield(result), 0.01)

    run(leave())
    work.release()
    assert client.wait(timeout=WAIT)
    assert client.load_balanced_view().apply_sync(int, "7") == 7


@pytest.mark.usefixtures("needs_processes")
def test_its_own_connection(cluster: AnyCluster, client: Client) -> None:
    """It connects as it is entered or awaited, and leaves the hub; a client given is left open."""
    if isinstance(cluster, HttpCluster):
        where: Any = cluster.link
    else:
        assert isinstance(cluster, Cluster)
        assert cluster._claim is not None
        where = cluster._claim.profile.connection_client

    async def main() -> None:
        async with AsyncClient(where) as rc:
            assert await rc.load_balanced_view().apply(int, "7") == 7
        assert rc.closed
        with pytest.raises(SessionClosed):
            await rc.load_balanced_view().apply(int, "7")
        rc = await AsyncClient(where)
        assert await rc[0].apply(int, "7") == 7
        await rc.close()
        async with AsyncClient(client=client) as rc:
            assert rc.client is client
        assert not client.closed

    run(main())


def test_bad_beginnings() -> None:
    """Errors say what to do."""
    rc = AsyncClient("no/such/file.json")
    with pytest.raises(RuntimeError, match="async with"):
        rc.load_balanced_view()
    with pytest.raises(ConnectionFileError, match="start"):
        run(rc.connect())
    with pytest.raises(TypeError, match="alone"):
        AsyncClient("somewhere", client=object())  # type: ignore[arg-type]


def test_a_closed_client(cluster: AnyCluster) -> None:
    """What is awaited when its client is closed ends with an error."""
    client = cluster.connect_client_sync()

    async def main() -> None:
        rc = AsyncClient(client=client)
        waiting = asyncio.create_task(rc.wait_for_engines(99))
        await asyncio.sleep(0)
        await asyncio.to_thread(client.close)
        with pytest.raises(SessionClosed):
            await waiting

    run(main())
    until(lambda: client.closed, "it is closed")

"""Results to come: in parts, together, in asyncio, and what they tell of themselves."""

from __future__ import annotations

import asyncio
import concurrent.futures
from datetime import datetime

import pytest

from ctrlhub import (
    ALL_COMPLETED,
    FIRST_COMPLETED,
    FIRST_EXCEPTION,
    AsyncResult,
    Client,
    CompositeError,
    ResultNotCompleted,
    TaskCancelled,
)
from tests.contract.conftest import ENGINES
from tests.support.coroutines import odd, run
from tests.support.processes import until
from tests.support.work import Work

WAIT = 60.0


# ---------------------------------------------------------------- parts


def test_exceptions_in_the_place_of_values(client: Client) -> None:
    """For one engine, for several, for maps by item and by chunk."""
    view = client.load_balanced_view()
    found = view.map_async(odd, range(4)).get(WAIT, return_exceptions=True)
    assert [isinstance(value, ValueError) for value in found] == [True, False, True, False]
    chunks = view.map_async(odd, [1, 3, 2, 5], chunksize=2).get(WAIT, return_exceptions=True)
    assert [isinstance(value, ValueError) for value in chunks] == [False, False, True, False]
    assert isinstance(client[0].apply_async(odd, 0).get(return_exceptions=True), ValueError)
    several = client[:].apply_async(odd, 0).get(WAIT, return_exceptions=True)
    assert [str(value) for value in several] == ["0"] * ENGINES
    by_engine = client[:].apply_async(odd, 1).get_dict(WAIT)
    assert by_engine == dict.fromkeys(range(ENGINES), 1)


def test_the_first_error_is_raised_at_once(client: Client, work: Work) -> None:
    """While another engine still runs."""
    held = work.held()
    client[:].scatter("place", range(ENGINES), flatten=True, block=True)

    def fail_or_wait() -> None:
        if eval("place") == 0:
            held()
        raise ValueError("early")

    result = client[:].apply_async(fail_or_wait)
    with pytest.raises(ValueError, match="early"):
        result.get(WAIT, return_when=FIRST_EXCEPTION)
    assert not result.done()
    done, pending = result.wait_interactive(timeout=WAIT, return_when=FIRST_EXCEPTION)
    assert done
    assert result.split()[0] in pending
    work.release()
    assert result.wait(WAIT)


def test_split_and_join(client: Client) -> None:
    """The parts of a result are results; several results are one."""
    whole = client[:].apply_async(int, "7")
    parts = whole.split()
    assert parts == whole.split()
    assert [part.get(WAIT) for part in parts] == [7] * ENGINES
    assert [part.msg_id for part in parts] == whole.msg_ids
    assert [part.engine_id for part in parts] == list(range(ENGINES))
    tasks = [client.load_balanced_view().apply_async(int, text) for text in "12"]
    joined = AsyncResult.join(*tasks, whole)
    assert joined.get(WAIT) == [1, 2] + [7] * ENGINES
    assert len(joined) == 2 + ENGINES
    assert AsyncResult.join(whole) is whole
    assert tasks[0].split() == (tasks[0],)
    with pytest.raises(ValueError, match="at least one"):
        AsyncResult.join()


def test_wait_for_some(client: Client) -> None:
    """As `concurrent.futures.wait` does, whose functions take results, too."""
    view = client.load_balanced_view()
    result = view.map_async(int, "123")
    done, pending = result.wait(WAIT, return_when=ALL_COMPLETED)
    assert (len(done), len(pending)) == (3, 0)
    done, _ = result.wait(WAIT, return_when=FIRST_COMPLETED)
    assert done
    assert {f.result() for f in concurrent.futures.as_completed(result.split(), WAIT)} == {1, 2, 3}
    with pytest.raises(ValueError, match="FIRST"):
        result.get(return_when="FIRST")
    with pytest.warns(UserWarning, match="whole"):
        assert result.get(return_when=FIRST_COMPLETED) == [1, 2, 3]


# ---------------------------------------------------------------- asyncio


def test_await(client: Client) -> None:
    """One, several at once, of any view; errors are raised."""
    view = client.load_balanced_view()

    async def main() -> None:
        assert await view.apply_async(int, "7") == 7
        assert await client[:].apply_async(int, "7") == [7] * ENGINES
        assert await view.map_async(int, "123") == [1, 2, 3]
        three = [view.apply_async(int, text) for text in "123"]
        assert await asyncio.gather(*three) == [1, 2, 3]
        assert await three[0] == 1, "also when it is done"
        with pytest.raises(ValueError, match="4"):
            await view.apply_async(odd, 4)
        assert await asyncio.wrap_future(view.apply_async(int, "5")) == 5

    run(main())


def test_async_for(client: Client) -> None:
    """Values come in order, or as they arrive."""
    view = client.load_balanced_view()

    async def main() -> None:
        assert [v async for v in client[:].apply_async(int, "7")] == [7] * ENGINES
        assert [v async for v in view.map_async(int, "12345", chunksize=2)] == [1, 2, 3, 4, 5]
        unordered = view.map_async(int, "12345", ordered=False)
        assert sorted([v async for v in unordered]) == [1, 2, 3, 4, 5]
        with pytest.raises(ValueError, match="2"):
            [v async for v in view.map_async(odd, [1, 2, 3])]
        with pytest.raises(TypeError):
            [v async for v in view.apply_async(list)]  # type: ignore[attr-defined]

    run(main())


def test_values_come_while_others_run(client: Client, work: Work) -> None:
    """An asynchronous iteration does not wait for the whole."""

    async def main() -> None:
        held = work.held()
        result = client.load_balanced_view().map_async(lambda n: n and held(), [0, 1])
        values = aiter(result)
        assert await anext(values) == 0
        assert not result.done()
        work.release()
        assert await anext(values) == "held"

    run(main())


@pytest.mark.usefixtures("needs_processes")
def test_who_is_cancelled_cancels(client: Client, work: Work) -> None:
    """A cancelled task of asyncio stops the call that it awaits; a shielded one goes on."""
    view = client.load_balanced_view()

    async def main() -> None:
        running = view.apply_async(work.endless())
        shielded = view.apply_async(int, "7")
        await asyncio.to_thread(work.begun, "endless")
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(running, 0.01)
        assert running.wait(WAIT)
        assert running.cancelled()
        with pytest.raises(TaskCancelled):
            await running
        outer = asyncio.ensure_future(asyncio.shield(shielded))
        await asyncio.sleep(0)
        outer.cancel()
        assert await shielded == 7

    run(main())


# ---------------------------------------------------------------- what is known


def test_metadata_are_attributes(client: Client) -> None:
    """One item of a single request, a list of several; by index, too."""
    one, several = client[1].apply_async(list, "ab"), client[:].apply_async(list, "ab")
    one.get(WAIT), several.get(WAIT)
    assert one.engine_id == one["engine_id"] == one.metadata.engine_id == 1
    assert several.engine_id == several["engine_id"] == list(range(ENGINES))
    assert one.msg_id == one.msg_ids[0]
    assert one[0] == "a"
    assert several[1:] == [["a", "b"]] * (ENGINES - 1)
    assert several.label == [None] * ENGINES
    with pytest.raises(AttributeError, match="no attribute 'speed'"):
        one.speed  # noqa: B018
    assert not hasattr(one, "_no_such_slot")


def test_times(client: Client) -> None:
    """All with a time zone; their differences are seconds, of one or of all."""
    result = client[:].apply_async(int, "7")
    result.get(WAIT)
    moments = [result.submitted[0], result.started[0], result.completed[0], result.received[0]]
    assert all(isinstance(m, datetime) and m.tzinfo for m in moments)
    assert result.timedelta(result.submitted, result.received) > 0
    assert result.timedelta(result.submitted[0], result.received[0]) > 0
    assert result.timedelta(result.started, result.started, max, min) <= 0
    assert result.serial_time >= 0
    assert result.elapsed == result.wall_time


def test_which_engine_it_was(client: Client) -> None:
    """By id and by key: in the metadata, in what was raised, and in the hub's records."""
    result = client[:].apply_async(int, "no number")
    with pytest.raises(CompositeError) as caught:
        result.get(WAIT)
    uuids = result.engine_uuid
    assert len(set(uuids)) == ENGINES
    assert all(isinstance(uuid, str) for uuid in uuids)
    assert [info["engine_uuid"] for *_, info in caught.value.elist] == uuids
    found = client.db_query({"engine_uuid": uuids[1], "msg_id": {"$in": result.msg_ids}})
    assert [each["msg_id"] for each in found] == [result.msg_ids[1]]


def test_asked_too_early(client: Client, work: Work) -> None:
    """Errors that say so; what is known at any time is told."""
    result = client[0].apply_async(work.held())
    for ask in (result.successful, lambda: result.wall_time):
        with pytest.raises(ResultNotCompleted):
            ask()
        with pytest.raises(RuntimeError):
            ask()
    assert result.started is None
    assert result.elapsed > 0
    assert result.sent
    assert result.wait_for_send()
    work.release()
    result.get(WAIT)
    assert result.successful()


def test_what_runs_says_so(client: Client, work: Work) -> None:
    """A task or a command, until it has ended; what waits behind it does not, nor what has ended."""
    view = client.load_balanced_view(client.ids[0])
    for submit, name in ((view.apply_async, "task"), (client[0].apply_async, "command")):
        held, behind = submit(work.held(name)), submit(abs, -1)
        assert not behind.running()
        work.begun(name)
        until(held.running, "the hub knows that it runs")
        work.release(name)
        assert (held.get(WAIT), behind.get(WAIT)) == (name, 1)
        assert not held.running()
        assert not behind.running()


def test_a_callback_does_not_wait_for_whether_something_runs(client: Client, work: Work) -> None:
    """It cannot, and gets False."""
    held = client.load_balanced_view().apply_async(work.held("held"))
    asked: list[bool] = []
    first = client[-1].apply_async(abs, -1)
    first.add_done_callback(lambda _: asked.append(held.running()))
    work.begun("held")
    work.release("held")
    assert (first.get(WAIT), held.get(WAIT)) == (1, "held")
    until(lambda: asked == [False], "it was told")

"""Results to come: futures, their metadata, and waiting for them."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ALL_COMPLETED, FIRST_COMPLETED, Future, as_completed, wait
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from typing import Any

import pytest

from ctrlhub import AsyncResult, Client, ResultNotCompleted
from tests.contract.conftest import ENGINES
from tests.support.work import Work

WAIT = 60.0


def results_of(client: Client, n: int = 6) -> list[AsyncResult]:
    """Submit calls of all kinds."""
    view = client.load_balanced_view()
    return [view.apply_async(pow, k, 2) for k in range(n)] + [
        client[0].apply_async(pow, n, 2),
        client[:].apply_async(pow, n, 2),
        view.map_async(pow, range(n), [2] * n),
    ]


def test_a_result_is_a_future(client: Client) -> None:
    """Of the standard library's class, so that whatever takes one takes it."""
    assert all(isinstance(result, Future) for result in results_of(client))


def test_wait_of_concurrent_futures(client: Client, work: Work) -> None:
    """Finished ones and others are told apart."""
    results = results_of(client)
    assert wait(results, WAIT, ALL_COMPLETED) == (set(results), set())

    held = client[0].apply_async(work.held())
    quick = client[1].apply_async(int)
    done, others = wait([held, quick], WAIT, FIRST_COMPLETED)
    work.release()
    assert (done, others) == ({quick}, {held})
    assert held.result(WAIT) == "held"


def test_as_completed(client: Client) -> None:
    """Each comes once."""
    results: list[Future[Any]] = [*results_of(client)]

    assert set(as_completed(results, WAIT)) == set(results)


def test_asyncio(client: Client) -> None:
    """`asyncio.wrap_future` makes them awaitable, values and errors alike."""

    async def main() -> list[Any]:
        calls = [asyncio.wrap_future(result) for result in results_of(client, 2)]
        async with asyncio.timeout(WAIT):
            values = list(await asyncio.gather(*calls))
            with pytest.raises(ZeroDivisionError):
                await asyncio.wrap_future(client[0].apply_async(divmod, 1, 0))
        return values

    assert asyncio.run(main()) == [0, 1, 4, [4] * ENGINES, [0, 1]]


def test_done_callbacks(client: Client) -> None:
    """Called once, with the result, whether it is done before or after; they may submit."""
    called: list[Any] = []
    seen = threading.Event()
    view = client.load_balanced_view()

    def follow(first: Future[Any]) -> None:
        called.append(first)
        second = view.apply_async(int, "2")
        second.add_done_callback(lambda _: seen.set())

    result = view.apply_async(int, "1")
    result.add_done_callback(follow)
    assert seen.wait(WAIT)
    result.add_done_callback(called.append)

    assert called == [result, result]


def test_waiting_in_a_callback_is_refused(client: Client, work: Work) -> None:
    """The thread that brings results would wait for itself."""
    raised: Future[BaseException] = Future()

    def callback(result: Future[Any]) -> None:
        try:
            client[0].apply_sync(int)
        except RuntimeError as error:
            raised.set_result(error)

    result = client[0].apply_async(work.held())
    result.add_done_callback(callback)
    work.release()

    assert "must not wait" in str(raised.result(WAIT))


def test_before_it_is_done(client: Client, work: Work) -> None:
    """Every question has an answer, or an error that says to wait."""
    result = client[0].apply_async(work.held())
    work.begun("held")

    assert (result.ready(), result.done(), result.cancelled()) == (False, False, False)
    assert (result.progress, len(result), result.status) == (0, 1, None)
    assert result.wait(0.01) is False
    assert result.wait_interactive(timeout=0.01) is False
    assert result.elapsed > 0
    for timeout in (0, 0.01):
        with pytest.raises(TimeoutError):
            result.get(timeout)
    with pytest.raises(TimeoutError):
        result.exception(0.01)
    with pytest.raises(ResultNotCompleted, match="wait"):
        result.successful()
    with pytest.raises(ResultNotCompleted):
        result.wall_time  # noqa: B018 - it raises
    assert result.metadata.started is None

    work.release()
    assert result.wait(WAIT)
    assert result.get(0) == "held"


def test_when_it_is_done(client: Client) -> None:
    """The same by all its names."""
    good, bad = client[0].apply_async(int, "7"), client[0].apply_async(int, "x")

    assert (good.get(WAIT), good.result(), good.r, good.get(-1), good.get(0)) == (7, 7, 7, 7, 7)
    assert good.exception(WAIT) is None
    assert isinstance(bad.exception(WAIT), ValueError)
    assert (good.successful(), bad.successful()) == (True, False)
    assert (good.status, bad.status) == ("ok", "error")
    assert (good.progress, bad.progress) == (1, 1)
    assert good.cancel() is False
    with pytest.raises(RuntimeError):
        good.abort()


def test_the_metadata_of_a_task(client: Client) -> None:
    """Where and when; times are aware of their zone, and in order."""
    before = datetime.now(UTC)
    result = client.load_balanced_view(label="mine").apply_async(int)
    result.get(WAIT)
    known = result.metadata

    times = [known.submitted, known.started, known.completed, known.received]
    assert all(time.tzinfo is not None for time in times)
    assert before <= times[0] <= datetime.now(UTC)
    # Two processes, which may be interrupted between looking at a clock and noting it.
    assert all(b - a > -1.0 for a, b in zip(stamps(times), stamps(times)[1:], strict=False))
    assert known["engine_id"] == known.engine_id == result.engine_id in client.ids
    assert (known.label, known.status, known.msg_id) == ("mine", "ok", result.msg_ids[0])
    with pytest.raises(AttributeError):
        known.nothing  # noqa: B018 - it raises


def stamps(times: list[datetime]) -> list[float]:
    """Return times in seconds."""
    return [time.timestamp() for time in times]


def test_the_metadata_of_several(client: Client) -> None:
    """A list, in the order of the targets; results by engine."""
    result: Any = client[[2, 0]].apply_async(int, "7")

    assert result.get_dict(WAIT) == result.result_dict == {2: 7, 0: 7}
    assert result.engine_id == result["engine_id"] == [2, 0]
    assert [known.status for known in result.metadata] == ["ok", "ok"]
    assert len(set(result.msg_ids)) == 2


def test_what_was_printed(
    client: Client, printing: AbstractContextManager[None], work: Work
) -> None:
    """Comes with the result of the call that printed it, errors included."""

    def talk(n: int) -> None:
        import sys

        print("out", n)
        print("err", n, file=sys.stderr)
        if n == 2:
            raise ValueError(n)

    with printing:
        one = client[0].apply_async(talk, 1)
        bad = client[0].apply_async(talk, 2)
        tasks = client.load_balanced_view().map_async(talk, range(10, 13))
        code = client[0].execute("print('code')")
        wait([one, bad, tasks, code], WAIT)

    assert (one.stdout, one.stderr) == ("out 1\n", "err 1\n")
    assert (bad.stdout, bad.stderr) == ("out 2\n", "err 2\n")
    assert tasks.stdout == ["out 10\n", "out 11\n", "out 12\n"]
    assert code.stdout == code.metadata.stdout == "code\n"


def test_an_interactive_wait_shows_progress(
    client: Client, capsys: pytest.CaptureFixture[str]
) -> None:
    """A bar that ends full."""
    result = client.load_balanced_view().map_async(abs, range(20))

    assert result.wait_interactive(interval=0.01, timeout=WAIT)
    assert "abs: 20 of 20" in capsys.readouterr().err


def test_the_client_waits_for_what_it_has_out(client: Client, work: Work) -> None:
    """For all, for some, by their ids; and says whether they came."""
    held = client[0].apply_async(work.held())
    quick = client[1].apply_async(int)

    assert client.wait(quick, timeout=WAIT)
    assert client.wait([quick], timeout=WAIT)
    assert not client.wait(timeout=0.01)
    assert not client.wait([held, quick], timeout=0.01)
    assert not client.wait(held.msg_ids[0], timeout=0.01)
    work.release()
    assert client.wait(timeout=WAIT)
    assert held.done()


def test_a_result_may_be_asked_by_many_threads(client: Client, work: Work) -> None:
    """All get the same object."""
    result = client[0].apply_async(work.held())
    values: list[Any] = []
    threads = [threading.Thread(target=lambda: values.append(result.get(WAIT))) for _ in range(4)]
    for thread in threads:
        thread.start()
    work.release()
    for thread in threads:
        thread.join(WAIT)

    assert values == ["held"] * 4
    assert len({id(value) for value in values}) == 1

"""What other threads tell an event loop: together, and also when it has gone."""

from __future__ import annotations

import asyncio
import gc
import threading
import weakref
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from ctrlhub.client.arrivals import Arrivals, arrivals_here
from ctrlhub.client.call_future import CallFuture
from tests.unit.client.test_async_result import PATIENCE, ok, result, settle


class CountingLoop(asyncio.SelectorEventLoop):
    """A loop that counts how often it is woken by other threads."""

    wakes = 0

    def call_soon_threadsafe(self, *args: Any, **kwargs: Any) -> asyncio.Handle:
        """Count."""
        self.wakes += 1
        return super().call_soon_threadsafe(*args, **kwargs)


def elsewhere(work: Callable[[], object]) -> None:
    """Do something in another thread, and wait for it."""
    thread = threading.Thread(target=work)
    thread.start()
    thread.join(PATIENCE)


def test_a_loop_is_woken_once_for_many_results() -> None:
    """A hundred results that come together are one call from thread to thread."""
    futures = [result() for _ in range(100)]
    loop = CountingLoop()

    async def one(future: Any) -> Any:
        return await future

    async def main() -> list[Any]:
        tasks = [asyncio.create_task(one(future)) for future in futures]
        await asyncio.sleep(0)
        elsewhere(lambda: [settle(future, ok(1, n)) for n, future in enumerate(futures)])
        assert loop.wakes == 1
        return await asyncio.wait_for(asyncio.gather(*tasks), PATIENCE)

    try:
        assert loop.run_until_complete(main()) == [*range(100)]
    finally:
        loop.close()


def test_each_moment_wakes_again() -> None:
    """What comes after the loop has taken what was there is told anew."""

    async def main() -> list[int]:
        seen: list[int] = []
        arrivals = arrivals_here()
        for n in range(3):
            told = asyncio.Event()
            elsewhere(lambda n=n: arrivals.add(lambda: seen.append(n)))  # type: ignore[misc]
            elsewhere(lambda told=told: arrivals.add(told.set))  # type: ignore[misc]
            await asyncio.wait_for(told.wait(), PATIENCE)
        return seen

    assert asyncio.run(main()) == [0, 1, 2]


def test_a_loop_that_has_gone() -> None:
    """Nothing is raised, and the loop is not kept alive."""

    async def main() -> Arrivals:
        return arrivals_here()

    loop = asyncio.new_event_loop()
    arrivals = loop.run_until_complete(main())
    loop.close()
    arrivals.add(lambda: None)
    gone = weakref.ref(loop)
    del loop
    gc.collect()
    assert gone() is None
    arrivals.add(lambda: None)
    other = asyncio.run(main())
    assert other is not arrivals


def test_others_wait_for_what_is_awaited() -> None:
    """Callbacks, threads and other awaits are told as well, whoever came first."""
    future = result()
    called: list[Any] = []
    values: list[Any] = []

    async def one() -> Any:
        return await future

    async def main() -> list[Any]:
        first = asyncio.create_task(one())
        await asyncio.sleep(0)
        future.add_done_callback(called.append)
        second = asyncio.create_task(one())
        await asyncio.sleep(0)
        waiting = threading.Thread(target=lambda: values.append(future.result(PATIENCE)))
        waiting.start()
        elsewhere(lambda: settle(future, ok(1)))
        found = await asyncio.wait_for(asyncio.gather(first, second), PATIENCE)
        waiting.join(PATIENCE)
        return found

    found = asyncio.run(main())
    assert called == [future]
    assert found == [*values, *values]


def test_a_result_that_comes_as_it_is_awaited() -> None:
    """It comes between the look at it and the wait: nothing is lost."""
    for _ in range(200):
        future = result()

        async def main(future: Any = future) -> Any:
            thread = threading.Thread(target=lambda: settle(future, ok(1)))
            thread.start()
            value = await asyncio.wait_for(future, PATIENCE)
            thread.join(PATIENCE)
            return value

        assert asyncio.run(main()) == future.get()


# ---------------------------------------------------------------- futures of calls


def test_futures_of_calls_wake_a_loop_once() -> None:
    """Those of a hundred results that come together, and one that came before anybody was told."""
    results = [result() for _ in range(100)]
    loop = CountingLoop()

    async def main() -> list[Any]:
        calls = [CallFuture.of(each, arrivals_here(), loop) for each in results]
        elsewhere(lambda: [settle(each, ok(1, n)) for n, each in enumerate(results)])
        assert loop.wakes == 1
        assert not any(call.done() for call in calls)  # that is the loop's affair
        early = result()
        settle(early, ok(1, "early"))
        assert await CallFuture.of(early, arrivals_here(), loop) == "early"
        return await asyncio.wait_for(asyncio.gather(*calls), PATIENCE)

    try:
        assert loop.run_until_complete(main()) == [*range(100)]
    finally:
        loop.close()


def test_an_interrupt_in_between_leaves_the_rest() -> None:
    """Ctrl-C while a value is unpickled costs no other its turn."""
    loop, seen = asyncio.new_event_loop(), []

    def interrupt() -> None:
        raise KeyboardInterrupt

    async def main() -> None:
        arrivals = arrivals_here()
        for call in (interrupt, partial(seen.append, "rest")):
            arrivals.add(call)

    try:
        with pytest.raises(KeyboardInterrupt):
            loop.run_until_complete(main())
        assert seen == []
        loop.call_soon(loop.stop)
        loop.run_forever()
        assert seen == ["rest"]
    finally:
        loop.close()

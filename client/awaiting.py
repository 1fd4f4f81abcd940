"""Results in asyncio: ``await ar``, ``async for value in ar``.

The I/O thread tells the event loop; nothing here imports asyncio before somebody awaits.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Generator, Iterable
from contextlib import suppress
from typing import Any

from ctrlhub.client.arrivals import arrivals_here
from ctrlhub.client.lazy_future import LazyFuture
from ctrlhub.wire.errors import CtrlHubError


class Awaiting(LazyFuture):
    """The part of a result that can be awaited, in any event loop of asyncio."""

    __slots__ = ()

    def _cancel_later(self) -> None:
        """Have the hub stop it, without waiting for that."""
        raise NotImplementedError

    def _places(self) -> int:
        """Return how many steps an iteration has."""
        raise NotImplementedError

    def _has_step(self, place: int) -> bool:
        """Say whether a step of the iteration can be taken at once."""
        raise NotImplementedError

    def _step(self, place: int) -> Iterable[Any]:
        """Return the values of one step of the iteration."""
        raise NotImplementedError

    def __await__(self) -> Generator[Any, None, Any]:
        """Wait for the value without blocking the event loop.

        If the task that awaits is cancelled, the call is stopped, too: what waits in a queue at
        once, what runs by an interrupt. ``asyncio.shield`` keeps it from that.
        """
        if not self.done():
            try:
                yield from arrivals_here().expect(self)
            except BaseException as error:
                from asyncio import CancelledError

                if isinstance(error, CancelledError) and not self.done():
                    with suppress(CtrlHubError):  # the client is closed, which ends it as well
                        self._cancel_later()
                raise
        return self.result(0)

    async def _as_they_come(self) -> AsyncIterator[Any]:
        """Yield the values, each as soon as it is there, as a plain iteration does."""
        for place in range(self._places()):
            await self._until(lambda place=place: self._has_step(place))  # type: ignore[misc]
            for value in self._step(place):
                yield value

    async def _until(self, ready: Callable[[], bool]) -> None:
        if ready():
            return
        import asyncio

        news = asyncio.Event()
        sync = self._synced()

        add = arrivals_here().add

        def listener() -> None:
            add(news.set)

        with sync.lock:
            sync.listeners = (*sync.listeners, listener)
        try:
            while not ready():
                await news.wait()
                news.clear()
        finally:
            with sync.lock:
                sync.listeners = tuple(each for each in sync.listeners if each is not listener)

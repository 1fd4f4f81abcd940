"""What the I/O thread tells event loops: once for all results of a moment, not once for each."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING
from weakref import ref

from ctrlhub.client.lazy_future import LazyFuture, Lone

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop, Future

_here = threading.local()


class Arrivals:
    """Calls that other threads want an event loop to make, handed over together.

    To wake a loop takes a system call, which hundreds of results that came with one message need
    not make each.

    Parameters
    ----------
    loop
        The loop. It is not kept alive.

    Attributes
    ----------
    loop : weakref.ref
        The loop.
    futures : deque
        Futures of the loop that are to end.
    due : bool
        Whether the loop was woken, and has not begun.
    """

    def __init__(self, loop: AbstractEventLoop) -> None:
        self.loop = ref(loop)
        self._calls: deque[Callable[[], object]] = deque()
        self.futures: deque[Future[None]] = deque()
        self.due = False

    def add(self, call: Callable[[], object]) -> None:
        """Have the loop call; from any thread, of a loop that has ended as well."""
        self._calls.append(call)
        if not self.due:  # else it has not begun with those before
            self.wake()

    def expect(self, result: LazyFuture) -> Future[None]:
        """Return a future of the loop, to await, that ends once a result is there."""
        loop = self.loop()
        assert loop is not None  # it runs
        arrival = Arrival(self, loop.create_future())
        result._call_once_done(arrival)
        return arrival.future

    def wake(self) -> None:
        """Have the loop make the calls, and end the futures, that are here by then."""
        self.due = True
        loop = self.loop()
        try:
            if loop is not None:
                loop.call_soon_threadsafe(self._make)
                return
        except RuntimeError:  # it is closed
            pass
        # Nobody awaits any more; what comes is not to be kept until there is another loop.
        self.due = False
        self._calls.clear()
        self.futures.clear()

    def _make(self) -> None:
        self.due = False  # first: what is added from here on wakes the loop again
        calls, futures = self._calls, self.futures
        try:
            while futures:
                future = futures.popleft()
                if not future.done():
                    future.set_result(None)
            while calls:
                calls.popleft()()
        finally:
            if calls:  # Ctrl-C while a value was unpickled: the others come all the same
                self.wake()


class Arrival(Lone):
    """The arrival of one result, for a future of an event loop."""

    __slots__ = ("_arrivals", "future")

    def __init__(self, arrivals: Arrivals, future: Future[None]) -> None:
        self._arrivals = arrivals
        self.future = future

    def call(self, future: LazyFuture) -> None:
        """Have the future end, if it has not; from any thread, and more than once."""
        arrivals = self._arrivals
        arrivals.futures.append(self.future)
        if not arrivals.due:
            arrivals.wake()


def arrivals_here() -> Arrivals:
    """Return the arrivals of the loop that runs in this thread."""
    from asyncio import get_running_loop

    return arrivals_of(get_running_loop())


def arrivals_of(loop: AbstractEventLoop) -> Arrivals:
    """Return the arrivals of a loop, which runs in this thread."""
    arrivals: Arrivals | None = getattr(_here, "arrivals", None)
    if arrivals is None or arrivals.loop() is not loop:
        arrivals = _here.arrivals = Arrivals(loop)
    return arrivals

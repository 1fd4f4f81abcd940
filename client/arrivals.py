"""What the I/O thread tells event loops: once for all results of a moment, not once for each."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING
from weakref import ref

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
    """

    def __init__(self, loop: AbstractEventLoop) -> None:
        self._loop = ref(loop)
        self._calls: deque[Callable[[], object]] = deque()
        self._futures: deque[Future[None]] = deque()
        self._due = False

    def is_of(self, loop: AbstractEventLoop) -> bool:
        """Say whether these are the calls of that loop."""
        return self._loop() is loop

    def add(self, call: Callable[[], object]) -> None:
        """Have the loop call; from any thread, of a loop that has ended as well."""
        self._calls.append(call)
        if not self._due:  # else it has not begun with those before
            self._wake()

    def end(self, future: Future[None], _: object = None) -> None:
        """Have a future of the loop end, if it has not; from any thread, and more than once."""
        self._futures.append(future)
        if not self._due:
            self._wake()

    def _wake(self) -> None:
        self._due = True
        loop = self._loop()
        if loop is not None:
            with suppress(RuntimeError):  # it is closed: nobody awaits any more
                loop.call_soon_threadsafe(self._make)

    def _make(self) -> None:
        self._due = False  # first: what is added from here on wakes the loop again
        calls, futures = self._calls, self._futures
        while futures:
            future = futures.popleft()
            if not future.done():
                future.set_result(None)
        while calls:
            calls.popleft()()


def arrivals_of(loop: AbstractEventLoop) -> Arrivals:
    """Return the arrivals of the loop that runs in this thread."""
    arrivals: Arrivals | None = getattr(_here, "arrivals", None)
    if arrivals is None or not arrivals.is_of(loop):
        arrivals = _here.arrivals = Arrivals(loop)
    return arrivals

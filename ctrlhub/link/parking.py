"""Where the loop's own thread waits while a guest leads the loop.

What guests call is made of single calls into C: Ctrl-C within the methods of an `Event` would leave its
lock taken for ever.
"""

from __future__ import annotations

from collections.abc import Callable
from queue import Empty, SimpleQueue
from time import monotonic

PATROL = 0.005
"""How long (seconds) a loop may be without anyone: its guest has gone, and mostly comes back."""


class Parking:
    """A place for one thread.

    Attributes
    ----------
    occupied : bool
        Whether the thread waits here.
    asleep : bool
        Whether it waits until it is recalled, however long that takes.
    """

    def __init__(self) -> None:
        self.occupied = self.asleep = False
        self._arrivals: SimpleQueue[None] = SimpleQueue()
        self._recalls: SimpleQueue[None] = SimpleQueue()

    def enter(self) -> None:
        """Say that the thread waits here."""
        self.occupied = True
        self._arrivals.put(None)

    def leave(self) -> None:
        """Say that it does not any more."""
        self.occupied = False
        _empty(self._arrivals)

    def patrol(self) -> None:
        """Wait for `recall`, or for `PATROL`."""
        _waited(self._recalls, PATROL)
        _empty(self._recalls)

    def sleep(self, still: Callable[[], bool]) -> None:
        """Wait for `recall` alone, if `still` says so once `asleep` is to be seen."""
        self.asleep = True
        if still():
            self._recalls.get()
        self.asleep = False
        _empty(self._recalls)

    def recall(self) -> None:
        """Have the thread look what there is to do; from any thread."""
        self._recalls.put(None)

    def await_arrival(self, timeout: float) -> bool:
        """Wait until the thread waits here; False if it does not come in time (seconds)."""
        deadline = monotonic() + timeout
        while not self.occupied:
            if not _waited(self._arrivals, deadline - monotonic()):
                return self.occupied
        return True


def _waited(queue: SimpleQueue[None], timeout: float) -> bool:
    """Wait for an entry; say whether there was one in time (seconds)."""
    try:
        queue.get(timeout=max(0.0, timeout))
    except Empty:
        return False
    return True


def _empty(queue: SimpleQueue[None]) -> None:
    while not queue.empty():
        _waited(queue, 0.0)

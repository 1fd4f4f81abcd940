"""Where the loop's own thread waits while a guest leads the loop."""

from __future__ import annotations

from collections.abc import Callable
from threading import Event

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
        self._arrived = Event()
        self._recalled = Event()

    def enter(self) -> None:
        """Say that the thread waits here."""
        self.occupied = True
        self._arrived.set()

    def leave(self) -> None:
        """Say that it does not any more."""
        self.occupied = False
        self._arrived.clear()

    def patrol(self) -> None:
        """Wait for `recall`, or for `PATROL`."""
        self._recalled.wait(PATROL)
        self._recalled.clear()

    def sleep(self, still: Callable[[], bool]) -> None:
        """Wait for `recall` alone, if `still` says so once `asleep` is to be seen."""
        self.asleep = True
        if still():
            self._recalled.wait()
        self.asleep = False
        self._recalled.clear()

    def recall(self) -> None:
        """Have the thread look what there is to do; from any thread."""
        self._recalled.set()

    def await_arrival(self, timeout: float) -> bool:
        """Wait until the thread waits here; False if it does not come in time (seconds)."""
        return self._arrived.wait(timeout)

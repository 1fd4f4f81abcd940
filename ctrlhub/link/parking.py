"""Where the loop's own thread waits while a guest leads the loop."""

from __future__ import annotations

from threading import Event

PATROL = 0.005
"""How long (seconds) a loop may be without anyone: its guest has gone, and mostly comes back."""


class Parking:
    """A place for one thread.

    Attributes
    ----------
    occupied : bool
        Whether the thread waits here.
    """

    def __init__(self) -> None:
        self.occupied = False
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

    def wait(self, timeout: float | None) -> None:
        """Wait for `recall`, or for so long (seconds)."""
        self._recalled.wait(timeout)
        self._recalled.clear()

    def recall(self) -> None:
        """Have the thread look what there is to do; from any thread."""
        self._recalled.set()

    def await_arrival(self, timeout: float) -> bool:
        """Wait until the thread waits here; False if it does not come in time (seconds)."""
        return self._arrived.wait(timeout)

"""How much of what engines log, or all put out, is on its way to a client: as much as it takes in. No I/O."""

from __future__ import annotations

WINDOW = 64
"""So many messages, of about 64 KiB at most, may be on their way to a client."""

FIRST_TRIAL, LONGEST_TRIAL = 1.0, 60.0
"""A client of which nothing is heard is sent a single message so often (seconds), at first and at last:
what was on its way may be lost."""


class Credit:
    """What one client has been sent, and what it has taken in.

    Parameters
    ----------
    window
        So many messages may be on their way to it.

    Attributes
    ----------
    dropped : int
        How many records, or pieces of output, were left out since the last message.
    """

    __slots__ = ("_pause", "_received", "_sent", "_trial", "_window", "dropped")

    def __init__(self, window: int = WINDOW) -> None:
        self._window = window
        self.dropped = 0
        self._sent = self._received = 0
        self._trial = 0.0
        self._pause = FIRST_TRIAL

    def take(self, count: int, now: float) -> int:
        """Return the number of the message that may be sent; 0 for none: what is in it is left out."""
        is_full = self._sent - self._received >= self._window
        if is_full and now < self._trial:
            self.dropped += count
            return 0
        self._sent += 1
        if is_full:
            self._pause = min(2 * self._pause, LONGEST_TRIAL)
        self._trial = now + self._pause
        return self._sent

    def received(self, number: int) -> None:
        """Take note that the client has taken in what it was sent up to a number."""
        if self._received < number <= self._sent:
            self._received = number
            self._pause = FIRST_TRIAL

"""How many messages a peer may send: so many at once, and then so many a second. No I/O, no clock."""

from __future__ import annotations


class Budget:
    """What is left to a peer.

    Parameters
    ----------
    rate
        Messages for each second.
    burst
        The most that gathers.
    now
        The time in seconds.
    """

    __slots__ = ("_burst", "_left", "_rate", "_seen")

    def __init__(self, rate: float, burst: float, now: float) -> None:
        self._rate = rate
        self._burst = burst
        self._left = burst
        self._seen = now

    def spend(self, now: float) -> float:
        """Take note of a message; return how long (seconds) the next one has to wait."""
        left = self._left + (now - self._seen) * self._rate
        self._left = min(left, self._burst) - 1.0
        self._seen = now
        return max(0.0, -self._left / self._rate)

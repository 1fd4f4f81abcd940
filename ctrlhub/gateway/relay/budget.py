"""How much a peer may send: so much at once, and then so much a second. No I/O, no clock."""

from __future__ import annotations


class Budget:
    """What is left to a peer.

    Parameters
    ----------
    rate
        What comes to it in each second.
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

    def spend(self, now: float, cost: float = 1.0) -> float:
        """Take note of a message; return how long (seconds) the next one has to wait."""
        left = self._left + (now - self._seen) * self._rate
        self._left = min(left, self._burst) - cost
        self._seen = now
        return max(0.0, -self._left / self._rate)

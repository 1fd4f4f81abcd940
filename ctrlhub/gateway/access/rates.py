"""How much each may ask for: a bucket for each name that fills with time. No I/O, no clock."""

from __future__ import annotations

from collections import OrderedDict

MOST = 20_000
"""So many names are remembered: those that have asked least recently are forgotten first."""


class Bucket:
    """One bucket.

    Parameters
    ----------
    rate
        How much flows in in a second.
    size
        How much it holds; it is full at first.
    now
        The time (seconds).
    """

    __slots__ = ("_left", "_rate", "_size", "_then")

    def __init__(self, rate: float, size: float, now: float) -> None:
        self._rate = rate
        self._size = self._left = size
        self._then = now

    def take(self, now: float) -> bool:
        """Take one out, if there is one."""
        self._left = min(self._size, self._left + max(0.0, now - self._then) * self._rate)
        self._then = now
        if self._left < 1.0:
            return False
        self._left -= 1.0
        return True


class Rates:
    """Buckets by name.

    Parameters
    ----------
    rate
        How much is allowed in a second, in the long run.
    burst
        How much at once.
    """

    def __init__(self, rate: float, burst: float) -> None:
        self._rate = rate
        self._burst = max(1.0, burst)
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, name: str, now: float, cost: float = 1.0) -> float:
        """Take from a bucket; return 0, or in how many seconds there is enough in it."""
        left = self._left(name, now)
        if left < cost:
            return (min(cost, self._burst) - left) / self._rate
        self._keep(name, left - cost, now)
        return 0.0

    def _left(self, name: str, now: float) -> float:
        left, then = self._buckets.get(name, (self._burst, now))
        return min(self._burst, left + max(0.0, now - then) * self._rate)

    def _keep(self, name: str, left: float, now: float) -> None:
        self._buckets[name] = left, now
        self._buckets.move_to_end(name)
        if len(self._buckets) > MOST:
            self._buckets.popitem(last=False)

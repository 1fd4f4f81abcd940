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
        self._fill(now)
        if self._left < 1.0:
            return False
        self._left -= 1.0
        return True

    def owe(self, now: float, cost: float = 1.0) -> float:
        """Take so much out, also what is not in it yet; return how long (seconds) the next one has to wait."""
        self._fill(now)
        self._left -= cost
        return max(0.0, -self._left / self._rate)

    @property
    def wait(self) -> float:
        """In how many seconds there is one in it, as it was at the last `take`."""
        return max(0.0, (1.0 - self._left) / self._rate)

    def _fill(self, now: float) -> None:
        self._left = min(self._size, self._left + max(0.0, now - self._then) * self._rate)
        self._then = now


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
        self._buckets: OrderedDict[str, Bucket] = OrderedDict()

    def take(self, name: str, now: float) -> float:
        """Take one out of a bucket; return 0, or in how many seconds there is one in it."""
        bucket = self._bucket(name, now)
        return 0.0 if bucket.take(now) else bucket.wait

    def _bucket(self, name: str, now: float) -> Bucket:
        bucket = self._buckets.get(name)
        if bucket is None:
            bucket = self._buckets[name] = Bucket(self._rate, self._burst, now)
            if len(self._buckets) > MOST:
                self._buckets.popitem(last=False)
        self._buckets.move_to_end(name)
        return bucket

"""How much each may ask for: a bucket for each name that fills with time. No I/O, no clock."""

from __future__ import annotations

from collections import OrderedDict

MOST = 20_000
"""So many names are remembered: those that have asked least recently are forgotten first."""


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

    def wait(self, name: str, now: float) -> float:
        """Return in how many seconds there is something in it, and take nothing."""
        return max(0.0, (1.0 - self._left(name, now)) / self._rate)

    def _left(self, name: str, now: float) -> float:
        left, then = self._buckets.get(name, (self._burst, now))
        return min(self._burst, left + max(0.0, now - then) * self._rate)

    def _keep(self, name: str, left: float, now: float) -> None:
        self._buckets[name] = left, now
        self._buckets.move_to_end(name)
        if len(self._buckets) > MOST:
            self._buckets.popitem(last=False)

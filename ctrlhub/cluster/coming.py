"""Engines that were ordered and have not come yet: how many there are still. No I/O, no clock.

Whoever has come has come, also if it has left since: so `seen` is to be told of everybody, as they come.
"""

from __future__ import annotations

import threading
from collections.abc import Collection, Hashable
from dataclasses import dataclass, field

PATIENCE = 60.0
"""Seconds after which an engine that has not come is not counted on."""


@dataclass(slots=True)
class Coming:
    """The orders of one set.

    Parameters
    ----------
    patience
        Seconds after which what has not come is not counted on; infinite where it may have to queue.
    """

    patience: float = PATIENCE
    _known: set[Hashable] = field(default_factory=set, init=False)
    _outstanding: int = field(default=0, init=False)
    _until: float = field(default=0.0, init=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, init=False)

    def ordered(self, count: int, there: Collection[Hashable], now: float) -> None:
        """Take note of an order, and of the processes that were there before it."""
        self.outstanding(there, now)
        with self._lock:
            self._outstanding += count
            self._until = now + self.patience

    def seen(self, there: Collection[Hashable]) -> None:
        """Take note of the processes that are there; from any thread, also of those a moment ago."""
        with self._lock:
            new = set(there) - self._known
            self._known |= new
            self._outstanding = max(0, self._outstanding - len(new))

    def outstanding(self, there: Collection[Hashable], now: float) -> int:
        """Return how many have not come, given the processes that are there."""
        self.seen(there)
        with self._lock:
            if now >= self._until:
                self._outstanding = 0
            return self._outstanding

    def withdrawn(self, count: int) -> None:
        """Take note that so many were cancelled."""
        with self._lock:
            self._outstanding = max(0, self._outstanding - count)

    def give_up(self) -> None:
        """Count on none any more."""
        with self._lock:
            self._outstanding = 0

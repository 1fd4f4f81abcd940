"""Engines that were ordered and have not come yet: how many there are still. No I/O, no clock."""

from __future__ import annotations

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

    def ordered(self, count: int, there: Collection[Hashable], now: float) -> None:
        """Take note of an order, and of the processes that were there before it."""
        self.outstanding(there, now)
        self._outstanding += count
        self._until = now + self.patience

    def outstanding(self, there: Collection[Hashable], now: float) -> int:
        """Return how many have not come, given the processes that are there."""
        new = set(there) - self._known
        self._known = set(there)
        self._outstanding = max(0, self._outstanding - len(new))
        if now >= self._until:
            self._outstanding = 0
        return self._outstanding

    def give_up(self) -> None:
        """Count on none any more."""
        self._outstanding = 0

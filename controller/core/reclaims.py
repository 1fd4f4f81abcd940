"""Reclaims: work that an engine was given ahead of time is taken back for one that has none.

An engine has work for some milliseconds, as far as can be foreseen. Where that was wrong, or where
there is nothing else left to do, what waits behind its running task would be sooner done by another
engine. So as long as an engine is idle, those that hold more than they run are looked at: at once
where the rest is worth a message, and else when the running task takes longer than was expected.

The engine alone knows what it has begun; it is asked, and says what it will not run. It gets nothing
more until something of it has ended: else it would get the same tasks again. What it keeps is asked
for in its turn, as long as an engine is idle.
"""

from __future__ import annotations

from collections.abc import Iterator

from ctrlhub.controller.core.scheduler import Scheduler
from ctrlhub.controller.core.slots import Slot

WORTH = 0.003
"""So much expected work (seconds) behind a running task is worth to be taken back at once."""

SURPRISE = 0.020
"""A task that runs for so much longer (seconds) than expected may run for any time."""


class Reclaims:
    """Says from whom to take back how much.

    Parameters
    ----------
    scheduler
        Whose engines they are.

    Attributes
    ----------
    due : float or None
        When to look again at the latest.
    """

    def __init__(self, scheduler: Scheduler) -> None:
        self._scheduler = scheduler
        self.due: float | None = None

    def look(self, now: float) -> Iterator[tuple[Slot, int]]:
        """Yield the engines to be asked to give back, and how many of their tasks."""
        self.due = None
        crowded = self._scheduler.crowded
        for slot in [slot for slot in crowded if len(slot.tasks) < 2]:
            del crowded[slot]
        idle = self._scheduler.idle() if crowded else 0
        for slot in tuple(crowded) if idle else ():
            if slot.asked or slot.spent:
                continue
            most = self._surplus(slot, idle, now)
            if most:
                yield slot, most

    def _surplus(self, slot: Slot, idle: int, now: float) -> int:
        first = next(iter(slot.tasks.values()))
        waiting = len(slot.tasks) - 1
        surprise = slot.since + first.expected + SURPRISE
        if now >= surprise:
            return waiting
        if slot.backlog - first.expected > WORTH:
            return max(1, waiting * idle // (idle + 1))
        self.due = surprise if self.due is None else min(self.due, surprise)
        return 0

"""The time at which a hub decides: that of what it was last handed. No I/O."""

from __future__ import annotations

from ctrlhub.controller.core.awaiting import GRACE

NEVER = float("inf")


class Clock:
    """The time of the message, tick or turn that is dealt with.

    Attributes
    ----------
    now : float
        That time (seconds).
    settled : float
        When a hub that has begun need not expect any more that peers of the hub before it come back.
    """

    __slots__ = ("now", "settled")

    def __init__(self) -> None:
        self.now = 0.0
        self.settled = NEVER

    def begin(self, now: float) -> None:
        """Take note of the time; the first is that of the hub's beginning."""
        self.now = now
        if self.settled == NEVER:
            self.settled = now + GRACE

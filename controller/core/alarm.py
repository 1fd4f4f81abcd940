"""The alarm: when a machine wants to be called, if that is sooner than the hub would come by itself."""

from __future__ import annotations

NEVER = float("inf")


class Alarm:
    """The earliest of the times that were asked for.

    Attributes
    ----------
    due : float
        That time (seconds); infinite if nobody has asked.
    """

    __slots__ = ("due",)

    def __init__(self) -> None:
        self.due = NEVER

    def at(self, due: float) -> None:
        """Ask to be called at a time."""
        self.due = min(self.due, due)

    def reset(self) -> None:
        """Have no time to be asked for: whoever keeps this alarm has looked at all deadlines."""
        self.due = NEVER

"""Receipts: which results have come, so that the hub can forget them.

Nobody waits for a receipt, so receipts gather for a moment, as the hub's acknowledgements do; only
when they are many, or free bulk data in the hub, do they leave at once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ctrlhub.wire.ids import merged
from ctrlhub.wire.messages import Message, Received, Stream

if TYPE_CHECKING:
    from ctrlhub.client.requests import Sender
    from ctrlhub.wire.ids import Ranges

PATIENCE = 0.05
"""The longest that a receipt waits, in seconds."""

ENOUGH = 4096
"""So many results are acknowledged at once."""

NEVER = float("inf")


class FailureReceipt:
    """A receipt that leaves in its turn among what callers submit.

    A failed command may stop those behind it until the hub knows that we know of it. What callers
    had submitted before has to be with the hub by then, or it would run.

    Parameters
    ----------
    ranges
        The ids of the results.
    """

    __slots__ = ("_ranges",)

    def __init__(self, ranges: Ranges) -> None:
        self._ranges = ranges

    def _numbers(self) -> tuple[int, ...]:
        return ()

    def _enter(self, sender: Sender) -> None:
        sender.add_receipt(self._ranges)


class Receipts:
    """The results that came and were not acknowledged, by stream.

    Attributes
    ----------
    count : int
        How many results.
    due : float
        When they have waited long enough.
    """

    __slots__ = ("_ranges", "_taken", "count", "due")

    def __init__(self) -> None:
        self._ranges: dict[Stream, list[tuple[int, int]]] = {}
        self._taken: dict[Stream, Ranges] = {}
        self.count = 0
        self.due = NEVER

    def add(
        self, stream: Stream, ranges: list[tuple[int, int]], count: int, urgent: bool, now: float
    ) -> None:
        """Note results: the ranges of their ids, how many, and whether the hub should know at once."""
        self._ranges.setdefault(stream, []).extend(ranges)
        self.count += count
        if urgent or self.count >= ENOUGH:
            self.due = now
        elif self.due == NEVER:
            self.due = now + PATIENCE

    def take(self, now: float, kept: Stream | None = None) -> list[tuple[Stream, Message]]:
        """Take the messages, except that of one stream, if there is one, which waits for longer."""
        self.due = NEVER
        self.count = 0
        taken, self._ranges = self._ranges, {}
        if kept in taken:
            ranges = self._ranges[kept] = taken.pop(kept)
            self.count = sum(last - first + 1 for first, last in ranges)
            self.due = now + PATIENCE
        # For long, perhaps: as few objects, which hold nothing else's memory.
        self._taken = {stream: merged(found) for stream, found in taken.items()}
        return [(stream, Received(tuple(found))) for stream, found in taken.items()]

    def last(self) -> Ranges:
        """Return what the hub may not have heard of when it hears that we leave."""
        both = (*self._taken.values(), *self._ranges.values())
        return tuple(each for ranges in both for each in ranges)

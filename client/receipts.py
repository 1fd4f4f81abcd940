"""Receipts: which results have come, so that the hub can forget them.

Nobody waits for a receipt, so receipts gather for a moment, as the hub's acknowledgements do; only
when they are many, or free bulk data in the hub, do they leave at once.
"""

from __future__ import annotations

from ctrlhub.wire.messages import Message, Received, Stream

PATIENCE = 0.05
"""The longest that a receipt waits, in seconds."""

ENOUGH = 4096
"""So many results are acknowledged at once."""

NEVER = float("inf")


class Receipts:
    """The results that came and were not acknowledged, by stream.

    Attributes
    ----------
    due : float
        When they have waited long enough.
    """

    __slots__ = ("_count", "_ranges", "due")

    def __init__(self) -> None:
        self._ranges: dict[Stream, list[tuple[int, int]]] = {}
        self._count = 0
        self.due = NEVER

    def add(
        self, stream: Stream, ranges: list[tuple[int, int]], count: int, urgent: bool, now: float
    ) -> None:
        """Note results: the ranges of their ids, how many, and whether the hub should know at once."""
        self._ranges.setdefault(stream, []).extend(ranges)
        self._count += count
        if urgent or self._count >= ENOUGH:
            self.due = now
        elif self.due == NEVER:
            self.due = now + PATIENCE

    def take(self) -> list[tuple[Stream, Message]]:
        """Take the messages."""
        self.due = NEVER
        self._count = 0
        ranges, self._ranges = self._ranges, {}
        return [(stream, Received(tuple(found))) for stream, found in ranges.items()]

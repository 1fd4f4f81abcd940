"""Policies: which of the engines that have room gets the next tasks."""

from __future__ import annotations

import heapq
from typing import Protocol

from ctrlhub.controller.core.slots import Slot


class Policy(Protocol):
    """An order over slots with room. `add` may repeat a slot; `next` yields it once until added again."""

    def add(self, slot: Slot) -> None:
        """Offer a slot that has room."""

    def discard(self, slot: Slot) -> None:
        """Withdraw a slot."""

    def next(self) -> Slot | None:
        """Take the slot that comes first."""

    def __len__(self) -> int:
        """Return how many slots are offered."""


class LeastLoad:
    """The engine with the fewest tasks first; among equals, the one that has waited longest.

    A heap whose entries go stale when a slot is offered again or withdrawn, so that each event costs
    the logarithm of the number of engines, whatever that is.
    """

    def __init__(self) -> None:
        self._heap: list[tuple[int, int, Slot]] = []
        self._entries: dict[Slot, int] = {}
        self._count = 0

    def __len__(self) -> int:
        return len(self._entries)

    def add(self, slot: Slot) -> None:
        """Offer a slot that has room."""
        self._count += 1
        self._entries[slot] = self._count
        heapq.heappush(self._heap, (len(slot.tasks), self._count, slot))

    def discard(self, slot: Slot) -> None:
        """Withdraw a slot."""
        self._entries.pop(slot, None)

    def next(self) -> Slot | None:
        """Take the slot that comes first."""
        while self._heap:
            _, number, slot = heapq.heappop(self._heap)
            if self._entries.get(slot) == number:
                del self._entries[slot]
                return slot
        return None

"""Policies: which of the engines that have room gets the next tasks."""

from __future__ import annotations

import heapq
from typing import Protocol

from ctrlhub.controller.core.slots import Slot

FEW_STALE = 64
"""So many stale entries are never worth removing."""


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

    def check(self) -> None:
        """Assert the invariants."""


class LeastLoad:
    """The engine with the fewest tasks first; among equals, the one that has waited longest.

    A heap whose entries go stale when a slot is offered again or withdrawn, so that each event costs
    the logarithm of the number of engines, whatever that is. Stale entries behind the first valid one
    would stay for ever: once they are the majority, the heap is made anew.
    """

    def __init__(self) -> None:
        self._heap: list[tuple[int, int, Slot]] = []
        self._entries: dict[Slot, tuple[int, int, Slot]] = {}
        self._count = 0

    def __len__(self) -> int:
        return len(self._entries)

    def add(self, slot: Slot) -> None:
        """Offer a slot that has room; one that is offered with this load already keeps its turn."""
        load = len(slot.tasks)
        offered = self._entries.get(slot)
        if offered is not None and offered[0] == load:
            return
        self._count += 1
        entry = self._entries[slot] = load, self._count, slot
        heapq.heappush(self._heap, entry)
        if len(self._heap) > 2 * len(self._entries) + FEW_STALE:
            self._heap = list(self._entries.values())
            heapq.heapify(self._heap)

    def discard(self, slot: Slot) -> None:
        """Withdraw a slot."""
        self._entries.pop(slot, None)

    def next(self) -> Slot | None:
        """Take the slot that comes first."""
        while self._heap:
            entry = heapq.heappop(self._heap)
            slot = entry[2]
            if self._entries.get(slot) is entry:
                del self._entries[slot]
                return slot
        return None

    def check(self) -> None:
        """Assert that every offered slot is in the heap."""
        assert {id(entry) for entry in self._entries.values()} <= {id(e) for e in self._heap}

"""Schemes: the policies and orders that a hub can be told to use, by name.

All but the first are for those who know them from elsewhere, or want to compare: the least loaded
engine is the right one nearly always.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping
from random import Random

from ctrlhub.controller.core.lines import Append, newest_first, oldest_first
from ctrlhub.controller.core.policies import LeastLoad, Policy
from ctrlhub.controller.core.slots import Slot

TRIES = 8
"""So often a loaded engine may be passed over before it is taken all the same."""


class LeastRecentlyUsed:
    """The engine that has waited longest since it was given something, however much it has."""

    def __init__(self) -> None:
        self._offered: OrderedDict[Slot, None] = OrderedDict()

    def __len__(self) -> int:
        return len(self._offered)

    def add(self, slot: Slot) -> None:
        """Offer a slot that has room; one that is offered already keeps its turn."""
        self._offered.setdefault(slot)

    def discard(self, slot: Slot) -> None:
        """Withdraw a slot."""
        self._offered.pop(slot, None)

    def next(self) -> Slot | None:
        """Take the slot that comes first."""
        return self._offered.popitem(last=False)[0] if self._offered else None

    def check(self) -> None:
        """Assert nothing: there is one structure."""


class PlainRandom:
    """Any engine with room, each with the same chance.

    Parameters
    ----------
    random
        Where chance comes from.
    """

    def __init__(self, random: Random | None = None) -> None:
        self._random = random or Random()
        self._slots: list[Slot] = []
        self._places: dict[Slot, int] = {}

    def __len__(self) -> int:
        return len(self._slots)

    def add(self, slot: Slot) -> None:
        """Offer a slot that has room."""
        if slot not in self._places:
            self._places[slot] = len(self._slots)
            self._slots.append(slot)

    def discard(self, slot: Slot) -> None:
        """Withdraw a slot."""
        place = self._places.pop(slot, None)
        if place is None:
            return
        last = self._slots.pop()
        if last is not slot:  # it takes the free place
            self._slots[place] = last
            self._places[last] = place

    def next(self) -> Slot | None:
        """Take a slot."""
        if not self._slots:
            return None
        slot = self._choose()
        self.discard(slot)
        return slot

    def _choose(self) -> Slot:
        return self._random.choice(self._slots)

    def check(self) -> None:
        """Assert that every slot knows its place."""
        assert self._places == {slot: place for place, slot in enumerate(self._slots)}


class TwoBin(PlainRandom):
    """The less loaded of two that chance has chosen."""

    def _choose(self) -> Slot:
        first, second = super()._choose(), super()._choose()
        return min(first, second, key=lambda slot: len(slot.tasks))


class Weighted(PlainRandom):
    """Any engine with room; the less it has, the greater its chance."""

    def _choose(self) -> Slot:
        for _ in range(TRIES):
            slot = super()._choose()
            if self._random.random() * (1 + len(slot.tasks)) < 1:
                return slot
        return super()._choose()


SCHEMES: Mapping[str, Callable[[], Policy]] = {
    "leastload": LeastLoad,
    "lru": LeastRecentlyUsed,
    "plainrandom": PlainRandom,
    "twobin": TwoBin,
    "weighted": Weighted,
}
"""Which engine gets the next tasks."""

ORDERS: Mapping[str, Append] = {"fifo": oldest_first, "lifo": newest_first}
"""Which task of a client is next."""

"""Where requests ran that history has forgotten: a few bytes each, for tasks that are to follow them."""

from __future__ import annotations

from array import array
from collections import deque
from collections.abc import Sequence

from ctrlhub.controller.core.deliveries import Outcome

MOST_PLACES = 131_072
"""So many requests are remembered; the first are forgotten first."""


class EndedPlaces:
    """The engines of requests, in blocks as they come.

    To add a block costs next to nothing for each request. To look one up costs a step for each block,
    and a search of those that may have it, which are few: ids mostly come in order.
    """

    __slots__ = ("_blocks", "_count")

    def __init__(self) -> None:
        self._blocks: deque[tuple[int, int, array[int], array[int]]] = deque()
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def add(self, outcomes: Sequence[Outcome]) -> None:
        """Remember where some requests ran."""
        if not outcomes:
            return
        numbers = array("Q", [outcome[0] for outcome in outcomes])
        engines = array("i", [outcome[3] for outcome in outcomes])
        self._blocks.append((min(numbers), max(numbers), numbers, engines))
        self._count += len(numbers)
        while self._count > MOST_PLACES:
            self._count -= len(self._blocks.popleft()[2])

    def of(self, number: int) -> int | None:
        """Return the engine of a request; None if that is not known."""
        for first, last, numbers, engines in self._blocks:
            if first <= number <= last and number in numbers:
                engine = engines[numbers.index(number)]
                return engine if engine >= 0 else None
        return None

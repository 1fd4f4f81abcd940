"""Where requests ran that history has forgotten: a few bytes each, for tasks that are to follow them."""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections import deque
from collections.abc import Sequence

from ctrlhub.controller.core.deliveries import Outcome

MOST_PLACES = 131_072
"""So many requests are remembered; the first are forgotten first."""

BLOCK = 1024
"""So many requests, or more that came at once, make a block."""


class EndedPlaces:
    """The engines of requests, in blocks as they come.

    To add a request costs next to nothing. To look one up costs a step for each block, the last ones
    first, and the logarithm of its size in those that may have it, which are few: ids mostly come in
    order.
    """

    __slots__ = ("_blocks", "_count", "_latest")

    def __init__(self) -> None:
        self._latest: dict[int, int] = {}
        self._blocks: deque[tuple[Sequence[int], array[int]]] = deque()
        self._count = 0

    def __len__(self) -> int:
        return self._count + len(self._latest)

    def add(self, outcomes: Sequence[Outcome]) -> None:
        """Remember where some requests ran."""
        latest = self._latest
        latest.update((outcome[0], outcome[3]) for outcome in outcomes)
        if len(latest) < BLOCK:
            return
        numbers: Sequence[int] = sorted(latest)
        engines = array("i", map(latest.__getitem__, numbers))
        first, beyond = numbers[0], numbers[-1] + 1
        is_whole = beyond - first == len(numbers)
        numbers = range(first, beyond) if is_whole else array("Q", numbers)
        self._blocks.append((numbers, engines))
        self._count += len(numbers)
        latest.clear()
        while self._count > MOST_PLACES:
            self._count -= len(self._blocks.popleft()[0])

    def of(self, number: int) -> int | None:
        """Return the engine of a request; None if that is not known."""
        engine = self._latest.get(number)
        if engine is None:
            engine = self._in_blocks(number)
        return engine if engine >= 0 else None

    def _in_blocks(self, number: int) -> int:
        for numbers, engines in reversed(self._blocks):
            if numbers[0] <= number <= numbers[-1]:
                place = bisect_left(numbers, number)
                if numbers[place] == number:
                    return engines[place]
        return -1

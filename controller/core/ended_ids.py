"""Which requests have ended, and how, when nothing else is known of them any more.

A task may wait for what has ended long ago. Ids are consecutive, and so are those that have ended,
mostly: as ranges they take next to no memory, however many they are.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable

MOST_RANGES = 65_536
"""So many ranges of a client are kept; beyond, those of the smallest ids are forgotten."""


class IdSet:
    """A set of ids, as ranges. An id more, or a range, costs the logarithm of their number."""

    __slots__ = ("_firsts", "_lasts")

    def __init__(self) -> None:
        self._firsts: list[int] = []
        self._lasts: list[int] = []

    def __contains__(self, number: int) -> bool:
        place = bisect_right(self._firsts, number) - 1
        return place >= 0 and number <= self._lasts[place]

    @property
    def highest(self) -> int:
        """The highest id; 0 for none."""
        return self._lasts[-1] if self._lasts else 0

    def __len__(self) -> int:
        return sum(b - a + 1 for a, b in zip(self._firsts, self._lasts, strict=True))

    def add(self, first: int, last: int) -> None:
        """Add a range; it joins those that it touches."""
        firsts, lasts = self._firsts, self._lasts
        begin = bisect_right(lasts, first - 2)  # the first range that ends at first - 1 or later
        end = bisect_right(firsts, last + 1)  # the first that begins behind last + 1
        if begin < end:
            first, last = min(first, firsts[begin]), max(last, lasts[end - 1])
        firsts[begin:end], lasts[begin:end] = [first], [last]
        if len(firsts) > MOST_RANGES:
            del firsts[: MOST_RANGES // 2], lasts[: MOST_RANGES // 2]

    def discard(self, first: int, last: int) -> None:
        """Take out a range."""
        firsts, lasts = self._firsts, self._lasts
        begin, end = bisect_right(lasts, first - 1), bisect_right(firsts, last)
        if begin >= end:
            return
        left = [(firsts[begin], first - 1)] if firsts[begin] < first else []
        right = [(last + 1, lasts[end - 1])] if lasts[end - 1] > last else []
        firsts[begin:end] = [a for a, _ in left + right]
        lasts[begin:end] = [b for _, b in left + right]


class EndedIds:
    """The requests of one client that have ended and that it has the results of."""

    __slots__ = ("_ill", "_well")

    def __init__(self) -> None:
        self._well = IdSet()
        self._ill = IdSet()

    def add(self, ranges: Iterable[tuple[int, int]], failed: Iterable[int]) -> None:
        """Add ranges of requests that have ended, of which some have failed."""
        for first, last in ranges:
            self._well.add(first, last)
        for number in failed:
            self._well.discard(number, number)
            self._ill.add(number, number)

    @property
    def highest(self) -> int:
        """The highest id; 0 for none."""
        return max(self._well.highest, self._ill.highest)

    def discard(self, first: int, last: int) -> None:
        """Forget a range."""
        self._well.discard(first, last)
        self._ill.discard(first, last)

    def how(self, number: int) -> bool | None:
        """Say whether a request ended well; None if that is not known."""
        if number in self._well:
            return True
        return False if number in self._ill else None

"""Deadlines: what is due when, of which most never will be, since it ends before."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator
from itertools import count
from typing import Generic, TypeVar

K = TypeVar("K")

FEW_STALE = 64
"""So many stale entries are never worth removing."""


class Deadlines(Generic[K]):
    """At most one deadline (seconds) for each thing. An event costs the logarithm of their number.

    Parameters
    ----------
    wake
        Is told of each deadline that is set.
    """

    __slots__ = ("_count", "_due", "_heap", "_wake")

    def __init__(self, wake: Callable[[float], None]) -> None:
        self._wake = wake
        self._due: dict[K, tuple[float, int]] = {}
        self._heap: list[tuple[float, int, K]] = []
        self._count = count()

    def __len__(self) -> int:
        return len(self._due)

    def __contains__(self, key: object) -> bool:
        return key in self._due

    def of(self, key: K) -> float:
        """Return the deadline of a thing that has one."""
        return self._due[key][0]

    def set(self, key: K, due: float) -> None:
        """Set the deadline of a thing, also anew."""
        number = next(self._count)
        self._due[key] = due, number
        heapq.heappush(self._heap, (due, number, key))
        self._wake(due)
        if len(self._heap) > 2 * len(self._due) + FEW_STALE:
            self._sweep()

    def discard(self, key: K) -> None:
        """Forget the deadline of a thing, if it has one."""
        if self._due.pop(key, None) is not None and (
            len(self._heap) > 2 * len(self._due) + FEW_STALE
        ):
            self._sweep()

    def _sweep(self) -> None:
        self._heap = [(due, number, key) for key, (due, number) in self._due.items()]
        heapq.heapify(self._heap)

    def __iter__(self) -> Iterator[K]:
        return iter(self._due)

    @property
    def next(self) -> float | None:
        """When the first of them is due."""
        heap = self._heap
        while heap:
            due, number, key = heap[0]
            if self._due.get(key) == (due, number):
                return due
            heapq.heappop(heap)
        return None

    def take_due(self, now: float) -> Iterator[K]:
        """Take the things that are due, one after the other."""
        while (due := self.next) is not None and due <= now:
            key = heapq.heappop(self._heap)[2]
            del self._due[key]
            yield key

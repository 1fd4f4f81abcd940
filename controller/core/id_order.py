"""The ids on record in order, for who goes through them page by page. No I/O."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Collection, Iterator
from itertools import chain, takewhile
from typing import Any

ORDER_SECONDS = 5.0
"""So long (seconds) pages go on in the order of the first of them, and the order is kept unused."""


class IdOrder:
    """The order.

    To sort all ids takes long where there are many. So those that have come since are sorted into those
    that are in order: in the table of records they stand behind the others.
    """

    __slots__ = ("_ids", "_used")

    def __init__(self) -> None:
        self._ids: list[int] = []
        self._used = 0.0

    def after(
        self, number: int, records: dict[int, Any], ended: Collection[int], now: float
    ) -> Iterator[int]:
        """Yield the ids that come after a number: those on record and those of what has ended.

        Who goes on from a number gets those that were there when they were last put in order, which is
        not done for each page.
        """
        if number <= 0 or now - self._used >= ORDER_SECONDS:
            self._put_in_order(records, ended)
            self._used = now
        ids = self._ids
        for place in range(bisect_right(ids, number), len(ids)):
            if ids[place] in records or ids[place] in ended:
                yield ids[place]

    def _put_in_order(self, records: dict[int, Any], ended: Collection[int]) -> None:
        ids = self._ids
        if not ids or len(ids) > 2 * (len(records) + len(ended)):
            self._ids = sorted(dict.fromkeys(chain(records, ended)))
            return
        fresh = dict.fromkeys(takewhile(self._lacks, reversed(records)))
        fresh.update(dict.fromkeys(filter(self._lacks, ended)))
        if fresh:
            self._ids = [*ids, *sorted(fresh)]
            self._ids.sort()  # two runs, which is quick; pages that are under way keep the former list

    def _lacks(self, number: int) -> bool:
        place = bisect_left(self._ids, number)
        return place == len(self._ids) or self._ids[place] != number

    def forget(self, now: float) -> None:
        """Let go of an order that nobody uses."""
        if self._ids and now - self._used >= ORDER_SECONDS:
            self._ids = []

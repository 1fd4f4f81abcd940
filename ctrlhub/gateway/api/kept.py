"""Rows of results that were asked for by HTTP, kept for those who fetch them. No I/O."""

from __future__ import annotations

from collections import OrderedDict

from ctrlhub.client.rows import Row
from ctrlhub.wire.codec import size_of, size_of_extras

ROW_BYTES = 400
"""What a row takes beside its payload and output."""


class Kept:
    """The latest rows, as many as there is room for; the last one in any case.

    What has no room any more can be had from the hub, as far as its history remembers it.

    Parameters
    ----------
    most_bytes, most
        How much is kept: bytes, and rows.

    Attributes
    ----------
    size : int
        How many bytes are kept.
    """

    def __init__(self, most_bytes: int, most: int) -> None:
        self._most_bytes = most_bytes
        self._most = most
        self._rows: OrderedDict[int, tuple[Row, int]] = OrderedDict()
        self.size = 0

    def __len__(self) -> int:
        return len(self._rows)

    def add(self, row: Row) -> None:
        """Keep a row; the oldest ones make room for it: all of them, if need be."""
        self.drop(row[0])
        size = weight(row)
        self._rows[row[0]] = (row, size)
        self.size += size
        while len(self._rows) > 1 and (self.size > self._most_bytes or len(self._rows) > self._most):
            _, (_, least) = self._rows.popitem(last=False)
            self.size -= least

    def find(self, number: int) -> Row | None:
        """Return the row of a request, if it is here."""
        found = self._rows.get(number)
        return None if found is None else found[0]

    def drop(self, number: int) -> None:
        """Forget a row, if it is here."""
        found = self._rows.pop(number, None)
        if found is not None:
            self.size -= found[1]

    def check(self) -> None:
        """Assert that the size is that of the rows."""
        assert self.size == sum(size for _, size in self._rows.values())
        assert len(self._rows) <= 1 or (self.size <= self._most_bytes and len(self._rows) <= self._most)


def weight(row: Row) -> int:
    """Return how many bytes a row takes, about."""
    payload = row[2] if isinstance(row[2], bytes | tuple) else b""
    extras = size_of_extras(row[6]) if row[6] else 0
    return ROW_BYTES + size_of(payload) + extras

"""The ledger of one stream: which requests are outstanding, and which of them the hub has."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable
from typing import Generic, TypeVar

from ctrlhub.wire.ids import Ranges, merged

FEW_RANGES = 64
"""Below this many ranges nothing is tidied up."""

R = TypeVar("R")


class Ledger(Generic[R]):
    """Outstanding requests by id, and what of them was accepted.

    What was accepted is kept as ranges, as the hub reports it, so that it costs nothing per task.
    It may forget that something was accepted (then it is sent once more, and recognised), but it
    never takes for accepted what was not.

    Attributes
    ----------
    requests : dict
        The request of each id that has not ended.
    """

    __slots__ = ("_accepted", "_many", "requests")

    def __init__(self) -> None:
        self.requests: dict[int, R] = {}
        self._accepted: list[tuple[int, int]] = []
        self._many = FEW_RANGES

    def accept(self, ranges: Ranges) -> None:
        """Note what the hub has stored."""
        accepted = self._accepted
        for first, last in ranges:
            if accepted and accepted[-1][0] <= first <= accepted[-1][1] + 1:
                accepted[-1] = accepted[-1][0], max(last, accepted[-1][1])
            else:
                accepted.append((first, last))
        if len(accepted) > self._many:
            self._tidy()

    def forget_acceptance(self) -> None:
        """Take nothing for accepted: the hub that accepted it is no more."""
        self._accepted.clear()

    def unaccepted(self) -> list[int]:
        """Return the ids to be sent again, in order."""
        ranges = iter(merged(self._accepted))
        first, last = next(ranges, (-1, -1))
        found = []
        for number in sorted(self.requests):
            while last < number and first != -1:
                first, last = next(ranges, (-1, -1))
            if not first <= number <= last:
                found.append(number)
        return found

    def refused(self, ranges: Ranges) -> list[int]:
        """Return the ids that a refusal ends.

        It may name them. If it does not, the hub could not read the message, and it may have been
        any that is not accepted. What the hub has accepted it will run, whatever it refuses later.
        """
        unaccepted = self.unaccepted()
        if not ranges:
            return unaccepted
        named = merged(ranges)
        firsts = [first for first, _ in named]
        return [n for n in unaccepted if (k := bisect_right(firsts, n)) and n <= named[k - 1][1]]

    def take(self, numbers: Iterable[int]) -> list[tuple[int, R]]:
        """Take requests out, by id."""
        return [(number, self.requests.pop(number)) for number in numbers]

    def drop(self, number: int) -> bool:
        """Take a request out if it is here; return whether it was."""
        return self.requests.pop(number, None) is not None

    def take_all(self) -> list[tuple[int, R]]:
        """Take all requests out."""
        return self.take(list(self.requests))

    def _tidy(self) -> None:
        # What has ended needs no range: the ranges left are at most as many as the requests.
        outstanding = sorted(self.requests)
        kept, place = [], 0
        for first, last in merged(self._accepted):
            while place < len(outstanding) and outstanding[place] < first:
                place += 1
            if place < len(outstanding) and outstanding[place] <= last:
                kept.append((first, last))
        self._accepted = kept
        self._many = max(FEW_RANGES, 2 * len(kept))

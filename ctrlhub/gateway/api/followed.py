"""The requests whose ends are to be told: which of them to ask the hub for, and when. No I/O.

The hub takes so many ids in one call, and each costs it some of its time. So it is asked for a slice of
them at a time, in the order of their ids, round and round: however many are followed, and whatever
becomes of one slice, each has its turn.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Collection, Sequence

AT_ONCE = 2048
"""So many requests are named in one call: about as many as one answer holds."""

PER_TURN = 8192
"""And so many in one turn; of more, each has its turn later."""

PATIENCE = 30.0
"""How long (seconds) a request is asked for that the hub does not know: it may be on its way."""


class Numbers:
    """Numbers that come and go, each once.

    They are put in order when somebody asks for them, not for each; and then the new ones among those that
    are in order already: a hundred thousand that stay cost little.
    """

    def __init__(self) -> None:
        self._ordered: Sequence[int] = ()
        self._new: set[int] = set()
        self._gone: set[int] = set()

    def add(self, number: int) -> None:
        """Take one in that is not there."""
        if number in self._gone:
            self._gone.remove(number)
        else:
            self._new.add(number)

    def remove(self, number: int) -> None:
        """Let one go that is there."""
        if number in self._new:
            self._new.remove(number)
        else:
            self._gone.add(number)

    def ordered(self) -> Sequence[int]:
        """Return them in order; nobody changes what is returned."""
        if self._new or self._gone:
            gone = self._gone
            numbers = [n for n in self._ordered if n not in gone] if gone else [*self._ordered]
            numbers += sorted(self._new)
            numbers.sort()  # two pieces that are in order: it merges them
            self._ordered = tuple(numbers)
            self._new.clear()
            self._gone.clear()
        return self._ordered


class Rounds:
    """Which requests the hub is asked for next.

    Parameters
    ----------
    at_once
        How many are asked for in one call.
    patience
        How long (seconds) those are asked for that the hub does not know.
    """

    def __init__(self, at_once: int = AT_ONCE, patience: float = PATIENCE) -> None:
        self._at_once = at_once
        self._patience = patience
        self._place = -1
        self._unknown: dict[int, float] = {}

    def next(self, followed: Sequence[int], most: int) -> Sequence[int]:
        """Return which of those that are followed, in order, come next: at most so many.

        Parameters
        ----------
        followed
            All of them, in order.
        most
            How many at most.
        """
        begin = bisect_right(followed, self._place)
        if begin == len(followed):
            begin = 0
            if self._unknown:  # a round is over
                here = set(followed)
                self._unknown = {n: since for n, since in self._unknown.items() if n in here}
        return followed[begin : begin + min(most, self._at_once)]

    def passed(self, last: int) -> None:
        """Take note that those up to one have had their turn."""
        self._place = last

    def lacking(self, asked: Sequence[int], known: Collection[int], now: float) -> list[int]:
        """Take note of which the hub knows, of those that it was asked for and has answered.

        Returns
        -------
        list of int
            Those that it has not known for so long that nobody need ask for them any more.
        """
        lost = []
        for number in asked:
            if number in known:
                self._unknown.pop(number, None)
            elif now - self._unknown.setdefault(number, now) >= self._patience:
                del self._unknown[number]
                lost.append(number)
        return lost

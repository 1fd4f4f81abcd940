"""The ids of commands that were taken: what comes again is not run again."""

from __future__ import annotations

from array import array
from collections import OrderedDict

from ctrlhub.engine.work import Row
from ctrlhub.wire.errors import FailedBefore, ResultLost
from ctrlhub.wire.failure import summary_of
from ctrlhub.wire.ids import session_of
from ctrlhub.wire.messages import Status

REMEMBERED = 65_536
"""So many commands are recognised when they come again. A hub that forgot them sends those again that
were outstanding, which are among the last."""

SESSIONS = 4096
"""So many clients are known by their latest command."""

FAILURES = 1024
"""Of so many is known how they failed; the oldest are forgotten first."""

MOST_TEXT = 1000
"""So many characters of it."""


class TakenIds:
    """The last ids, 8 bytes each.

    The ids of a client mostly grow, and one above all before it is new: that takes no search. The
    others, such as those of two threads of a client that met, are looked for one by one.
    """

    __slots__ = ("_failures", "_highest", "_ids", "_limit", "_place")

    def __init__(self, limit: int = REMEMBERED) -> None:
        self._limit = limit
        self._ids = array("Q")
        self._place = 0
        self._highest: OrderedDict[int, int] = OrderedDict()
        self._failures: OrderedDict[int, str] = OrderedDict()

    def __contains__(self, number: object) -> bool:
        if not isinstance(number, int):
            return False
        highest = self._highest.get(session_of(number))
        return (highest is None or number <= highest) and number in self._ids

    def add(self, number: int) -> None:
        """Remember an id; the oldest is forgotten, if there are too many."""
        if len(self._ids) < self._limit:
            self._ids.append(number)
        else:
            self._ids[self._place] = number
            self._place = (self._place + 1) % self._limit
        session = session_of(number)
        if number > self._highest.get(session, -1):
            self._highest[session] = number
            self._highest.move_to_end(session)
            if len(self._highest) > SESSIONS:
                self._highest.popitem(last=False)

    def failed(self, number: int, how: str) -> None:
        """Remember how a command failed."""
        self._failures[number] = how[:MOST_TEXT]
        if len(self._failures) > FAILURES:
            self._failures.popitem(last=False)

    def failure(self, number: int) -> str:
        """Say how a command failed; empty if it did not, or nobody knows any more."""
        return self._failures.get(number, "")

    def loss(self, number: int) -> ResultLost:
        """Return what to say of one that comes again, when its result is gone."""
        failure = self.failure(number)
        if failure:
            return FailedBefore(failure)
        return ResultLost(
            "this command was run before, and its result was lost with the hub that had it"
        )


def how_it_failed(row: Row) -> str:
    """Say how a command failed."""
    if row[2] == Status.CANCELLED:
        return "it was cancelled"
    return summary_of(row[2], row[3])

"""The ids of the requests that this process makes in its session: others may have had that before."""

from __future__ import annotations

from itertools import islice
from operator import length_hint

from ctrlhub.wire.ids import request_id, session_of
from ctrlhub.wire.limits import COUNTER_BITS

MOST_REQUESTS = (1 << COUNTER_BITS) - 1
"""How many requests a session can make."""


class IdSupply:
    """Hands out ids, to any thread.

    Parameters
    ----------
    session
        The number of the session.
    first
        The counter to begin with.

    Attributes
    ----------
    next_id : callable
        Takes the next id.
    """

    def __init__(self, session: int, first: int) -> None:
        self._session = session
        self._first = request_id(session, first)
        self._beyond = request_id(session, MOST_REQUESTS) + 1
        # A range and not a count, since it can tell how far it has come.
        self._numbers = iter(range(self._first, self._beyond))
        self.next_id = self._numbers.__next__

    def next_ids(self, n: int) -> int:
        """Take `n` consecutive ids; return the first."""
        while True:
            ids = list(islice(self._numbers, n))
            # Another thread may have taken one in between; then these are lost, of which there
            # are enough.
            if ids[-1] - ids[0] == n - 1:
                return ids[0]

    def taken(self) -> range:
        """Return the ids that were taken so far."""
        return range(self._first, self._beyond - length_hint(self._numbers))

    def is_former(self, number: int) -> bool:
        """Say whether a request is one of this session's that another process has made."""
        return session_of(number) == self._session and number < self._first

"""What interfaces share whose requests may go from one process to another, with their session."""

from __future__ import annotations

from itertools import chain
from typing import Generic

from ctrlhub.controller.core.sessions import Session
from ctrlhub.controller.interfaces.recorded import R, Recorded
from ctrlhub.wire.ids import Ranges, request_id
from ctrlhub.wire.messages import Received


class HandingOver(Recorded[R], Generic[R]):
    """An interface that knows what is left in a session, and keeps it for who asks for it."""

    def handed_over(self, session: Session, now: float) -> None:
        """Keep results until the process asks for them that has the session now."""
        self._followers.leave(session)
        self._deliveries.hold(session)

    def have_been_read(self, session: Session, ranges: Ranges, now: float) -> None:
        """Let go of results that a client has, which leaves."""
        self.received(session, Received(ranges), self.stream, now)

    def numbers_of(self, session: Session) -> list[int]:
        """Return the ids of a client's requests whose results it has not acknowledged."""
        lowest, beyond = request_id(session.number, 0), request_id(session.number + 1, 0)
        each = chain(self._records, self._spoilt)
        return [number for number in each if lowest <= number < beyond]

    def highest(self, session: Session) -> int:
        """Return the highest id that is known of a client's requests; 0 for none."""
        ended = self._ended_ids.get(session.number)
        return max([0 if ended is None else ended.highest, *self.numbers_of(session)])

    def left(self, session: Session) -> tuple[int, int]:
        """Return how many requests of a client have not ended, and how many results it has to fetch."""
        unfetched = self._deliveries.count(session)
        return max(0, self._kept.get(session, 0) - unfetched), unfetched

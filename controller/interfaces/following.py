"""Following: clients get the results of requests of whosoever they are, now or once there are any. No I/O."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from ctrlhub.controller.core.deliveries import Deliveries, Outcome
from ctrlhub.controller.core.followers import Followers
from ctrlhub.controller.core.history import GONE, lost, too_large
from ctrlhub.controller.core.sessions import Session
from ctrlhub.wire.errors import ResultLost


class Made(Protocol):
    """A request, as far as it matters here: who has made it."""

    session: Session


class Following:
    """What clients may ask of the results of an interface's requests.

    Parameters
    ----------
    find
        Returns a request that is on record, and its outcome once there is one.
    followers
        Who follows what.
    deliveries
        Brings results to clients.
    """

    def __init__(
        self,
        find: Callable[[int], tuple[Made, Outcome | None] | None],
        followers: Followers,
        deliveries: Deliveries,
    ) -> None:
        self._find = find
        self._followers = followers
        self._deliveries = deliveries

    def check_room(self, session: Session) -> None:
        """See to it that a client acknowledges what it has followed before it follows more."""
        self._followers.check_room(session)

    def follow(self, session: Session, number: int) -> bool:
        """Have a client get the result of a request, now or once there is one; False if unknown.

        Raises
        ------
        LimitExceeded
            The client follows too many.
        """
        found = self._find(number)
        if found is None:
            return False
        request, outcome = found
        if outcome is None:
            if request.session is not session:
                self._followers.add(session, number)
            elif number < session.first:
                self._deliveries.ask(session, number)
        else:
            outcome = outcome if outcome[2] != GONE else too_large(outcome)
            self._deliveries.repeat(session, outcome)
            self._followers.sent(session, outcome)
        return True

    def expect(self, session: Session, number: int) -> None:
        """Have a client get the result of a request that may come.

        Raises
        ------
        LimitExceeded
            The client follows too many.
        """
        self._followers.add(session, number)

    def give_up(self, number: int) -> Sequence[Session]:
        """Have nobody get the result of a request; return who was to."""
        return self._followers.give_up(number)

    def lose(self, session: Session, number: int, error: ResultLost) -> None:
        """Have a client's wish for a result end with an error."""
        outcome = lost(number, error)
        self._deliveries.repeat(session, outcome)
        self._followers.sent(session, outcome)

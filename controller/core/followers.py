"""Who gets the results of requests besides the clients that made them. No I/O."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence

from ctrlhub.controller.core.deliveries import Outcome, weight
from ctrlhub.controller.core.sessions import Session
from ctrlhub.wire.errors import LimitExceeded

MOST_FOLLOWED = 65_536
"""The most requests without a result that one client may follow, and the most results that it has not
acknowledged of those that it has followed."""

MOST_BYTES = 256 * 1024 * 1024
"""The most bytes of the latter."""


class Followers:
    """Clients that follow requests, and watchers in the hub itself.

    Attributes
    ----------
    of : dict
        The clients that follow a request, by its id.
    watchers : dict
        What is called with the outcome of a request, by its id.
    unread : dict
        The sizes of the results that a client has followed and not acknowledged, by id.
    """

    __slots__ = ("_followed", "_sizes", "of", "unread", "watchers")

    def __init__(self) -> None:
        self.of: dict[int, list[Session]] = {}
        self.watchers: dict[int, Callable[[Outcome], None]] = {}
        self._followed: dict[Session, set[int]] = {}
        self.unread: dict[Session, dict[int, int]] = {}
        self._sizes: Counter[Session] = Counter()

    def check_room(self, session: Session) -> None:
        """See to it that a client acknowledges what it has followed before it follows more.

        Raises
        ------
        LimitExceeded
            It has not.
        """
        count, size = len(self.unread.get(session, ())), self._sizes[session]
        if count >= MOST_FOLLOWED or size >= MOST_BYTES:
            raise LimitExceeded(
                f"{count} results of {size} bytes are on their way to this client, which has not said "
                "that it has them: ask for fewer at a time"
            )

    def sent(self, session: Session, outcome: Outcome) -> None:
        """Take note that a client is sent a result that it follows."""
        unread = self.unread.setdefault(session, {})
        size = weight(outcome)
        self._sizes[session] += size - unread.get(outcome[0], 0)
        unread[outcome[0]] = size

    def received(self, session: Session, outcomes: Iterable[Outcome]) -> None:
        """Take note that a client has results."""
        unread = self.unread.get(session)
        if unread is None:
            return
        for outcome in outcomes:
            self._sizes[session] -= unread.pop(outcome[0], 0)
        if not unread:
            del self.unread[session], self._sizes[session]

    def add(self, session: Session, number: int) -> None:
        """Have a client follow a request.

        Raises
        ------
        LimitExceeded
            The client follows too many.
        """
        followed = self._followed.setdefault(session, set())
        if number in followed:
            return
        if len(followed) >= MOST_FOLLOWED:
            raise LimitExceeded(f"more than {MOST_FOLLOWED} results are waited for: get() some")
        followed.add(number)
        self.of.setdefault(number, []).append(session)

    def take(self, outcome: Outcome) -> Sequence[Session]:
        """Tell the watcher of a request its outcome; return the clients that followed it."""
        watcher = self.watchers.pop(outcome[0], None)
        if watcher is not None:
            watcher(outcome)
        sessions = self.give_up(outcome[0])
        for session in sessions:
            self.sent(session, outcome)
        return sessions

    def give_up(self, number: int) -> Sequence[Session]:
        """Have nobody follow a request; return the clients that did."""
        sessions = self.of.pop(number, ())
        for session in sessions:
            self._followed[session].discard(number)
        return sessions

    def leave(self, session: Session) -> None:
        """Take note that a client is gone."""
        self.unread.pop(session, None)
        self._sizes.pop(session, None)
        for number in self._followed.pop(session, ()):
            sessions = self.of[number]
            sessions.remove(session)
            if not sessions:
                del self.of[number]

    def check(self) -> None:
        """Assert that both directions agree, and that nobody follows who is gone."""
        pairs = {(n, s) for n, sessions in self.of.items() for s in sessions}
        assert pairs == {(n, s) for s, numbers in self._followed.items() for n in numbers}
        assert not any(session.ended for session in (*self._followed, *self.unread))
        assert +self._sizes == +Counter({s: sum(sent.values()) for s, sent in self.unread.items()})

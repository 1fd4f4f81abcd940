"""Who gets the results of requests besides the clients that made them. No I/O."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ctrlhub.controller.core.deliveries import Outcome
from ctrlhub.controller.core.sessions import Session
from ctrlhub.wire.errors import LimitExceeded

MOST_FOLLOWED = 65_536
"""The most requests without a result that one client may follow."""


class Followers:
    """Clients that follow requests, and watchers in the hub itself.

    Attributes
    ----------
    of : dict
        The clients that follow a request, by its id.
    watchers : dict
        What is called with the outcome of a request, by its id.
    """

    __slots__ = ("_followed", "of", "watchers")

    def __init__(self) -> None:
        self.of: dict[int, list[Session]] = {}
        self.watchers: dict[int, Callable[[Outcome], None]] = {}
        self._followed: dict[Session, set[int]] = {}

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
        sessions = self.of.pop(outcome[0], ())
        for session in sessions:
            self._followed[session].discard(outcome[0])
        return sessions

    def leave(self, session: Session) -> None:
        """Take note that a client is gone."""
        for number in self._followed.pop(session, ()):
            sessions = self.of[number]
            sessions.remove(session)
            if not sessions:
                del self.of[number]

    def check(self) -> None:
        """Assert that both directions agree, and that nobody follows who is gone."""
        pairs = {(n, s) for n, sessions in self.of.items() for s in sessions}
        assert pairs == {(n, s) for s, numbers in self._followed.items() for n in numbers}
        assert not any(session.ended for session in self._followed)

"""Peers whose process has ended with nobody to say so: they are silent, and their connection is closed. No I/O.

A closed connection alone means little: ZeroMQ makes another, and the peer says hello on that. Silence alone
may be a network that is cut, which closes nothing. Both together are a process that has ended, as when a
nanny and its engines are killed at once; so nobody has to wait until the silence is long enough by itself.
"""

from __future__ import annotations

import logging

from ctrlhub.controller.core import causes
from ctrlhub.controller.core.effects import Outbox
from ctrlhub.controller.core.sessions import Session, Sessions
from ctrlhub.wire.messages import Beat, Stream

log = logging.getLogger(__name__)

LONGEST = 10.0
"""After a longer silence (seconds) than this ZeroMQ may have closed the connection itself."""


class Vanished:
    """Tries the connections of peers that have become silent.

    Parameters
    ----------
    outbox
        Where effects go.
    suspect
        After how long a silence (seconds) that is.
    """

    def __init__(self, outbox: Outbox, suspect: float) -> None:
        self._outbox = outbox
        self._suspect = suspect
        self._tried: set[int] = set()
        self._found: set[int] = set()

    def attempt(self, session: Session) -> None:
        """Say something to an engine or a nanny that has just become suspect, to see whether that is possible."""
        if session.role.is_client or self._suspect > LONGEST:
            return
        if session.send(self._outbox, Stream.HUB, Beat()):
            self._tried.add(session.number)
        else:
            self._found.add(session.number)

    def unreachable(self, session: Session, stream: Stream) -> None:
        """Take note that a peer's connection is closed."""
        if stream is Stream.HUB and session.number in self._tried:
            self._found.add(session.number)

    @property
    def any(self) -> bool:
        """Whether some were found."""
        return bool(self._found)

    def take(self, sessions: Sessions) -> list[Session]:
        """Return those that were found and have not come back since, and say of each what became of it."""
        if not self._tried and not self._found:
            return []
        found = [sessions.of_number(number) for number in sorted(self._found)]
        self._tried.clear()
        self._found.clear()
        ended = [
            session
            for session in found
            if session is not None and session.suspect and Stream.HUB not in session.connections
        ]
        for session in ended:
            self._tell(session)
        return ended

    def _tell(self, session: Session) -> None:
        what = f"{session.role.noun} {session.number}"
        log.warning("%s has ended: silent for %g s, its connection closed", what, self._suspect)
        if session.engine is not None:
            session.engine.cause = causes.of_closed_connection(session.pid, session.host)

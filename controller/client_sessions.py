"""The sessions of clients: how long each is kept while its client is away, across hubs. No I/O."""

from __future__ import annotations

from ctrlhub.controller.config import HubConfig
from ctrlhub.controller.core.deadlines import Deadlines
from ctrlhub.controller.core.effects import Outbox
from ctrlhub.controller.core.saved import Saved, SavedSession
from ctrlhub.controller.core.saved_sessions import KeptSession, SavedSessions
from ctrlhub.controller.core.sessions import Session, Sessions
from ctrlhub.wire.ids import session_of
from ctrlhub.wire.messages import Role

READERS = 60.0
"""For so long (seconds) the session of a client that reads only is kept, which has nothing in it: who comes and goes
without end is not to take the places of others."""


class ClientSessions:
    """The sessions of clients, by number, and their time.

    Parameters
    ----------
    config
        The hub's options.
    outbox
        Where effects go.
    sessions
        Those of all peers.
    expiry
        When those end whose peers are away.

    Attributes
    ----------
    by_number
        The sessions of clients.
    unix_offset
        What the hub's clock lacks to Unix time (seconds).
    """

    def __init__(
        self, config: HubConfig, outbox: Outbox, sessions: Sessions, expiry: Deadlines[int]
    ) -> None:
        self.by_number: dict[int, Session] = {}
        self.unix_offset = 0.0
        self._config = config
        self._sessions = sessions
        self._expiry = expiry
        self._saved = SavedSessions(outbox)

    def set_clock(self, unix_offset: float) -> None:
        """Say what the hub's clock lacks to Unix time (seconds)."""
        self.unix_offset = self._saved.unix_offset = unix_offset

    def restore(self, saved: Saved, now: float) -> dict[int, Session]:
        """Expect those back for whom the hub before this one has something; return all that it knew."""
        waited_for = {session_of(n) for n in saved.tasks.keys() - saved.fetched}
        waited_for |= {session_of(n) for n in saved.commands.keys() - saved.fetched}
        kept = self._saved.take_back(saved)
        found: dict[int, Session] = {}
        for number, client in saved.sessions.items():
            known = kept.pop(number, None)
            if known is not None:
                client = SavedSession(number, *known[:4], known.role)
            lives = number in waited_for and self._sessions.of_key(client.key) is None
            session = found[number] = self._sessions.restore(client, lives=lives)
            if lives:
                self._expect(session, known, now)
            else:
                self._saved.ended(number)
        for number in kept:
            self._saved.ended(number)
        return found

    def _expect(self, session: Session, known: KeptSession | None, now: float) -> None:
        """Expect a client back; how long it was away with the hub before this one counts."""
        absence = 0.0
        if known is not None:
            session.first, session.retention = known.first, known.retention
            absence = known.absence(now + self.unix_offset)
        self.by_number[session.number] = session
        left = max(self._config.lost, self.kept_for(session) - absence)
        self._expiry.set(session.number, now + left)
        self._saved.left(session, now, absence)

    def kept_for(self, session: Session) -> float:
        """Return for how long (seconds) a session is kept while its peer is away."""
        longest = READERS if session.role is Role.VIEW else float("inf")
        return session.retention or min(longest, self._config.session_ttl)

    def expires(self, session: Session) -> float:
        """Return when (Unix time) the session of a client that is away ends."""
        return self._expiry.of(session.number) + self.unix_offset

    def here(self, session: Session) -> None:
        """Take note that a client is here."""
        self.by_number[session.number] = session
        self._saved.here(session)

    def left(self, session: Session, now: float) -> None:
        """Take note that a client is away."""
        self._saved.left(session, now)

    def ended(self, session: Session) -> bool:
        """Forget a session; False if it was no client's."""
        if self.by_number.pop(session.number, None) is None:
            return False
        self._saved.ended(session.number)
        return True

    def hub_stops(self, now: float) -> None:
        """Leave to the hub after this one what it has to know."""
        for session in self.by_number.values():
            left = whole = self.kept_for(session)
            if session.number in self._expiry:
                left = self._expiry.of(session.number) - now
            self._saved.hub_stops(session, max(0.0, whole - left))

    def check(self) -> None:
        """Assert that these are the clients among the sessions."""
        clients = {s.number: s for s in self._sessions if s.role.is_client}
        assert self.by_number == clients

"""What is stored of clients besides what stands with their requests: how long they have been away.

A session that was detached is kept for as long as its client wished, and that of a client that has
vanished for the hub's `session_ttl`; neither begins anew with another hub. Time in which no hub was
there, since somebody had stopped it, does not count.
"""

from __future__ import annotations

from typing import NamedTuple

from ctrlhub.controller.core.effects import Commit, Drop, Keep, Outbox
from ctrlhub.controller.core.saved import Saved
from ctrlhub.controller.core.sessions import Session
from ctrlhub.wire.messages import Role

SESSIONS = "session/"
"""Sessions are kept under this and their number."""

HERE = -1.0
"""Since when a client has been away that is here."""


class KeptSession(NamedTuple):
    """A session as it is stored; see `Session` for the first six."""

    key: str
    incarnation: bytes
    pid: int
    host: str
    first: int
    retention: float
    away: float
    """For how long (seconds) its client had been away before."""
    since: float
    """And since when (Unix time) it has been."""
    role: str = Role.ADMIN.value
    """What it may, as in `SavedSession`."""

    def absence(self, unix_now: float) -> float:
        """Return for how long (seconds) its client has been away."""
        return self.away + (0.0 if self.since == HERE else max(0.0, unix_now - self.since))


class SavedSessions:
    """Stores what is to be known of sessions by the hub after this one.

    Parameters
    ----------
    outbox
        Where effects go.

    Attributes
    ----------
    unix_offset
        What the hub's clock lacks to Unix time (seconds).
    """

    def __init__(self, outbox: Outbox) -> None:
        self.unix_offset = 0.0
        self._outbox = outbox
        self._stored: set[int] = set()

    def take_back(self, saved: Saved) -> dict[int, KeptSession]:
        """Return what is stored, by number."""
        kept = saved.kept.items()
        found = {
            int(name.removeprefix(SESSIONS)): KeptSession(*value)
            for name, value in kept
            if name.startswith(SESSIONS)
        }
        self._stored.update(found)
        return found

    def here(self, session: Session) -> None:
        """Take note that a client is here."""
        if session.retention or session.first:
            self._keep(session, 0.0, HERE)
        else:
            self.ended(session.number)

    def left(self, session: Session, now: float, absence: float = 0.0) -> None:
        """Take note that a client is away, and for how long (seconds) it has been."""
        self._keep(session, absence, now + self.unix_offset)

    def hub_stops(self, session: Session, absence: float) -> None:
        """Take note of a client, and how long it has been away, while no hub is there."""
        self._keep(session, absence, HERE)

    def ended(self, number: int) -> None:
        """Forget a session."""
        if number in self._stored:
            self._stored.discard(number)
            self._outbox.add(Commit((Drop(f"{SESSIONS}{number}"),)))

    def _keep(self, session: Session, away: float, since: float) -> None:
        self._stored.add(session.number)
        kept = KeptSession(
            session.key, session.incarnation, session.pid, session.host, session.first,
            session.retention, away, since, session.role.value,
        )  # fmt: skip
        self._outbox.add(Commit((Keep(f"{SESSIONS}{session.number}", tuple(kept)),)))

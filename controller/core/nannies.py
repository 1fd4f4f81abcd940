"""The nannies: who speaks for which engine. No I/O."""

from __future__ import annotations

from collections.abc import Iterable

from ctrlhub.controller.core.sessions import Session, Sessions
from ctrlhub.controller.core.usage import Usage
from ctrlhub.wire import messages as m


class Nannies:
    """The nannies that are registered, in the order of their last arrival."""

    __slots__ = ("_sessions",)

    def __init__(self) -> None:
        self._sessions: dict[int, Session] = {}

    def add(self, session: Session) -> None:
        """Take note of one that has arrived."""
        self._sessions[session.number] = session

    def forget(self, number: int) -> None:
        """Take note that a session has ended, if it was a nanny's."""
        self._sessions.pop(number, None)

    def of(self, key: str) -> Session | None:
        """Return the nanny that vouches for a key; of several, one of which has died, the last."""
        here = (n for n in reversed(self._sessions.values()) if m.Stream.HUB in n.connections)
        return next((nanny for nanny in here if key in nanny.vouches), None)

    def check(self, sessions: Iterable[Session]) -> None:
        """Assert that these are the nannies among some sessions."""
        assert self._sessions == {s.number: s for s in sessions if s.role is m.Role.NANNY}


def speaks_for(nanny: Session, charge: Session) -> bool:
    """Say whether a nanny is believed what it says of an engine: its own, as long as that is here."""
    own = charge.nanny
    return charge.role is m.Role.ENGINE and (
        own is None or own is nanny or m.Stream.HUB not in own.connections
    )


def note_usage(
    sessions: Sessions, teller: Session, rows: Iterable[m.UsageRow], now: float
) -> None:
    """Take note of what engines use, as themselves or their nannies tell."""
    for key, cpu, rss, *_ in rows:
        charge = teller if key == teller.key else sessions.of_key(key)
        if charge is not None and charge.role is m.Role.ENGINE and (
            charge is teller or (teller.role is m.Role.NANNY and speaks_for(teller, charge))
        ):  # fmt: skip
            if charge.usage is None:
                charge.usage = Usage()
            charge.usage.tell(cpu, rss, now)

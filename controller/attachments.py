"""Sessions that outlive their clients: detached, attached to by another process, ended. No I/O.

A session is left to others by its client (`detach`), or by whoever has lost it: a client that is not
heard any more. Whoever attaches to it has its requests and results; two never have it at once.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from ctrlhub.controller.config import HubConfig
from ctrlhub.controller.core.sessions import Session
from ctrlhub.controller.exposed import Exposed
from ctrlhub.controller.peers import Peers
from ctrlhub.wire import messages as m
from ctrlhub.wire.errors import (
    InvalidRequest,
    LimitExceeded,
    NoSuchSession,
    PermissionDenied,
    SessionAttached,
)
from ctrlhub.wire.ids import counter_of, request_id
from ctrlhub.wire.limits import COUNTER_BITS
from ctrlhub.wire.messages import Role

log = logging.getLogger(__name__)

STRIDE = 1 << 20
"""The ids of each process that has a session begin at a multiple of this: so none is used twice, also
where the hub has forgotten what another process has used last."""


class Attachments:
    """Who may have a session, and who has it.

    Parameters
    ----------
    config
        The hub's options.
    peers
        The sessions.
    exposed
        The interfaces, which have the requests.
    clock
        The time of this turn (seconds).
    """

    def __init__(
        self, config: HubConfig, peers: Peers, exposed: Exposed, clock: Callable[[], float]
    ) -> None:
        self._config = config
        self._peers = peers
        self._exposed = exposed
        self._clock = clock

    def attach(self, message: m.Register, now: float) -> Session:
        """Give a session to another process.

        Raises
        ------
        NoSuchSession
            There is none of this number.
        SessionAttached
            Another process has it.
        PermissionDenied
            The role of the one that asks is lower than that of the session, or reads only; or another process
            has it, and it asks to take it over without being an admin.
        """
        session = self._peers.clients.by_number.get(message.session)
        role = Role(message.role)
        _need(role, Role.SUBMIT, "to attach to a session")
        if session is None:
            raise NoSuchSession(_none(message.session))
        _need(role, session.role, f"to attach to session {session.number}")
        if not self._peers.is_away(session) and message.take_over:
            _need(role, Role.ADMIN, f"to take over session {session.number} from the client that has it")
        if not self._peers.is_away(session) and not message.take_over:
            raise SessionAttached(
                f"session {session.number} is attached to process {session.pid} on {session.host}: "
                "detach() it there, or take it over with "
                f"Client(session={session.number}, takeover=True)"
            )
        next_id = max(self._exposed.highest(session), session.first)
        counter = counter_of(next_id)
        counter += STRIDE - counter % STRIDE
        if counter >= 1 << COUNTER_BITS:
            raise LimitExceeded(f"session {session.number} has no ids left: submit in a new one")
        log.info(
            "session %d goes from process %d on %s to process %d on %s",
            session.number, session.pid, session.host, message.pid, message.host,
        )  # fmt: skip
        self._peers.hand_over(session, message)
        session.first = request_id(session.number, counter)
        session.retention = session.retention or self._config.detached_ttl
        self._exposed.handed_over(session, now)
        return session

    # ------------------------------------------------------------ what interfaces may ask

    def detach(self, session: Session, keep: float | None) -> float:
        """Leave a session to whoever attaches to it; return for how long (seconds) it is kept."""
        if keep is None:
            keep = session.retention or self._config.detached_ttl
        if not 0 < keep <= LONGEST:
            raise InvalidRequest(f"keep must be a number of seconds in 0 ... {LONGEST:g}")
        session.retention = float(keep)
        self._peers.leave(session, self._clock())
        return session.retention

    def end(self, number: int) -> None:
        """End a session that no client is attached to, with all that is kept for it.

        Raises
        ------
        NoSuchSession
            There is none of this number.
        SessionAttached
            A client is attached to it.
        """
        session = self._peers.clients.by_number.get(number)
        if session is None:
            raise NoSuchSession(_none(number))
        if not self._peers.is_away(session):
            raise SessionAttached(
                f"session {number} is attached to process {session.pid} on {session.host}, which ends it "
                "when it closes its client"
            )
        self._peers.end(session, self._clock())

    def described(self) -> list[dict[str, Any]]:
        """Return what is to be said of each client's session, by number."""
        return [self._describe(session) for _, session in sorted(self._peers.clients.by_number.items())]

    def _describe(self, session: Session) -> dict[str, Any]:
        away = self._peers.is_away(session)
        unended, unfetched = self._exposed.left(session)
        return {
            "session": session.number,
            "state": "attached" if not away else "detached" if session.retention else "vanished",
            "pid": session.pid,
            "host": session.host,
            "outstanding": unended,
            "results": unfetched,
            "expires": self._peers.clients.expires(session) if away else None,
        }


LONGEST = 10 * 365 * 86400.0
"""The longest (seconds) that a detached session is kept."""


def _need(role: Role, needed: Role, what: str) -> None:
    if not role.allows(needed):
        raise PermissionDenied.of(role.value, what, needed.value)


def _none(number: int) -> str:
    return (
        f"the hub has no session {number} (any more): `ctrl-hub sessions` lists those it has; results "
        "that it remembers can be had with get_result()"
    )

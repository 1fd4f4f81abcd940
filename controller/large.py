"""The large messages of the hub: those that come in parts, those that leave in them. No I/O.

Their parts travel on their stream, or over the bulk connection of a peer that has one
(`ctrlhub.wire.bulk`). That carries bytes and no more: a part that came over it counts as one that came
on its stream.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from hmac import compare_digest

from ctrlhub.controller.core.effects import Connection, EndBulk, Outbox, Send
from ctrlhub.controller.core.sessions import Session, Sessions
from ctrlhub.wire import messages as m
from ctrlhub.wire.bulk import TICKET_BYTES, Pass
from ctrlhub.wire.parts import Flows, Memory, Sink
from ctrlhub.wire.sealed import SECRET_BYTES

_NUMBER_BYTES = 8
"""So long is the session's number, with which a ticket begins."""


class LargeMessages:
    """What is on its way in parts, on all connections of a hub.

    Parameters
    ----------
    sessions
        Who is here.
    outbox
        Where effects go.
    new_token
        Makes bytes that nobody can guess.
    make
        Makes what gathers a large frame.

    Attributes
    ----------
    offers_bulk : bool
        The hub takes bulk connections.
    refused : int
        How many bulk connections were not those of peers.
    """

    def __init__(
        self,
        sessions: Sessions,
        outbox: Outbox,
        new_token: Callable[[], bytes],
        make: Callable[[int], Sink] = Memory,
    ) -> None:
        self.flows: Flows[Connection] = Flows(make)
        self.offers_bulk = False
        self.refused = 0
        self._sessions = sessions
        self._outbox = outbox
        self._new_token = new_token
        self._ready: dict[int, bytes] = {}

    # ------------------------------------------------------------ bulk connections

    def pass_for(self, session: Session, *, asked: bool) -> bytes:
        """Return what lets a peer's bulk connection in; nothing where there is to be none."""
        if not (asked and self.offers_bulk):
            session.bulk = b""
        elif not session.bulk:
            drawn = b""
            while len(drawn) < TICKET_BYTES - _NUMBER_BYTES + SECRET_BYTES:
                drawn += self._new_token()
            number = session.number.to_bytes(_NUMBER_BYTES, "big")
            session.bulk = (number + drawn)[: TICKET_BYTES + SECRET_BYTES]
        return session.bulk

    def secret_of(self, ticket: bytes) -> bytes | None:
        """Return the secret of the session that a ticket names; None if there is none."""
        session = self.session_of(ticket)
        return None if session is None else Pass.of(session.bulk).secret

    def bulk_is_there(self, ticket: bytes) -> None:
        """Take note that a bulk connection is ready: who asks for it may use it."""
        session = self.session_of(ticket)
        if session is not None:
            self._ready[session.number] = ticket
            for connection in tuple(session.connections.values()):
                self._answer(session, connection)

    def bulk_was_refused(self) -> None:
        """Count a connection that was not a peer's."""
        self.refused += 1

    def bulk_is_gone(self, ticket: bytes) -> None:
        """Take note that it is not: what was on its way on it begins anew, on its stream."""
        number = int.from_bytes(ticket[:_NUMBER_BYTES], "big")
        if self._ready.get(number) == ticket:
            del self._ready[number]
        session = self.session_of(ticket)
        if session is not None:
            self._begin_anew(session)

    def session_of(self, ticket: bytes) -> Session | None:
        """Return the session that a ticket names, as it does now; None if there is none."""
        session = self._sessions.of_number(int.from_bytes(ticket[:_NUMBER_BYTES], "big"))
        if session is None or not session.bulk:
            return None
        return session if compare_digest(Pass.of(session.bulk).ticket, ticket) else None

    def carrier_of(self, connection: Connection) -> bytes | None:
        """Return the ticket of the bulk connection for the parts of a connection, if it is ready."""
        session = self._sessions.of_connection(connection)
        return self._ready[session.number] if session is not None and self._is_ready(session) else None

    def _is_ready(self, session: Session) -> bool:
        ticket = self._ready.get(session.number)
        return ticket is not None and session.bulk.startswith(ticket)

    def _begin_anew(self, session: Session) -> None:
        for connection in tuple(session.connections.values()):
            self._leave(connection, self.flows.begin_anew(connection))

    # ------------------------------------------------------------ parts

    def cut(
        self, connection: Connection, message: m.Message, frames: Sequence[m.Buffer]
    ) -> list[m.Message] | None:
        """Cut a large message that is about to be sent into parts.

        Returns
        -------
        list of Message or None
            What is to be sent of it now; None if it is to be sent whole.
        """
        session = self._sessions.of_connection(connection)
        if session is None or not session.parts:
            return None
        return self.flows.offer(connection, message, frames, bulk=bool(session.bulk))

    def take(
        self, session: Session, part: m.Part, connection: Connection
    ) -> list[m.Buffer] | None:
        """Take a part; return the frames of its message once they are complete.

        Raises
        ------
        InvalidRequest, NoRoom
            As :meth:`ctrlhub.wire.parts.Flows.take`.
        """
        frames, answer = self.flows.take(connection, part)
        if answer is not None:
            self._outbox.add(Send(connection, answer))
        elif part.bulk:
            self._answer(session, connection)
        return frames

    def taken(self, connection: Connection, message: m.PartsTaken) -> None:
        """Take credit from a peer."""
        self._leave(connection, self.flows.taken(connection, message))

    def drop(self, connection: Connection) -> None:
        """Give up the transfers of a connection."""
        self.flows.drop(connection)

    def tick(self, now: float) -> None:
        """Give up the transfers of connections that are gone, and bulk connections that are of no use."""
        for connection in self.flows.connections():
            session = self._sessions.of_connection(connection)
            if session is None:
                self.flows.drop(connection)
            elif self.flows.has_stood_still(connection, now):
                self._end(session.number, "nothing has moved on it for long")
                self._begin_anew(session)
        for number in tuple(self._ready):
            session = self._sessions.of_number(number)
            if session is None or not session.connections or not self._is_ready(session):
                self._end(number, "its peer is gone")

    def _end(self, number: int, why: str) -> None:
        ticket = self._ready.pop(number, None)
        if ticket is not None:
            self._outbox.add(EndBulk(ticket, why))

    def _answer(self, session: Session, connection: Connection) -> None:
        """Answer a peer that asks for its bulk connection, or let it wait until that is there."""
        is_ready = self._is_ready(session)
        if connection in self.flows.asking() and (is_ready or not session.bulk):
            self._outbox.add(Send(connection, self.flows.answer(connection, bulk=is_ready)))

    def _leave(self, connection: Connection, messages: Sequence[m.Message]) -> None:
        for message in messages:
            self._outbox.add(Send(connection, message))

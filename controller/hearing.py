"""Hearing: which message of a peer is heard, who hears it, and what becomes of one that is not. No I/O.

What a peer may say follows from its role and its stream (`permissions`), and from whether it is known,
and here. Most messages are for an interface; the others keep a peer in the hub's books.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from ctrlhub.controller.calls import Calls
from ctrlhub.controller.core.borrower import Borrower
from ctrlhub.controller.core.clock import Clock
from ctrlhub.controller.core.effects import Connection, Outbox, Send
from ctrlhub.controller.core.sessions import Session
from ctrlhub.controller.joining import Joining
from ctrlhub.controller.large import LargeMessages
from ctrlhub.controller.peers import Peers
from ctrlhub.controller.permissions import NOWHERE, PERMITTED, Origin, refusal
from ctrlhub.controller.refusals import Refusals
from ctrlhub.wire import messages as m
from ctrlhub.wire.codec import decode
from ctrlhub.wire.errors import (
    AuthenticationError,
    CtrlHubError,
    InvalidRequest,
    LimitExceeded,
    UnknownInterface,
)
from ctrlhub.wire.parts import NoRoom
from ctrlhub.wire.segments import Keep, SegmentRef

Routes = Mapping[tuple[type[m.Message], m.Stream], Callable[..., None]]
"""Who hears which message on which stream."""

_JOINING = frozenset({m.Register, m.Hello})


class Hearing:
    """Hears what peers say, and hands it to whom it is for.

    Parameters
    ----------
    peers, joining, large, calls, refusals
        Who takes what is not for an interface.
    outbox
        Where effects go.
    clock
        Is told the time of each message.
    borrowing
        How to open the segments of peers; None shares no memory.

    Attributes
    ----------
    routes
        Which method of an interface hears what; filled once there are interfaces.
    """

    def __init__(
        self,
        peers: Peers,
        joining: Joining,
        large: LargeMessages,
        calls: Calls,
        refusals: Refusals,
        *,
        outbox: Outbox,
        clock: Clock,
        borrowing: Borrower | None,
    ) -> None:
        self._peers = peers
        self._sessions = peers.sessions
        self._joining = joining
        self._large = large
        self._calls = calls
        self._refusals = refusals
        self._outbox = outbox
        self._begin = clock.begin
        self._borrowing = borrowing
        self.routes: Routes = {}

    def receive(
        self, origin: Origin, header: m.Buffer, frames: Sequence[m.Buffer], now: float
    ) -> None:
        """Take one message as it came from a transport. Nothing it contains raises."""
        self._begin(now)
        message: m.Message | None = None
        try:
            message = decode(header, frames)
            self._hear(origin, message, now)
        except CtrlHubError as error:
            self._refusals.refuse(origin.connection, message, error)
        except Exception as error:  # a bug here must not end the hub for everyone else
            self._refusals.failed(origin.connection, message, error)

    def receive_bulk(self, ticket: bytes, stream: m.Stream, part: m.Part, now: float) -> None:
        """Take a part as it came over a bulk connection. Nothing it contains raises."""
        self._begin(now)
        session = self._large.session_of(ticket)
        connection = None if session is None else session.connections.get(stream)
        if session is None or connection is None:
            return  # it is said again when its peer has joined again
        try:
            self._dispatch(session, part, connection, now)
        except CtrlHubError as error:
            self._refusals.refuse(connection, part, error)
        except Exception as error:  # as in `receive`
            self._refusals.failed(connection, part, error)

    def _hear(self, origin: Origin, message: m.Message, now: float) -> None:
        connection, user = origin.connection, origin.user
        if type(message) is m.Enrol:
            self._joining.enrol(origin, message, now)
            return
        if user is not None and not self._joining.may_speak(user):
            raise AuthenticationError("this key is not registered, or was revoked: enrol again")
        if type(message) in _JOINING:
            self._join(origin, message, now)
            return
        session = self._sessions.of_connection(connection)
        if session is None and type(message) is m.Goodbye:
            # It has closed its sockets by now, and something was sent to it before this was read.
            session = self._sessions.of_departed(connection)
        if session is None or (user is not None and session.key != user):
            self._outbox.add(Send(connection, m.SayHello()))
            return
        self._dispatch(session, message, connection, now)

    def _join(self, origin: Origin, message: m.Message, now: float) -> None:
        if type(message) is m.Register:
            self._joining.register(origin, message, now)
        elif type(message) is m.Hello:
            self._large.drop(origin.connection)  # what was under way is said again
            self._joining.hello(origin, message, now)

    def _dispatch(
        self, session: Session, message: m.Message, connection: Connection, now: float
    ) -> None:
        streams, roles = PERMITTED.get(type(message), NOWHERE)
        if connection.stream not in streams or session.role not in roles:
            raise refusal(session.role, type(message), connection.stream)
        if not self._peers.heard(session, now):
            # Given up for its silence: it must register again, so that its engine gets an id.
            self._outbox.add(Send(connection, m.SayHello()))
            return
        if type(message) is m.Part:
            self._take_part(session, message, connection, now)
            return
        handler = self.routes.get((type(message), connection.stream))
        try:
            if getattr(message, "frames", ()):
                message = self._taken_over(session, message)
            if handler is not None:
                handler(session, message, connection.stream, now)
            else:
                self._control(session, message, connection, now)
        except Exception:
            _pass_over(session, message)
            raise

    def _control(
        self, session: Session, message: m.Message, connection: Connection, now: float
    ) -> None:
        if type(message) is m.PartsTaken:
            self._large.taken(connection, message)
        elif type(message) is m.Beat:
            self._peers.beat(session, message, connection, now)
        elif type(message) is m.Call:
            self._calls.call(session, message, connection)
        elif type(message) is m.EngineDied:
            self._peers.deaths.told(session, message, now)
        elif type(message) is m.Drain:
            self._peers.draining.nanny_asks(session, message, now)
        elif type(message) is m.Goodbye:
            self._peers.goodbye(session, message, now)
        else:
            raise UnknownInterface(f"no exposed interface takes {message.kind!r}")

    def _take_part(
        self, session: Session, part: m.Part, connection: Connection, now: float
    ) -> None:
        """Gather a large message, and hear it once it is complete."""
        try:
            frames = self._large.take(session, part, connection)
        except NoRoom as error:
            refused = decode(error.header, [b""] * error.count)
            _pass_over(session, refused)
            why = LimitExceeded(
                f"the hub's host has no memory for a message of this size ({error.__cause__}): send "
                "less at a time, or let the hub run where there is more"
            )
            self._refusals.refuse(connection, refused, why)
            return
        if frames is None:
            return
        message = decode(bytes(frames[0]), frames[1:])
        if type(message) in (m.Part, m.PartsTaken, *_JOINING):
            raise InvalidRequest(f"{message.kind!r} does not come in parts")
        try:
            self._dispatch(session, message, connection, now)
        except CtrlHubError as error:
            self._refusals.refuse(connection, message, error)
        except Exception as error:  # as in `receive`, where only the last part would be named
            self._refusals.failed(connection, message, error)

    def _taken_over(self, session: Session, message: m.Message) -> m.Message:
        """Open the segments that a message refers to, at once: its sender may end at any moment."""
        frames = getattr(message, "frames", ())
        if any(type(f) is Keep or (type(f) is SegmentRef and f.pid) for f in frames):
            raise InvalidRequest("a hub keeps nothing, and borrows from who speaks alone")
        if not any(type(frame) is SegmentRef for frame in frames):
            return message
        if self._borrowing is None or not session.lends:
            raise InvalidRequest("a segment of a peer that has not proven to share memory with us")
        return self._borrowing.take(session.pid, message)

    def refuse_later(
        self, session: Session, stream: m.Stream, message: m.Message, error: CtrlHubError
    ) -> None:
        """Refuse what had to wait: its sender hears of it now, or says it again at its hello."""
        connection = session.connections.get(stream)
        if connection is not None:
            self._refusals.refuse(connection, message, error)


def _pass_over(session: Session, message: m.Message) -> None:
    """Take note of a message that was not accepted: the tasks behind a command must not wait for it."""
    if type(message) is m.Command:
        session.last_command = max(session.last_command, message.last)
    elif type(message) is m.StartHook:
        session.last_command = max(session.last_command, message.id)

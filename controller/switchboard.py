"""The switchboard: which peer may say what, and who answers. No I/O of its own.

Everything a hub decides passes through here: bytes come in with their origin, effects go out. The hub
process (:mod:`ctrlhub.controller.hub`) feeds it from sockets; tests feed it by hand. Memory that a
peer lends is opened while its message is taken in, by the `Borrower` that the hub hands over.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from random import Random

from ctrlhub.controller.attachments import Attachments
from ctrlhub.controller.calls import Calls
from ctrlhub.controller.config import HubConfig
from ctrlhub.controller.core.alarm import Alarm
from ctrlhub.controller.core.awaiting import GRACE
from ctrlhub.controller.core.borrower import Borrower
from ctrlhub.controller.core.effects import Connection, Effect, Outbox, Send
from ctrlhub.controller.core.keeping import GatewayKeeper
from ctrlhub.controller.core.saved import Health, NoStore, Saved
from ctrlhub.controller.core.sessions import Session
from ctrlhub.controller.core.telemetry import Figures
from ctrlhub.controller.exposed import Exposed
from ctrlhub.controller.interfaces.base import Context, Interface
from ctrlhub.controller.joining import Joining
from ctrlhub.controller.large import LargeMessages
from ctrlhub.controller.peers import Peers
from ctrlhub.controller.permissions import NOWHERE, refusal
from ctrlhub.controller.permissions import PERMITTED as PERMITTED
from ctrlhub.controller.permissions import Origin as Origin
from ctrlhub.controller.refusals import Refusals
from ctrlhub.controller.service import ControllerService
from ctrlhub.wire import messages as m
from ctrlhub.wire.codec import decode
from ctrlhub.wire.errors import (
    AuthenticationError,
    CtrlHubError,
    InvalidRequest,
    LimitExceeded,
    UnknownInterface,
)
from ctrlhub.wire.parts import Memory, NoRoom
from ctrlhub.wire.security import KeyRegistry
from ctrlhub.wire.segments import Keep, SegmentRef

log = logging.getLogger(__name__)

NEVER = float("inf")

_JOINING = frozenset({m.Register, m.Hello})


class Switchboard:
    """The composition of a hub: registry, sessions, heartbeats and interfaces.

    Parameters
    ----------
    config
        The hub's options.
    interfaces
        The classes of the interfaces to expose.
    epoch
        Identity of this life of the hub.
    new_token
        Makes unguessable tokens.
    versions
        What this side runs: ``ctrlhub``, ``python`` ... (compared with a peer's).
    keys
        The public keys that CURVE accepts; None without TCP.
    borrowing
        How to open the segments of peers; None shares no memory.
    random
        Source of the session numbers' beginning.
    store
        Whom to ask how the store is doing; None where nothing is stored.
    """

    def __init__(
        self,
        config: HubConfig,
        interfaces: Sequence[type[Interface]],
        *,
        epoch: str,
        new_token: Callable[[], bytes],
        versions: Mapping[str, str],
        keys: KeyRegistry | None = None,
        borrowing: Borrower | None = None,
        random: Random,
        store: Health | None = None,
    ) -> None:
        self.config = config
        self.epoch = epoch
        self.keys = keys
        self._borrowing = borrowing
        self.versions = versions
        self.outbox = Outbox()
        self.controller = ControllerService(config.max_engines, save_ids=True)
        self._exposed = Exposed()
        self.interfaces = self._exposed.by_name
        self._calls = Calls(self.interfaces, self.outbox)
        self.why_no_memory: Callable[[], str] = str
        self.alarm = Alarm()
        self.gateway = GatewayKeeper(self.outbox, self.alarm)
        self._peers = Peers(
            config,
            self.controller,
            self.outbox,
            self._exposed,
            keys=keys,
            new_token=new_token,
            random=random,
            epoch=epoch,
            alarm=self.alarm,
        )
        self.sessions = self._peers.sessions
        self._now = 0.0
        self._refusals = Refusals(self.sessions.of_connection, lambda: self._now)
        gather = borrowing.gather if borrowing is not None else Memory
        self.large = LargeMessages(self.sessions, self.outbox, new_token, gather)
        attachments = Attachments(config, self._peers, self._exposed, lambda: self._now)
        self.joining = Joining(
            config,
            self._peers,
            self.outbox,
            self._exposed,
            attachments,
            epoch=epoch,
            versions=versions,
            keys=keys,
            borrowing=borrowing,
            large=self.large,
        )
        self._settled = NEVER
        self.figures = Figures()
        context = Context(
            config,
            self.sessions,
            self.outbox,
            self.interfaces,
            revoke=self.revoke,
            events=lambda: self._peers.events.count,
            announce=self._peers.events.tell,
            now=lambda: self._now,
            alarm=self.alarm,
            is_settling=lambda: self._now < self._settled,
            absent=self._peers.places.absent,
            refuse=self._refuse_later,
            refused=lambda: self.refused,
            why_full=lambda: self.joining.why_full(),
            why_no_memory=lambda: self.why_no_memory(),
            perished=lambda: self._peers.deaths.perished,
            store=store or NoStore(),
            leases=attachments,
            gateway=self.gateway,
            stillborn=lambda: self._peers.deaths.stillborn.described(),
            drain=lambda engine, drain: self._peers.draining.begin(engine, drain, self._now),
            keep=borrowing.keep if borrowing is not None else None,
            figures=self.figures,
            engines_lost=lambda: self._peers.engines_lost,
        )
        for cls in interfaces:
            self._exposed.add(cls(self.controller, context))
        self._routes = self._make_routes()
        self._peers.events.begin()

    def _make_routes(self) -> dict[tuple[type[m.Message], m.Stream], Callable[..., None]]:
        """Say which interface hears which message on which stream."""
        routes: dict[tuple[type[m.Message], m.Stream], Callable[..., None]] = {}
        for interface in self._exposed:
            if interface.handlers and not interface.streams:
                raise ValueError(f"interface {interface.name!r} has handlers and no streams")
            for kind, method in interface.handlers.items():
                for stream in interface.streams:
                    if (kind, stream) in routes:
                        raise ValueError(
                            f"interface {interface.name!r} hears {kind.kind!r} on stream "
                            f"{stream.value!r}, which another one hears already"
                        )
                    routes[kind, stream] = getattr(interface, method)
        return routes

    # ------------------------------------------------------------ what the hub calls

    def restore(self, saved: Saved, unix_offset: float, now: float) -> None:
        """Take back what the hub before this one has stored, before anybody says anything.

        Parameters
        ----------
        saved
            What it has stored.
        unix_offset
            What our clock lacks to Unix time (seconds).
        now
            Our clock.
        """
        self._peers.set_clock(unix_offset)
        if not saved:
            return
        self._begin(now)
        former = self._peers.restore(saved, unix_offset, now)
        for interface in self._exposed:
            interface.restore(former)
        for interface in self._exposed:
            interface.resume(former)

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

    def _begin(self, now: float) -> None:
        self._now = now
        if self._settled == NEVER:
            self._settled = now + GRACE

    def turn(self, now: float) -> Iterator[list[Effect]]:
        """End a turn of the loop: let every interface send what became ready.

        What one has to say is carried out before the next is asked: somebody waits for it.
        """
        self._begin(now)
        for interface in self._exposed.flushed:
            self._exposed.flush(interface, now)
            if self.outbox.effects:
                yield self.outbox.take()
        last = [*self.outbox.take(), *self._refusals.take()]
        if last:
            yield last

    def receive_bulk(self, ticket: bytes, stream: m.Stream, part: m.Part, now: float) -> None:
        """Take a part as it came over a bulk connection. Nothing it contains raises."""
        self._begin(now)
        session = self.large.session_of(ticket)
        connection = None if session is None else session.connections.get(stream)
        if session is None or connection is None:
            return  # it is said again when its peer has joined again
        try:
            self._dispatch(session, part, connection, now)
        except CtrlHubError as error:
            self._refusals.refuse(connection, part, error)
        except Exception as error:  # as in `receive`
            self._refusals.failed(connection, part, error)

    def tick(self, now: float) -> None:
        """Do what is due."""
        self._begin(now)
        self.large.tick(now)
        self._peers.tick(now)
        self._exposed.tick(now)
        self.gateway.tick(now)

    def stood_still(self, seconds: float) -> None:
        """Take note that this process did not run for a while."""
        self._peers.stood_still(seconds)

    def settle(self) -> None:
        """Keep what is kept in less memory: there is some to give back, and little to do."""
        self._exposed.settle()

    def next_deadline(self) -> float | None:
        """Say when `tick` should be called."""
        times = (
            self._peers.next_deadline(), self._exposed.next_deadline(), self.gateway.next_deadline()
        )  # fmt: skip
        return min((due for due in times if due is not None), default=None)

    def disconnected(self, connection: Connection) -> None:
        """Forget a connection that its transport could not send to."""
        self.large.drop(connection)
        self._peers.disconnected(connection)

    def shut_down(self, reason: str) -> list[Effect]:
        """Say goodbye to everyone: the engines are to end.

        What clients have left is kept, as far as anything is stored, for the hub after this one.
        """
        self.controller.stop()
        self._peers.clients.hub_stops(self._now)
        self._peers.places.expect_nobody()
        for session in self.sessions:
            if session.role.is_client:
                session.send(self.outbox, m.Stream.HUB, m.Goodbye(reason))
            else:
                session.send(self.outbox, m.Stream.HUB, m.Shutdown(reason))
        return self.outbox.take()

    def pause(self) -> list[Effect]:
        """Leave everything to the hub after this one, and tell nobody: peers wait for that."""
        self._peers.clients.hub_stops(self._now)
        return self.outbox.take()

    # ------------------------------------------------------------ hearing

    def _hear(self, origin: Origin, message: m.Message, now: float) -> None:
        connection, user = origin.connection, origin.user
        if type(message) is m.Enrol:
            self.joining.enrol(origin, message)
            return
        if user is not None and not self.joining.may_speak(user):
            raise AuthenticationError("this key is not registered, or was revoked: enrol again")
        if type(message) in _JOINING:
            self._join(origin, message, now)
            return
        session = self.sessions.of_connection(connection)
        if session is None and type(message) is m.Goodbye:
            # It has closed its sockets by now, and something was sent to it before this was read.
            session = self.sessions.of_departed(connection)
        if session is None or (user is not None and session.key != user):
            self.outbox.add(Send(connection, m.SayHello()))
            return
        self._dispatch(session, message, connection, now)

    def _join(self, origin: Origin, message: m.Message, now: float) -> None:
        if type(message) is m.Register:
            self.joining.register(origin, message, now)
        elif type(message) is m.Hello:
            self.large.drop(origin.connection)  # what was under way is said again
            self.joining.hello(origin, message, now)

    def _dispatch(
        self, session: Session, message: m.Message, connection: Connection, now: float
    ) -> None:
        streams, roles = PERMITTED.get(type(message), NOWHERE)
        if connection.stream not in streams or session.role not in roles:
            raise refusal(session.role, type(message), connection.stream)
        if not self._peers.heard(session, now):
            # Given up for its silence: it must register again, so that its engine gets an id.
            self.outbox.add(Send(connection, m.SayHello()))
            return
        if type(message) is m.Part:
            self._take_part(session, message, connection, now)
            return
        handler = self._routes.get((type(message), connection.stream))
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
            self.large.taken(connection, message)
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
            frames = self.large.take(session, part, connection)
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

    def _refuse_later(
        self, session: Session, stream: m.Stream, message: m.Message, error: CtrlHubError
    ) -> None:
        """Refuse what had to wait: its sender hears of it now, or says it again at its hello."""
        connection = session.connections.get(stream)
        if connection is not None:
            self._refusals.refuse(connection, message, error)

    # ------------------------------------------------------------ what interfaces may ask

    def revoke(self, key: str) -> bool:
        """Shut a peer out for good; False when there is none with this key."""
        return self._peers.revoke(key, self._now)

    @property
    def refused(self) -> int:
        """How much the hub has refused."""
        return self._refusals.count + self.large.refused

    @property
    def failures(self) -> int:
        """How often an interface has failed."""
        return self._exposed.failures

    def check(self) -> None:
        """Assert every invariant of every machine."""
        self._peers.check()
        self._exposed.check()


def _pass_over(session: Session, message: m.Message) -> None:
    """Take note of a message that was not accepted: the tasks behind a command must not wait for it."""
    if type(message) is m.Command:
        session.last_command = max(session.last_command, message.last)
    elif type(message) is m.StartHook:
        session.last_command = max(session.last_command, message.id)

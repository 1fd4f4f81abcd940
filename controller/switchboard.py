"""The switchboard: which peer may say what, and who answers. No I/O.

Everything a hub decides passes through here: bytes come in with their origin, effects go out. The hub
process (:mod:`ctrlhub.controller.hub`) feeds it from sockets; tests feed it by hand.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from random import Random

from ctrlhub.controller.config import HubConfig
from ctrlhub.controller.core.effects import Connection, Effect, Outbox, Send, Stop
from ctrlhub.controller.core.engines import Engine
from ctrlhub.controller.core.heartbeat import Health, Heartbeats
from ctrlhub.controller.core.sessions import Arrival, Session, Sessions
from ctrlhub.controller.interfaces.base import Context, Interface
from ctrlhub.controller.service import ControllerService
from ctrlhub.wire import messages as m
from ctrlhub.wire.codec import decode
from ctrlhub.wire.errors import (
    AuthenticationError,
    CtrlHubError,
    InternalError,
    ProtocolMismatch,
    UnknownInterface,
    VersionMismatch,
)
from ctrlhub.wire.security import KeyRegistry

log = logging.getLogger(__name__)

ANYONE = frozenset(m.Role)
ENGINES = frozenset({m.Role.ENGINE})
CLIENTS = frozenset({m.Role.CLIENT})
NANNIES = frozenset({m.Role.NANNY})
BOTH_ENDS = ENGINES | CLIENTS

HUB = frozenset({m.Stream.HUB})
COMMANDS = frozenset({m.Stream.MULTIENGINE})
TASKS = frozenset({m.Stream.TASK})
BULK = COMMANDS | TASKS

PERMITTED: Mapping[type[m.Message], tuple[frozenset[m.Stream], frozenset[m.Role]]] = {
    m.Register: (HUB, ANYONE),
    m.Hello: (BULK, BOTH_ENDS),
    m.Beat: (HUB, ANYONE),
    m.Goodbye: (HUB, ANYONE),
    m.EngineDied: (HUB, NANNIES),
    m.Call: (HUB, CLIENTS),
    m.Command: (COMMANDS, CLIENTS),
    m.SubmitTasks: (TASKS, CLIENTS),
    m.Received: (BULK, CLIENTS),
    m.Functions: (BULK, CLIENTS),
    m.Results: (BULK, ENGINES),
    m.NeedFunctions: (BULK, ENGINES),
}
"""On which streams, and from which roles, a message is heard. All others go hub to peer."""


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a message came from, as its transport vouches.

    `user` is the public key that CURVE proved for this message, None where the kernel separates
    users instead (ipc, memory).
    """

    connection: Connection
    user: str | None = None


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
    random
        Source of the session numbers' beginning.
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
        random: Random,
    ) -> None:
        self.config = config
        self.epoch = epoch
        self.keys = keys
        self.versions = versions
        self.outbox = Outbox()
        self.controller = ControllerService(config.max_engines, save_ids=True)
        self.sessions = Sessions(new_token, random, config.max_sessions)
        self._heartbeats = Heartbeats(config.suspect, config.lost)
        self._expiry: dict[int, float] = {}
        self._events = 0
        self._now = 0.0
        self.refused = 0
        self._clients: dict[int, Session] = {}
        self.controller.on_register_engine_do(self._number, True)
        self.interfaces: dict[str, Interface] = {}
        context = Context(
            config,
            self.sessions,
            self.outbox,
            self.interfaces,
            revoke=self.revoke,
            events=lambda: self._events,
        )
        for cls in interfaces:
            self.interfaces[cls.name] = cls(self.controller, context)
        self._ordered = tuple(self.interfaces.values())
        self._routes = self._make_routes()
        self.controller.on_register_engine_do(self._announce, True, "registered")

    def _make_routes(self) -> dict[tuple[type[m.Message], m.Stream], Callable[..., None]]:
        """Say which interface hears which message on which stream."""
        streams = {"multiengine": COMMANDS, "tasks": TASKS}
        routes = {}
        for interface in self._ordered:
            for kind, method in interface.handlers.items():
                for stream in streams.get(interface.name, frozenset()):
                    routes[kind, stream] = getattr(interface, method)
        return routes

    # ------------------------------------------------------------ what the hub calls

    def receive(
        self, origin: Origin, header: m.Buffer, frames: Sequence[m.Buffer], now: float
    ) -> None:
        """Take one message as it came from a transport. Nothing it contains raises."""
        try:
            message = decode(header, frames)
        except CtrlHubError as error:
            self._refuse(origin, error)
            return
        self._now = now
        try:
            self._hear(origin, message, now)
        except CtrlHubError as error:
            self._refuse(origin, error)
        except Exception as error:  # a bug here must not end the hub for everyone else
            log.exception("message %s from %s", message.kind, origin.connection.stream.value)
            self._refuse(origin, InternalError(f"the hub failed on {message.kind}: {error!r}"))

    def turn(self, now: float) -> list[Effect]:
        """End a turn of the loop: let every interface send what became ready."""
        for interface in self._ordered:
            interface.flush(now)
        return self.outbox.take()

    def tick(self, now: float) -> None:
        """Do what is due."""
        for number, health in self._heartbeats.tick(now):
            session = self.sessions.of_number(number)
            if session is None:
                continue
            if health is Health.SUSPECT:
                self._suspect(session)
            else:
                self._lost(session, now)
        for number in [n for n, due in self._expiry.items() if due <= now]:
            session = self.sessions.of_number(number)
            if session is not None:
                log.info("session %d expired", number)
                self._end(session, now)
        for interface in self._ordered:
            due = interface.next_deadline()
            if due is not None and due <= now:
                interface.tick(now)

    def next_deadline(self) -> float | None:
        """Say when `tick` should be called."""
        times = [self._heartbeats.next_deadline(), *self._expiry.values()]
        times += [interface.next_deadline() for interface in self._ordered]
        return min((due for due in times if due is not None), default=None)

    def disconnected(self, connection: Connection) -> None:
        """Forget a connection that its transport could not send to."""
        self.sessions.unbind(connection)

    def shut_down(self, reason: str) -> list[Effect]:
        """Say goodbye to everyone."""
        self.controller.stop()
        for session in self.sessions:
            leave = m.Goodbye(reason) if session.role is m.Role.CLIENT else m.Shutdown(reason)
            session.send(self.outbox, m.Stream.HUB, leave)
        return self.outbox.take()

    # ------------------------------------------------------------ hearing

    def _hear(self, origin: Origin, message: m.Message, now: float) -> None:
        connection = origin.connection
        if type(message) is m.Enrol:
            self._enrol(origin, message)
            return
        if origin.user is not None and not self._may_speak(origin.user):
            raise AuthenticationError("this key is not registered, or was revoked: enrol again")
        if type(message) is m.Register:
            self._register(origin, message, now)
            return
        if type(message) is m.Hello:
            self._hello(origin, message, now)
            return
        session = self.sessions.of_connection(connection)
        if session is None or (origin.user is not None and session.key != origin.user):
            self.outbox.add(Send(connection, m.SayHello()))
            return
        self._dispatch(session, message, connection, now)

    def _dispatch(
        self, session: Session, message: m.Message, connection: Connection, now: float
    ) -> None:
        streams, roles = PERMITTED.get(type(message), (frozenset(), frozenset()))
        if connection.stream not in streams or session.role not in roles:
            raise AuthenticationError(
                f"a peer of role {session.role.value!r} may not send {message.kind!r} "
                f"on stream {connection.stream.value!r}"
            )
        if session.number in self._expiry:
            # Given up for its silence: it must register again, so that its engine gets an id.
            self.outbox.add(Send(connection, m.SayHello()))
            return
        if self._heartbeats.heard(session.number, now):
            self._recovered(session)
        handler = self._routes.get((type(message), connection.stream))
        if handler is not None:
            handler(session, message, connection.stream, now)
        else:
            self._control(session, message, connection, now)

    def _control(
        self, session: Session, message: m.Message, connection: Connection, now: float
    ) -> None:
        if type(message) is m.Beat:
            self._beat(session, message, connection, now)
        elif type(message) is m.Call:
            self.outbox.add(Send(connection, self._call(session, message)))
        elif type(message) is m.EngineDied:
            self._engine_died(session, message, now)
        elif type(message) is m.Goodbye:
            self._goodbye(session, message, now)
        else:
            raise UnknownInterface(f"no exposed interface takes {message.kind!r}")

    def _may_speak(self, user: str) -> bool:
        return (
            self.keys is not None and self.keys.is_live(user) and not self.keys.is_enrolment(user)
        )

    def _refuse(self, origin: Origin, error: CtrlHubError) -> None:
        self.refused += 1
        log.log(
            logging.WARNING if self.refused <= 20 or self.refused % 1000 == 0 else logging.DEBUG,
            "refused (%d so far) on %s: %s", self.refused, origin.connection.stream.value, error,
        )  # fmt: skip
        self.outbox.add(Send(origin.connection, m.Refused(error.code, str(error)[:4096])))

    # ------------------------------------------------------------ joining and leaving

    def _enrol(self, origin: Origin, message: m.Enrol) -> None:
        if origin.user is None or self.keys is None or origin.connection.stream is not m.Stream.HUB:
            raise AuthenticationError("keys are enrolled over TCP, on the hub stream")
        self.keys.enrol(origin.user, message.public_key)
        self.outbox.add(Send(origin.connection, m.Enrolled(message.public_key)))

    def _register(self, origin: Origin, message: m.Register, now: float) -> None:
        if origin.connection.stream is not m.Stream.HUB:
            raise AuthenticationError("peers register on the hub stream")
        role = self._role(origin, message)
        if message.token:
            known = self.sessions.of_token(message.token)
            if known is None or known.key != message.key:
                self.outbox.add(
                    Send(origin.connection, m.Refused("unknown_session", "register anew"))
                )
                return
        self._compare_versions(role, message)
        session, arrival = self.sessions.register(message)
        if arrival is Arrival.REBORN:
            self._replace(session)
        self._expiry.pop(session.number, None)
        self.sessions.bind(session, origin.connection)
        self._heartbeats.watch(session.number, now)
        session.suspect = False
        try:
            self._welcome(session, message, arrival)
        except CtrlHubError:
            if arrival is not Arrival.RESUMED:
                self._heartbeats.forget(session.number)
                self.sessions.end(session)
            raise

    def _role(self, origin: Origin, message: m.Register) -> m.Role:
        try:
            role = m.Role(message.role)
        except ValueError:
            raise AuthenticationError(f"unknown role {message.role[:40]!r}") from None
        if origin.user is None:
            return role
        enrolled = self.keys.role_of(origin.user) if self.keys is not None else None
        allowed = ENGINES | NANNIES if enrolled is m.Role.ENGINE else {enrolled}
        if origin.user != message.key or role not in allowed:
            raise AuthenticationError(f"this key may not register as {role.value!r} for that key")
        return role

    def _compare_versions(self, role: m.Role, message: m.Register) -> None:
        """Refuse a peer whose objects could not be read at the other end."""
        theirs, ours = message.versions, self.versions
        if theirs.get("protocol", ours["protocol"]) != ours["protocol"]:
            raise ProtocolMismatch(
                f"the peer speaks protocol {theirs['protocol']}, the hub {ours['protocol']}"
            )
        if role is m.Role.NANNY:
            return
        mine, his = ours["python"].rsplit(".", 1)[0], theirs.get("python", "?").rsplit(".", 1)[0]
        if mine != his:
            table = "\n".join(
                f"  {name:10} hub {ours.get(name, '-'):12} {role.value} {theirs.get(name, '-')}"
                for name in sorted(ours.keys() | theirs.keys())
            )
            raise VersionMismatch(
                f"this {role.value} runs Python {his}, the hub {mine}: functions cannot travel "
                f"between them. Use the same minor version of Python on all sides.\n{table}"
            )

    def _welcome(self, session: Session, message: m.Register, arrival: Arrival) -> None:
        if session.role is m.Role.ENGINE and session.engine is None:
            self._register_engine(session, message.engine_id)
        engines: list[dict[str, object]] = []
        if session.role is m.Role.CLIENT:
            self._clients[session.number] = session
            registered = self.controller.engines.values()
            engines = [e.describe() for e in registered if isinstance(e, Engine)]
        config = self.config
        session.send(
            self.outbox,
            m.Stream.HUB,
            m.Registered(
                session=session.number,
                token=session.token,
                engine_id=session.engine.id if session.engine else -1,
                epoch=self.epoch,
                resumed=arrival is Arrival.RESUMED,
                subscription=session.subscription,
                beat=config.beat,
                suspect=config.suspect,
                lease=config.hub_lease if session.role is not m.Role.CLIENT else config.session_ttl,
                engines=engines,
                events=self._events,
            ),
        )

    def _register_engine(self, session: Session, wish: int) -> None:
        session.engine = Engine(session.key, session)
        try:
            self.controller.register_engine(
                session.engine, wish if wish >= 0 else None, pid=session.pid
            )
        except CtrlHubError:
            session.engine = None
            raise

    def _number(self, number: int) -> None:
        """Tell an engine its id, before any interface hears of it."""
        engine = self.controller.engines[number]
        assert isinstance(engine, Engine)
        engine.id = number

    def _replace(self, session: Session) -> None:
        """Deal with what the former process of a session had: it is gone."""
        if session.engine is not None:
            session.engine.cause = session.engine.cause or "its process was replaced by a new one"
            self._unregister(session)

    def _hello(self, origin: Origin, message: m.Hello, now: float) -> None:
        stream = origin.connection.stream
        session = self.sessions.of_token(message.token)
        if session is None or (origin.user is not None and origin.user != session.key):
            self.outbox.add(Send(origin.connection, m.SayHello()))
            return
        if stream not in BULK or session.role not in BOTH_ENDS or session.number in self._expiry:
            self.outbox.add(Send(origin.connection, m.SayHello()))
            return
        self.sessions.bind(session, origin.connection)
        if self._heartbeats.heard(session.number, now):
            self._recovered(session)
        self.outbox.add(Send(origin.connection, m.Welcome(self.epoch)))
        for interface in self._ordered:
            interface.bound(session, stream, message.held, now)

    def _goodbye(self, session: Session, message: m.Goodbye, now: float) -> None:
        log.info("%s %d leaves: %s", session.role.value, session.number, message.reason)
        if session.engine is not None:
            number = session.engine.id
            session.engine.cause = session.engine.cause or f"it left: {message.reason}"
            self._unregister(session)
            self.controller.release_id(number)
        self._end(session, now)

    def _end(self, session: Session, now: float) -> None:
        self._heartbeats.forget(session.number)
        self._expiry.pop(session.number, None)
        self.sessions.end(session)
        if self.keys is not None:
            self.keys.forget(session.key)
        if self._clients.pop(session.number, None) is not None:
            for interface in self._ordered:
                interface.session_ended(session, now)

    def revoke(self, key: str) -> bool:
        """Shut a peer out for good; False when there is none with this key."""
        session = self.sessions.of_key(key)
        if self.keys is not None:
            self.keys.revoke(key)
        if session is None:
            return False
        if session.engine is not None:
            session.engine.cause = "its key was revoked"
            self._unregister(session)
        self._end(session, self._now)
        return True

    # ------------------------------------------------------------ life and death

    def _beat(self, session: Session, message: m.Beat, connection: Connection, now: float) -> None:
        if session.role is m.Role.NANNY:
            for key in message.vouches:
                charge = self.sessions.of_key(key)
                if charge is None or charge.role is not m.Role.ENGINE:
                    continue
                charge.nanny = session
                if self._heartbeats.heard(charge.number, now):
                    self._recovered(charge)
        self.outbox.add(Send(connection, m.Beat()))

    def _call(self, session: Session, message: m.Call) -> m.Answer:
        try:
            interface = self.interfaces.get(message.interface)
            if interface is None:
                raise UnknownInterface(
                    f"the hub does not expose interface {message.interface[:80]!r}; it exposes: "
                    + ", ".join(sorted(self.interfaces))
                )
            value = interface.call(session, message.method, message.arguments)
        except CtrlHubError as error:
            return m.Answer(message.id, code=error.code, message=str(error)[:4096])
        except Exception as error:
            log.exception("%s.%s", message.interface, message.method)
            text = f"{message.interface}.{message.method} failed in the hub: {error!r}"
            return m.Answer(message.id, code=InternalError.code, message=text[:4096])
        return m.Answer(message.id, value)

    def _engine_died(self, nanny: Session, message: m.EngineDied, now: float) -> None:
        session = self.sessions.of_key(message.key)
        if session is None or session.role is not m.Role.ENGINE:
            return
        if session.incarnation != message.incarnation:
            return
        text = message.cause[:4096]
        if message.log:
            text += "\nits last words:\n" + message.log[-4096:]
        number = -1
        if session.engine is not None:
            number = session.engine.id
            session.engine.cause = text
            session.engine.blamed = message.running
            self._unregister(session)
        if not message.restarting:
            if number >= 0:
                self.controller.release_id(number)
            self._end(session, now)
        else:
            self._heartbeats.forget(session.number)
            self._expiry[session.number] = now + self.config.session_ttl

    def _suspect(self, session: Session) -> None:
        session.suspect = True
        if session.engine is not None:
            log.warning(
                "engine %d is suspect: silent for %g s", session.engine.id, self.config.suspect
            )
            self._announce(session.engine.id, "suspect")

    def _recovered(self, session: Session) -> None:
        session.suspect = False
        if session.engine is not None:
            log.info("engine %d is back", session.engine.id)
            self._announce(session.engine.id, "recovered")
            session.engine.became_available()

    def _lost(self, session: Session, now: float) -> None:
        log.warning(
            "%s %d is lost: silent for %g s", session.role.value, session.number, self.config.lost
        )
        for connection in tuple(session.connections.values()):
            self.sessions.unbind(connection)
        self._expiry[session.number] = now + self.config.session_ttl
        if session.engine is not None:
            session.engine.cause = f"not heard of for {self.config.lost:g} s"
            self._unregister(session)

    def _unregister(self, session: Session) -> None:
        engine = session.engine
        assert engine is not None
        session.engine = None
        description = engine.describe()
        self.controller.unregister_engine(engine.id)
        self._publish("unregistered", description | {"cause": engine.cause[:1000]})

    def _announce(self, number: int, event: str) -> None:
        engine = self.controller.engines[number]
        assert isinstance(engine, Engine)
        self._publish(event, engine.describe())

    def _publish(self, event: str, description: Mapping[str, object]) -> None:
        self._events += 1
        message = m.EngineEvent(self._events, event, description)
        for session in self._clients.values():
            session.publish(self.outbox, message)

    def request_stop(self, reason: str) -> None:
        """Ask for the end of the hub."""
        self.outbox.add(Stop(reason))

    def check(self) -> None:
        """Assert every invariant of every machine."""
        self.sessions.check()
        self._heartbeats.check()
        for interface in self._ordered:
            interface.check()
        for number, engine in self.controller.engines.items():
            assert isinstance(engine, Engine)
            assert engine.id == number
            assert engine.session.engine is engine

"""The peers: who is here, who is silent, who is gone, and what everyone is told of it. No I/O.

A peer that is given up for its silence, or that a nanny restarts, keeps its session for a while (its
*expiry*): it must register again before anything else it says is heard. Only the end of a session
takes with it what the hub keeps for a client.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from random import Random

from ctrlhub.controller.client_sessions import ClientSessions
from ctrlhub.controller.config import HubConfig
from ctrlhub.controller.core import causes
from ctrlhub.controller.core.alarm import Alarm
from ctrlhub.controller.core.deadlines import Deadlines
from ctrlhub.controller.core.effects import Connection, Outbox, Send
from ctrlhub.controller.core.engines import NOTHING
from ctrlhub.controller.core.former import Former
from ctrlhub.controller.core.heartbeat import Health, Heartbeats
from ctrlhub.controller.core.nannies import Nannies, note_usage, speaks_for
from ctrlhub.controller.core.revoked import Revoked
from ctrlhub.controller.core.saved import Saved
from ctrlhub.controller.core.sessions import Session, Sessions
from ctrlhub.controller.draining import Draining
from ctrlhub.controller.engine_deaths import EngineDeaths
from ctrlhub.controller.engine_events import EngineEvents
from ctrlhub.controller.engine_places import EnginePlaces
from ctrlhub.controller.exposed import Exposed
from ctrlhub.controller.probing import Probing
from ctrlhub.controller.service import ControllerService
from ctrlhub.controller.vanished import Vanished
from ctrlhub.wire import messages as m
from ctrlhub.wire.errors import SessionClosed
from ctrlhub.wire.limits import MAX_TEXT
from ctrlhub.wire.security import KeyRegistry

log = logging.getLogger(__name__)


class Peers:
    """Sessions, their pulses, and the engine registry.

    Parameters
    ----------
    config
        The hub's options.
    controller
        The engine registry.
    outbox
        Where effects go.
    exposed
        The hub's interfaces; may be filled later.
    keys
        The public keys that CURVE accepts; None without TCP.
    new_token, random
        As for :class:`~ctrlhub.controller.core.sessions.Sessions`.
    epoch
        Identity of this life of the hub.
    alarm
        Is told when a session is to expire.

    Attributes
    ----------
    sessions
        The sessions.
    events
        What clients are told of engines.
    clients
        Those of clients.
    places
        The places of engines in the registry.
    draining
        Those of them that are to finish.
    deaths
        What nannies tell of the deaths of engines.
    engines_lost : int
        How many engines have died without having been asked to, or have fallen silent.
    """

    def __init__(
        self,
        config: HubConfig,
        controller: ControllerService,
        outbox: Outbox,
        exposed: Exposed,
        *,
        keys: KeyRegistry | None,
        new_token: Callable[[], bytes],
        random: Random,
        epoch: str,
        alarm: Alarm,
    ) -> None:
        self.engines_lost = 0
        self.sessions = Sessions(new_token, random, config.max_sessions)
        self._config = config
        self._outbox = outbox
        self._exposed = exposed
        self._revoked = Revoked(keys)
        self._probing = Probing(outbox, self.sessions, epoch)
        self._heartbeats = Heartbeats(config.suspect, config.lost)
        self._expiry: Deadlines[int] = Deadlines(alarm.at)
        self._nannies = Nannies()
        self.clients = ClientSessions(config, outbox, self.sessions, self._expiry)
        self.events = EngineEvents(controller, outbox, self.clients.by_number)
        self.places = EnginePlaces(controller, outbox, self.events)
        self._vanished = Vanished(outbox, config.suspect)
        self.draining = Draining(outbox, self.events, self.places, exposed, self.sessions)
        self.deaths = EngineDeaths(
            config, outbox, exposed, self.sessions, self.places, self.events, self
        )

    # ------------------------------------------------------------ the hub before this one

    def set_clock(self, unix_offset: float) -> None:
        """Say what the hub's clock lacks to Unix time (seconds)."""
        self.clients.set_clock(unix_offset)
        self.places.set_clock(unix_offset)

    def restore(self, saved: Saved, unix_offset: float, now: float) -> Former:
        """Expect those back that the hub before this one had: clients with requests, and engines."""
        former = Former(saved, self.clients.restore(saved, now), unix_offset)
        self.places.restore(former)
        self.draining.restore(former)
        self.deaths.restore(former)
        return former

    # ------------------------------------------------------------ coming

    def arrived(self, session: Session, connection: Connection, now: float) -> None:
        """Begin to watch a peer that has registered, or take it back."""
        self._expiry.discard(session.number)
        self.places.is_back_or_ended(session)
        self.sessions.bind(session, connection)
        if session.role is m.Role.NANNY:
            self._nannies.add(session)
        elif session.role.is_client:
            self.clients.here(session)
        self._heartbeats.watch(session.number, now)
        if session.suspect:
            self._recovered(session)

    def bind(self, session: Session, connection: Connection, now: float) -> None:
        """Let a connection speak for a peer on its stream; on iopub, tell what was published before."""
        self.sessions.bind(session, connection)
        self.heard(session, now)
        if connection.stream is m.Stream.IOPUB:
            session.publish(self._outbox, m.Subscribed(self.events.count))

    def register_engine(self, session: Session, wish: int, *, exact: bool = False) -> None:
        """Give an engine its place in the registry, with `exact` no other than it wishes for.

        Raises
        ------
        CtrlHubError
            There is none for it.
        """
        session.nanny = self._nannies.of(session.key)
        self.deaths.stillborn.forget(session.key)
        if exact:
            self.places.demand(session, wish)
        self.places.take(session, wish)

    # ------------------------------------------------------------ being here

    def is_revoked(self, key: str) -> bool:
        """Tell whether a peer was shut out; over ipc nobody else asks."""
        return key in self._revoked

    def is_away(self, session: Session) -> bool:
        """Tell whether a peer was given up and must register again before it is heard."""
        return session.number in self._expiry

    def heard(self, session: Session, now: float) -> bool:
        """Note a sign of life; False of a peer that was given up, and must register again."""
        if session.number in self._expiry:
            return False
        if self._heartbeats.heard(session.number, now):
            self._recovered(session)
        return True

    def beat(self, session: Session, message: m.Beat, connection: Connection, now: float) -> None:
        """Answer a beat; a nanny's counts for the engines whose processes it sees."""
        if session.role is m.Role.NANNY:
            session.vouches = frozenset(message.vouches)
            for key in message.vouches:
                charge = self.sessions.of_key(key)
                if charge is not None and speaks_for(session, charge):
                    if charge.nanny is None or charge.nanny.ended:
                        # Else it speaks for the process that is about to take this one's place.
                        charge.nanny = session
                    self.heard(charge, now)
                    if charge.engine is not None and charge.engine.restart:
                        order = m.Restart(key, charge.incarnation, charge.engine.restart)
                        session.send(self._outbox, m.Stream.HUB, order)  # it may have been lost
                    self.draining.remind(session, charge, now)
        if message.usage:
            note_usage(self.sessions, session, message.usage, now)
        self._outbox.add(Send(connection, m.Beat()))
        self._probing.beat(session)

    def disconnected(self, connection: Connection) -> None:
        """Forget a connection that its transport could not send to.

        What was sent on it, either way, may be lost: the peer is asked to join again, since it may
        not know.
        """
        session = self.sessions.of_connection(connection)
        self.sessions.depart(connection)
        if session is not None:
            self._vanished.unreachable(session, connection.stream)
            session.send(self._outbox, m.Stream.HUB, m.SayHello())

    def stood_still(self, seconds: float) -> None:
        """Take note that this process did not run for a while."""
        log.warning("the hub stood still for %.1f s: nobody's silence in it counts", seconds)
        self._heartbeats.forgive(seconds)

    def tick(self, now: float) -> None:
        """Do what is due."""
        for vanished in self._vanished.take(self.sessions):
            self.give_up(vanished, now, lost=True)
        for number, health in self._heartbeats.tick(now):
            session = self.sessions.of_number(number)
            if session is not None:
                if health is Health.SUSPECT:
                    self._suspect(session)
                else:
                    self._lost(session, now)
        for number in self._expiry.take_due(now):
            session = self.sessions.of_number(number)
            if session is not None:
                log.info("session %d expired", number)
                self.end(session, now)

    def next_deadline(self) -> float | None:
        """Say when `tick` should be called."""
        if self._vanished.any:
            return 0.0
        times = (self._heartbeats.next_deadline(), self._expiry.next)
        return min((due for due in times if due is not None), default=None)

    def _suspect(self, session: Session) -> None:
        session.suspect = True
        self._vanished.attempt(session)
        if session.engine is not None:
            log.warning(
                "engine %d is suspect: silent for %g s", session.engine.id, self._config.suspect
            )
            self.events.tell(session.engine.id, "suspect")

    def _recovered(self, session: Session) -> None:
        session.suspect = False
        if session.engine is not None:
            log.info("engine %d is back", session.engine.id)
            self.events.tell(session.engine.id, "recovered")
            session.engine.became_available()

    # ------------------------------------------------------------ going

    def _lost(self, session: Session, now: float) -> None:
        log.warning(
            "%s %d is lost: silent for %g s", session.role.noun, session.number, self._config.lost
        )
        if session.engine is not None:
            nanny = session.nanny
            session.engine.cause = causes.of_silence(
                self._config.lost,
                session.host,
                nanny_too=nanny is not None
                and (nanny.suspect or self.is_away(nanny) or nanny.ended),
            )
        self.give_up(session, now, lost=True)

    def give_up(self, session: Session, now: float, *, lost: bool = False) -> None:
        """Give a peer up, but keep its session for a while: it, or another in its place, may come.

        An engine is `lost` where nobody has promised another.
        """
        self._heartbeats.forget(session.number)
        self.sessions.unbind_all(session)
        session.suspect = False
        self._expiry.set(session.number, now + self.clients.kept_for(session))
        if session.role.is_client:
            self.clients.left(session, now)
        if session.engine is not None:
            if self.places.has(session.engine) and not session.engine.restart:
                self.engines_lost += 1
            self.places.leave_for_a_while(session.engine, lost=lost)

    def process_ended(self, pid: int, now: float) -> None:
        """Give up the clients of a process of ours that has ended: who comes for their sessions need not wait for their silence.

        One of another host whose process has the same number says hello again, and goes on.
        """
        for session in tuple(self.clients.by_number.values()):
            if session.pid == pid and not self.is_away(session):
                log.info("client %d has ended with process %d", session.number, pid)
                self.give_up(session, now, lost=True)

    def leave(self, session: Session, now: float) -> None:
        """Let a client go, and keep its session for whoever attaches to it."""
        self.give_up(session, now)

    def hand_over(self, session: Session, message: m.Register) -> None:
        """Give a session to another process, and tell the one that has it, if any."""
        taken = m.Goodbye(
            f"process {message.pid} on {message.host} has taken over session {session.number}",
            code=SessionClosed.code,
        )
        session.send(self._outbox, m.Stream.HUB, taken)
        self._revoked.forget(session.key)
        session.suspect = False
        self.sessions.hand_over(session, message)

    def replaced(self, session: Session) -> None:
        """Deal with what the former process of a session had: another is in its place."""
        session.suspect = False
        if session.engine is not None:
            restart = session.engine.restart
            session.engine.cause = (
                causes.of_restart(restart) if restart else causes.of_replacement(session.nanny)
            )
            self.places.leave(session.engine)

    def goodbye(self, session: Session, message: m.Goodbye, now: float) -> None:
        """Let a peer go that leaves on purpose: nothing is kept for it."""
        log.info("%s %d leaves: %.200r", session.role.noun, session.number, message.reason)
        if message.received and session.role.is_client:
            self._exposed.have_been_read(session, message.received, now)
        if session.retention and any(self._exposed.left(session)):
            self.give_up(session, now)
            return
        engine = session.engine
        if engine is not None and message.replaced:
            engine.restart = engine.restart or message.reason[:MAX_TEXT]
        if engine is not None and engine.restart and not engine.drains:
            engine.cause = causes.of_restart(engine.restart)
            engine.blamed = NOTHING
            self.give_up(session, now)  # another comes in its place, with its key
            return
        if engine is not None:
            engine.cause = f"it left: {message.reason[:1000]}"
            engine.blamed = NOTHING
            self.places.leave(engine)
            self.places.release(engine)
        self.end(session, now)

    def revoke(self, key: str, now: float) -> bool:
        """Shut a peer out for good; False when nobody has this key.

        Raises
        ------
        LimitExceeded
            So many were shut out that to keep this one out would let another one in.
        """
        session = self.sessions.of_key(key)
        if session is None and not self._revoked.is_live(key):
            return False
        self._revoked.add(key)
        if session is None:
            return True
        if session.engine is not None:
            session.engine.cause = "its key was revoked"
            session.engine.blamed = NOTHING
            engine = session.engine
            self.places.leave(engine)
            self.places.release(engine)  # its key cannot come back for it
        self.end(session, now)
        return True

    def end(self, session: Session, now: float) -> None:
        """End a session: its key opens nothing any more, and what was kept for it goes."""
        self.forget(session, now)
        self._revoked.forget(session.key)

    def forget(self, session: Session, now: float) -> None:
        """End a session whose key stays in use: its peer is refused, or begins anew."""
        self._heartbeats.forget(session.number)
        self._expiry.discard(session.number)
        self.places.is_back_or_ended(session)
        self._nannies.forget(session.number)
        self.sessions.end(session)
        if self.clients.ended(session):
            self._exposed.session_ended(session, now)

    def check(self) -> None:
        """Assert that sessions, pulses and registry agree."""
        self.sessions.check()
        self._heartbeats.check()
        numbers = {session.number for session in self.sessions}
        watched = self._heartbeats.watched()
        away = set(self._expiry)
        assert watched | away == numbers
        assert not watched & away
        self._nannies.check(self.sessions)
        self.clients.check()
        self.places.check(watched, away)

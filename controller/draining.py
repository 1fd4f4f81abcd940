"""Draining: engines that finish what they run, take nothing new, and leave for good. No I/O.

Theory of operation
-------------------
A client asks for it, or a nanny whose time is over; whoever asks, this is what happens. The hub notes
it in the engine's session: from then on the scheduler passes the engine over and commands to it fail.
The engine is told (`Shutdown`), gives back what it has not begun, ends what runs, hands over its
results and leaves; its nanny is told (`Retire`), which starts no other in its place, and ends a process
that its time has not ended. Who was away is told when it is back.

It is remembered three times, so that a hub that dies forgets nobody: in the store, by the engine, which
says so when it registers, and by the nanny, which asks again.
"""

from __future__ import annotations

import logging

from ctrlhub.controller.core.drains import NO_LIMIT, Drain
from ctrlhub.controller.core.effects import Outbox
from ctrlhub.controller.core.engines import Engine
from ctrlhub.controller.core.former import Former
from ctrlhub.controller.core.nannies import speaks_for
from ctrlhub.controller.core.sessions import Session, Sessions
from ctrlhub.controller.engine_events import EngineEvents
from ctrlhub.controller.engine_places import EnginePlaces
from ctrlhub.controller.exposed import Exposed
from ctrlhub.wire import messages as m
from ctrlhub.wire.limits import MAX_TEXT

log = logging.getLogger(__name__)


class Draining:
    """Begins drains, and sees to it that everybody knows.

    Parameters
    ----------
    outbox
        Where effects go.
    events
        What clients are told.
    places
        Where engines are stored.
    exposed
        The hub's interfaces; may be filled later.
    sessions
        The sessions of engines and nannies.
    """

    def __init__(
        self,
        outbox: Outbox,
        events: EngineEvents,
        places: EnginePlaces,
        exposed: Exposed,
        sessions: Sessions,
    ) -> None:
        self._outbox = outbox
        self._events = events
        self._places = places
        self._exposed = exposed
        self._sessions = sessions
        self._former: dict[bytes, Drain] = {}

    def restore(self, former: Former) -> None:
        """Take note of the drains that the hub before this one had begun."""
        self._former = former.drains

    def begin(self, engine: Engine, drain: Drain, now: float) -> None:
        """Let an engine finish; one that does already may be given less time."""
        self._note(engine.session, drain, now)

    def nanny_asks(self, nanny: Session, message: m.Drain, now: float) -> None:
        """Let engines of a nanny finish, since that wants it."""
        within = max(0.0, message.within)
        for key in message.keys:
            charge = self._sessions.of_key(key)
            if charge is not None and speaks_for(nanny, charge):
                self._note(charge, Drain(message.reason[:MAX_TEXT], now + within), now)

    def arrives(self, session: Session, message: m.Register) -> None:
        """Take note of what an engine that registers, or the hub before this one, says of its drain."""
        stored = self._former.pop(session.incarnation, None)
        if session.drain is None and stored is not None:
            session.drain = stored
        if session.drain is None and message.draining:
            session.drain = Drain(message.draining[:MAX_TEXT], NO_LIMIT)

    def remind(self, nanny: Session, charge: Session, now: float) -> None:
        """Tell a nanny again of an engine of its that drains: it may not have been there."""
        if charge.drain is not None:
            order = charge.drain.for_nanny(charge.key, charge.incarnation, now)
            nanny.send(self._outbox, m.Stream.HUB, order)

    def _note(self, session: Session, drain: Drain, now: float) -> None:
        former = session.drain
        if not drain.hastens(former):
            return
        session.drain = drain
        session.send(self._outbox, m.Stream.HUB, drain.for_engine(now))
        if session.nanny is not None:
            self.remind(session.nanny, session, now)
        engine = session.engine
        if engine is None:
            return
        self._places.save(engine)
        if former is None:
            log.info("engine %d is to finish: %s", engine.id, drain.reason)
            self._events.tell(engine.id, "draining", drain.reason)
            self._exposed.drains(engine)

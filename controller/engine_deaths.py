"""The deaths of engines' processes, as their nannies tell of them: who lets go of what, and who is blamed. No I/O."""

from __future__ import annotations

import logging
from typing import Protocol

from ctrlhub.controller.config import HubConfig
from ctrlhub.controller.core import causes
from ctrlhub.controller.core.deaths import Death
from ctrlhub.controller.core.effects import Outbox, Send, SendStored
from ctrlhub.controller.core.engines import NOTHING
from ctrlhub.controller.core.former import Former
from ctrlhub.controller.core.nannies import speaks_for
from ctrlhub.controller.core.sessions import Session, Sessions
from ctrlhub.controller.engine_events import EngineEvents
from ctrlhub.controller.engine_places import EnginePlaces
from ctrlhub.controller.exposed import Exposed
from ctrlhub.controller.stillborn import Stillborn
from ctrlhub.wire import messages as m
from ctrlhub.wire.limits import MAX_TEXT

log = logging.getLogger(__name__)


class Departures(Protocol):
    """Who lets peers go."""

    def give_up(self, session: Session, now: float, *, lost: bool = False) -> None:
        """Give a peer up, but keep its session for a while."""

    def end(self, session: Session, now: float) -> None:
        """End a session."""


class EngineDeaths:
    """Takes the word of nannies for the ends of their engines' processes.

    Parameters
    ----------
    config
        The hub's options.
    outbox
        Where effects go.
    exposed
        The hub's interfaces, which know what ran.
    sessions, places, events
        The sessions, the places of engines in the registry, and what clients are told of them.
    departures
        Lets engines go that have died.

    Attributes
    ----------
    perished : set
        The keys of engines of the hub before this one that have died.
    stillborn
        The engines that have died before they had a place.
    """

    def __init__(
        self,
        config: HubConfig,
        outbox: Outbox,
        exposed: Exposed,
        sessions: Sessions,
        places: EnginePlaces,
        events: EngineEvents,
        departures: Departures,
    ) -> None:
        self._config = config
        self._outbox = outbox
        self._exposed = exposed
        self._sessions = sessions
        self._places = places
        self._events = events
        self._departures = departures
        self.stillborn = Stillborn()
        self.perished: set[str] = set()
        self._former_ids: dict[str, int] = {}

    def restore(self, former: Former) -> None:
        """Know the engines of the hub before this one, of whose deaths we may be told."""
        self._former_ids = {key: number for number, (key, _) in former.engines.items()}

    def told(self, nanny: Session, message: m.EngineDied, now: float) -> None:
        """Take a nanny's word for the end of an engine's process: that of its own, as long as it is here."""
        session = self._sessions.of_key(message.key)
        if session is None or session.role is not m.Role.ENGINE:
            self._perished(message)
            if not message.restarting and message.key not in self._former_ids:
                self._events.tell_stillborn(self.stillborn.note(nanny, message))
            self._charge(nanny, message, self._former_ids.get(message.key, -1))
            return
        if not speaks_for(nanny, session):
            log.warning("nanny %d speaks of engine %s of another", nanny.number, message.key)
            return
        engine = session.engine
        if session.incarnation != message.incarnation:  # another process is in its place already
            self._charge(nanny, message, -1 if engine is None else engine.id)
            return
        self._ends(session, message, now)
        if engine is None or engine.blamed != NOTHING:
            self._charge(nanny, message, -1 if engine is None else engine.id)

    def _ends(self, session: Session, message: m.EngineDied, now: float) -> None:
        """Let an engine go whose process has ended."""
        engine = session.engine
        if engine is not None:
            engine.cause = message.cause[:MAX_TEXT]
            engine.last_words = causes.last_words(message)
            engine.blamed = message.running if message.running >= 0 else NOTHING
            if engine.restart:
                engine.cause = causes.of_restart(f"{engine.restart} ({message.cause[:MAX_TEXT]})")
                engine.blamed = NOTHING
        self._departures.give_up(session, now, lost=not message.restarting)
        if not message.restarting:
            if engine is not None:
                self._places.release(engine)
            self._departures.end(session, now)

    def _charge(self, nanny: Session, message: m.EngineDied, number: int) -> None:
        """Charge the request that ran with a death, and have the nanny tell nobody else once that is stored."""
        connection = nanny.connections.get(m.Stream.HUB)
        if message.running <= 0 or connection is None:
            return
        cause = message.cause[:MAX_TEXT] + causes.last_words(message)
        is_noted = self._exposed.has_killed(message.running, Death(message.incarnation, number, cause))
        if is_noted and self._config.store != "memory":  # else the next hub has to be told, too
            noted = Send(connection, m.DeathNoted(message.incarnation), nanny.borrows)
            self._outbox.add(SendStored(noted))

    def _perished(self, message: m.EngineDied) -> None:
        """Expect an engine of the hub before this one no longer; its id, if another takes its place."""
        if len(self.perished) < self._config.max_engines:
            self.perished.add(message.key)

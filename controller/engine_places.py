"""The places of engines in the registry: taken, left, and kept for those that come back. No I/O."""

from __future__ import annotations

from collections.abc import Set as AbstractSet

from ctrlhub.controller.core.effects import Outbox
from ctrlhub.controller.core.engines import Absence, Engine
from ctrlhub.controller.core.former import Former
from ctrlhub.controller.core.saved_engines import SavedEngines
from ctrlhub.controller.core.sessions import Session
from ctrlhub.controller.engine_events import EngineEvents
from ctrlhub.controller.service import ControllerService
from ctrlhub.wire.errors import CtrlHubError, RegistrationRefused


class EnginePlaces:
    """Gives the sessions of engines their places, and takes them back.

    Parameters
    ----------
    controller
        The engine registry.
    outbox
        Where effects go.
    events
        What clients are told.
    """

    def __init__(
        self, controller: ControllerService, outbox: Outbox, events: EngineEvents
    ) -> None:
        self._controller = controller
        self._events = events
        self._saved = SavedEngines(outbox)
        self._absent: dict[int, tuple[int, Absence]] = {}
        controller.on_register_engine_do(self._number, True)

    def restore(self, former: Former) -> None:
        """Keep the places that the hub before this one has left."""
        for id, (key, _) in sorted(former.engines.items()):
            if self._controller.reserve_id(id, key):
                self._saved.take_back(id)
            else:
                self._saved.drop(id)

    def expect_nobody(self) -> None:
        """Take note that the hub ends on purpose, and its engines with it."""
        self._saved.drop_all()

    def demand(self, session: Session, id: int) -> None:
        """Keep a place for an engine that takes no other; also that of one that has not come back.

        Raises
        ------
        RegistrationRefused
            Another engine has it, or is promised to come back to it.
        """
        here, away = self._controller.engines.get(id), self.absent().get(id)
        if here is not None:
            assert isinstance(here, Engine)
            holder = here.session
            raise RegistrationRefused(
                f"engine id {id} is taken: process {holder.pid} on {holder.host} has it, and this engine "
                "takes no other (a rank of MPI is the engine of its number); stop that one with "
                f"client.shutdown({id}), or start a hub of another profile for this set"
            )
        if away is not None and away.restarting:
            raise RegistrationRefused(
                f"engine id {id} is taken: its engine is being restarted, and this engine takes no other"
            )
        self._controller.demand_id(id, session.key)

    def take(self, session: Session, wish: int) -> None:
        """Give an engine its place; the one that it wishes for, if it is free.

        Raises
        ------
        CtrlHubError
            There is none for it.
        """
        session.engine = Engine(session.key, session, resources=session.resources)
        try:
            self._controller.register_engine(
                session.engine, wish if wish >= 0 else None, pid=session.pid
            )
        except CtrlHubError:
            session.engine = None
            raise
        self._saved.save(session.engine.id, session)

    def set_clock(self, unix_offset: float) -> None:
        """Say what the hub's clock lacks to Unix time (seconds)."""
        self._saved.unix_offset = unix_offset

    def save(self, engine: Engine) -> None:
        """Store once more what is known of an engine."""
        self._saved.save(engine.id, engine.session)

    def leave(self, engine: Engine, *, lost: bool = False) -> None:
        """Take an engine's place, which is kept for it; it is `lost` where nobody has promised another."""
        engine.session.engine = None
        last_seen = engine.describe()
        self._controller.unregister_engine(engine.id)
        self._events.tell_unregistered(last_seen, engine.cause, lost=lost)

    def has(self, engine: Engine) -> bool:
        """Tell whether an engine is registered."""
        return self._controller.engines.get(engine.id) is engine

    def leave_for_a_while(self, engine: Engine, *, lost: bool) -> None:
        """Do the same for one whose session goes on."""
        self._absent[engine.session.number] = engine.id, engine.absence(lost=lost)
        self.leave(engine, lost=lost)

    def release(self, engine: Engine) -> None:
        """Keep an engine's place no longer: it does not come back."""
        self._controller.release_id(engine.id)
        self._saved.drop(engine.id)

    def is_back_or_ended(self, session: Session) -> None:
        """Take note that there is no more to say of an engine's absence."""
        self._absent.pop(session.number, None)

    def absent(self) -> dict[int, Absence]:
        """Return what is to be said of the engines that are away for a while, by id."""
        here = self._controller.engines
        return {number: state for number, state in self._absent.values() if number not in here}

    def _number(self, number: int) -> None:
        """Tell an engine its id, before any interface hears of it."""
        engine = self._controller.engines[number]
        assert isinstance(engine, Engine)
        engine.id = number

    def check(self, watched: AbstractSet[int], away: AbstractSet[int]) -> None:
        """Assert that the registry has the engines that are here, given the numbers of sessions."""
        assert self._absent.keys() <= away
        for number, engine in self._controller.engines.items():
            assert isinstance(engine, Engine)
            assert engine.id == number
            assert engine.session.engine is engine
            assert engine.session.number in watched

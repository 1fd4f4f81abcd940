"""What clients are told of engines: who is there, and each event, numbered. No I/O.

A client that has missed a number asks for everything anew: see `ctrlhub.client.engine_list`.
"""

from __future__ import annotations

from collections.abc import Mapping

from ctrlhub.controller.core.effects import Outbox
from ctrlhub.controller.core.engines import Engine
from ctrlhub.controller.core.sessions import Session
from ctrlhub.controller.service import ControllerService
from ctrlhub.wire import messages as m

MOST_OF_A_CAUSE = 1000


class EngineEvents:
    """The engine events, to every client.

    Parameters
    ----------
    controller
        The engine registry.
    outbox
        Where effects go.
    clients
        The sessions of clients, by number: they hear of every event.

    Attributes
    ----------
    count
        The number of the last event.
    """

    def __init__(
        self, controller: ControllerService, outbox: Outbox, clients: Mapping[int, Session]
    ) -> None:
        self._clients = clients
        self.count = 0
        self._controller = controller
        self._outbox = outbox

    def begin(self) -> None:
        """Tell of engines that register, from now on: after the interfaces have heard."""
        self._controller.on_register_engine_do(self.tell, True, "registered")

    def described(self) -> list[dict[str, object]]:
        """Return what clients are told of each engine, by id."""
        return [self._engine(number).describe() for number in sorted(self._controller.engines)]

    def tell(self, number: int, event: str, cause: str | None = None) -> None:
        """Tell clients of an event that concerns an engine, and why."""
        more = {} if cause is None else {"cause": cause}
        self._publish(event, self._engine(number).describe() | more)

    def tell_unregistered(
        self, last_seen: Mapping[str, object], cause: str, *, lost: bool
    ) -> None:
        """Tell clients that an engine is gone, and why; `lost` where nobody has promised another."""
        told = {"cause": cause[:MOST_OF_A_CAUSE], "lost": lost}
        self._publish("unregistered", {**last_seen, **told})

    def tell_stillborn(self, told: Mapping[str, object]) -> None:
        """Tell clients of an engine that has died before it was one."""
        self._publish("stillborn", {**told, "lost": True})

    def _engine(self, number: int) -> Engine:
        engine = self._controller.engines[number]
        assert isinstance(engine, Engine)
        return engine

    def _publish(self, event: str, description: Mapping[str, object]) -> None:
        self.count += 1
        message = m.EngineEvent(self.count, event, description)
        for session in self._clients.values():
            session.publish(self._outbox, message)

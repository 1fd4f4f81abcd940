"""Control: what clients do to engines, beside giving them work.

An engine hears of it on a stream of its own, so none of this waits for what the engine does. What takes
more than its goodwill (signals, a restart although its code does not let go) its nanny does.
"""

from __future__ import annotations

from collections.abc import Sequence

from ctrlhub.controller.core.engines import Engine
from ctrlhub.controller.core.sessions import Session
from ctrlhub.controller.interfaces.arguments import checked_ids
from ctrlhub.controller.interfaces.base import Interface, exposed
from ctrlhub.controller.interfaces.multiengine import MultiEngine
from ctrlhub.controller.interfaces.start_hooks import StartHookInterface
from ctrlhub.wire.errors import EngineError, InvalidEngineID, InvalidRequest
from ctrlhub.wire.messages import Interrupt, Message, Restart, Shutdown, Signal, Stream


class Control(Interface):
    """The interface for the control of engines."""

    name = "control"

    @exposed
    def interrupt(self, caller: Session, targets: Sequence[int]) -> list[int]:
        """Interrupt what runs on engines, whoever asked for it; return the engines."""
        engines = self._chosen(targets)
        commands = self.context.interfaces.get("multiengine")
        for engine in engines:
            # A command is named: on its own stream it may be slower than this.
            number = commands.in_flight(engine.id) if isinstance(commands, MultiEngine) else 0
            requests = ((number, number),) if number else ()
            engine.session.send(self.outbox, Stream.HUB, Interrupt(requests, cancels=False))
        return [engine.id for engine in engines]

    @exposed
    def signal(self, caller: Session, targets: Sequence[int], name: str) -> list[int]:
        """Have the nannies send a signal, by name, to engine processes; return the engines."""
        if type(name) is not str:
            raise InvalidRequest("a signal is given by its name")
        engines = self._chosen(targets)
        self._tell_nannies(engines, [Signal(engine.key, name) for engine in engines], "signal it")
        return [engine.id for engine in engines]

    @exposed
    def restart(self, caller: Session, targets: Sequence[int]) -> list[int]:
        """Have the nannies put other processes in the places of engines; return the engines.

        What an engine still has to do fails if it is a command; tasks go elsewhere, uncharged.
        """
        engines = self._chosen(targets)
        reason = f"client {caller.number} asked for it"
        self._tell_nannies(
            engines, [Restart(engine.key, reason) for engine in engines], "restart it"
        )
        hooks = self.context.interfaces.get("start_hooks")
        for engine in engines:
            engine.restart = reason
            if isinstance(hooks, StartHookInterface):
                hooks.forgive(engine)
        return [engine.id for engine in engines]

    @exposed
    def shutdown(self, caller: Session, targets: Sequence[int]) -> list[int]:
        """Ask engines to finish and exit; return them."""
        engines = self._chosen(targets)
        for engine in engines:
            engine.session.send(self.outbox, Stream.HUB, Shutdown(f"client {caller.number}"))
        return [engine.id for engine in engines]

    def _tell_nannies(
        self, engines: Sequence[Engine], messages: Sequence[Message], what: str
    ) -> None:
        """Send each engine's nanny a message, or none of them any.

        Raises
        ------
        EngineError
            An engine has no nanny, or one that does not answer.
        """
        for engine in engines:
            nanny = engine.session.nanny
            if nanny is None or Stream.HUB not in nanny.connections:
                raise EngineError(
                    f"engine {engine.id} has no nanny that could {what}"
                    f" (process {engine.session.pid} on {engine.session.host}): "
                    "engines that `ctrl-hub engine` or a Cluster starts have one",
                    engine.id,
                )
        for engine, message in zip(engines, messages, strict=True):
            nanny = engine.session.nanny
            assert nanny is not None
            nanny.send(self.outbox, Stream.HUB, message)

    def _chosen(self, targets: Sequence[int]) -> list[Engine]:
        for target in checked_ids(targets):
            if target not in self.engines:
                raise InvalidEngineID(f"there is no engine {target}")
        return [self.engine(target) for target in targets]

"""Control: what clients do to engines, beside giving them work.

An engine hears of it on a stream of its own, so none of this waits for what the engine does. What takes
more than its goodwill (signals, a restart although its code does not let go) its nanny does.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass

from ctrlhub.controller.core.drains import NO_LIMIT, Drain
from ctrlhub.controller.core.engines import Engine
from ctrlhub.controller.core.later import Later, OnceStored
from ctrlhub.controller.core.sessions import Session
from ctrlhub.controller.interfaces.arguments import checked_ids
from ctrlhub.controller.interfaces.base import Context, Interface, exposed
from ctrlhub.controller.interfaces.growing import Growth, GrowthOrders
from ctrlhub.controller.interfaces.multiengine import MultiEngine
from ctrlhub.controller.interfaces.nanny_orders import NannyOrders, Order
from ctrlhub.controller.interfaces.start_hooks import StartHookInterface
from ctrlhub.controller.service import IControllerBase
from ctrlhub.wire.errors import EngineError, InvalidRequest, LimitExceeded, TooManyEngines
from ctrlhub.wire.ids import Ranges, session_of
from ctrlhub.wire.messages import Interrupt, Restart, Role, Signal, Stream
from ctrlhub.wire.options import is_duration

MOST_PARKED = 64
"""So many interrupts of a client may wait for what they are to interrupt."""

PATIENCE = 10.0
"""How long (seconds) they do: what runs later is not what was meant."""

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Parked:
    """An interrupt that waits for a command of its maker, on the way on another stream."""

    after: int
    engines: Sequence[int]
    until: float


class Control(Interface):
    """The interface for the control of engines."""

    name = "control"

    def __init__(self, controller: IControllerBase, context: Context) -> None:
        super().__init__(controller, context)
        self._parked: dict[Session, list[Parked]] = {}
        self._orders = NannyOrders(self.outbox)
        self._growth = GrowthOrders(context.sessions, self.outbox)

    @exposed(Role.SUBMIT)
    def interrupt(self, caller: Session, targets: Sequence[int], after: int = 0) -> list[int]:
        """Interrupt what runs on engines, whoever asked for it; return the engines.

        It waits until the command `after` of the caller is here, which takes another stream; it is
        given up if that does not come.

        Raises
        ------
        EngineError
            Some engines cannot be reached now; the others are interrupted.
        """
        engines = [engine.id for engine in self._chosen(targets)]
        if type(after) is not int or session_of(after) not in (0, caller.number):
            raise InvalidRequest("a command of the caller is named by its id")
        if after > caller.last_command:
            parked = self._parked.setdefault(caller, [])
            if len(parked) >= MOST_PARKED:
                raise LimitExceeded(
                    f"{MOST_PARKED} interrupts of this client wait for commands that do not come: "
                    "wait until they have"
                )
            parked.append(Parked(after, engines, self.context.now() + PATIENCE))
        elif away := self._interrupt(engines):
            raise EngineError(
                f"not interrupted, since their connections are lost: engines {away}; try again "
                "when they are back",
                away[0],
            )
        return engines

    def _interrupt(self, numbers: Sequence[int]) -> list[int]:
        """Interrupt engines; return those that cannot be reached."""
        commands, away = self._commands(), []
        for number in numbers:
            if number not in self.engines:  # it has gone since
                continue
            # A command is named, in case nothing runs: on its own stream it may be slower than this.
            running = commands.in_flight(number) if commands is not None else 0
            message = Interrupt(((running, running),) if running else (), cancels=False)
            if not self.engine(number).session.send(self.outbox, Stream.HUB, message):
                away.append(number)
        return away

    def _commands(self) -> MultiEngine | None:
        commands = self.context.interfaces.get("multiengine")
        return commands if isinstance(commands, MultiEngine) else None

    def flush(self, now: float) -> None:
        """Interrupt what had to come first, and tell nannies that had to."""
        if self._orders.held:  # asked in every turn
            self._orders.flush()
        if self._growth.held:
            self._growth.flush(now)
        for session in tuple(self._parked):
            ready = [each for each in self._parked[session] if each.after <= session.last_command]
            if ready:
                self._keep(session, [each for each in self._parked[session] if each not in ready])
            for each in ready:
                # One that was taken back or refused is not there: what came behind it was not meant.
                meant = each.after == session.last_command or self._is_known(each.after)
                if meant and (away := self._interrupt(each.engines)):
                    log.warning("engines %s are not interrupted: they are away", away)

    def _is_known(self, command: int) -> bool:
        commands = self._commands()
        return commands is not None and commands.knows(command)

    def _keep(self, session: Session, parked: list[Parked]) -> None:
        if parked:
            self._parked[session] = parked
        else:
            del self._parked[session]

    def tick(self, now: float) -> None:
        """Give up what does not come: commands to interrupt, nannies to tell."""
        super().tick(now)
        self._orders.tick(now)
        self._growth.flush(now)
        for session, parked in tuple(self._parked.items()):
            self._keep(session, [each for each in parked if each.until > now])

    def next_deadline(self) -> float | None:
        """Say when `tick` is due."""
        due = [parked[0].until for parked in self._parked.values()]
        due += [self._orders.held[0].until] if self._orders.held else []
        due += [at for at in (self._growth.next_deadline(),) if at is not None]
        return min(due, default=None)

    def bound(self, session: Session, stream: Stream, held: Ranges, now: float) -> None:
        """Tell an engine again that it is to finish: it may have been away."""
        engine = session.engine
        if engine is not None and session.drain is not None and stream is Stream.MULTIENGINE:
            session.send(self.outbox, Stream.HUB, session.drain.for_engine(now))

    def handed_over(self, session: Session, now: float) -> None:
        """Forget what was meant for the process that had the session."""
        self.session_ended(session, now)

    def session_ended(self, session: Session, now: float) -> None:
        """Forget a client."""
        self._parked.pop(session, None)
        self._orders.forget(session)
        self._growth.forget(session)

    @exposed(Role.ADMIN)
    def signal(self, caller: Session, targets: Sequence[int], name: str) -> list[int] | Later:
        """Have the nannies send a signal, by name, to engine processes; return the engines."""
        if type(name) is not str:
            raise InvalidRequest("a signal is given by its name")
        order = Order(
            caller,
            self._chosen(targets),
            lambda engine: Signal(engine.key, name),
            "signal it",
            lambda: None,
        )
        return self._orders.give(order, self.context.now())

    @exposed(Role.ADMIN)
    def restart(self, caller: Session, targets: Sequence[int]) -> list[int] | Later:
        """Have the nannies put other processes in the places of engines; return the engines.

        What an engine still has to do fails if it is a command; tasks go elsewhere, uncharged. One that
        is being restarted already has another in its place soon.
        """
        absent = self.context.absent()
        coming = {n for n in checked_ids(targets) if n in absent and absent[n].restarting}
        engines = self._chosen([number for number in targets if number not in coming])
        for engine in engines:
            if engine.drains:
                raise EngineError(
                    f"engine {engine.id} is draining ({engine.drain_reason}): it leaves, and no other takes "
                    "its place; start another one with `ctrl-hub engine`",
                    engine.id,
                )
        reason = f"client {caller.number} asked for it"
        order = Order(
            caller,
            engines,
            lambda engine: Restart(engine.key, engine.session.incarnation, reason),
            "restart it",
            lambda: self._restarting(engines, reason),
        )
        return self._orders.give(order, self.context.now())

    def _restarting(self, engines: Sequence[Engine], reason: str) -> None:
        """Take note that other processes are to take the places of engines."""
        hooks = self.context.interfaces.get("start_hooks")
        for engine in engines:
            engine.restart = reason
            if isinstance(hooks, StartHookInterface):
                hooks.forgive(engine)

    @exposed(Role.ADMIN)
    def start_engines(
        self, caller: Session, count: int, engine_set: str = "", within: float = 0.0
    ) -> int | Later:
        """Have the elastic nannies of a set start so many further engines between them; return the number.

        If none is here it is waited for, `within` seconds at most.

        Raises
        ------
        EngineError
            There is no such nanny here.
        TooManyEngines
            They would be more than the hub registers.
        """
        if type(count) is not int or count < 1 or type(engine_set) is not str:
            raise InvalidRequest("start_engines takes a number of engines, at least 1, and a set's name")
        if not is_duration(within):
            raise InvalidRequest(f"within is a number of seconds, not {within!r:.80}")
        there, most = len(self.engines), self.context.config.max_engines
        if there + count > most:
            raise TooManyEngines(
                f"{count} further engines would be more than max_engines={most}: {there} are registered"
            )
        return self._growth.give(Growth(caller, count, engine_set), within, self.context.now())

    @exposed(Role.ADMIN)
    def shutdown(self, caller: Session, targets: Sequence[int]) -> OnceStored:
        """Ask engines to exit soon, those that are away when they are back; return them.

        What runs has the few seconds that an engine has of its own.
        """
        return self._drain(targets, Drain(f"client {caller.number}", None))

    @exposed(Role.ADMIN)
    def drain(
        self, caller: Session, targets: Sequence[int], within: float | None = None
    ) -> OnceStored:
        """Ask engines to finish what they run and exit, those that are away when they are back; return them.

        What they have not begun runs elsewhere, or fails if it is a command; after `within` seconds so
        does what still runs. Their nannies start no others in their places.
        """
        if within is not None and (type(within) not in (int, float) or not within >= 0):
            raise InvalidRequest("the time to drain in is a number of seconds, or nil for no limit")
        until = NO_LIMIT if within is None else self.context.now() + within
        return self._drain(targets, Drain(f"client {caller.number}", until))

    @exposed(Role.SUBMIT)
    def gateway(self, caller: Session, within: float = 30.0) -> str | Later:
        """Return the URL of the HTTP gateway, which is started if there is none; it has no token in it.

        It is waited for, `within` seconds at most.

        Raises
        ------
        GatewayError
            It does not serve; the message says why.
        """
        if not is_duration(within):
            raise InvalidRequest(f"within is a number of seconds, not {within!r:.80}")
        return self.context.gateway.ask(within, self.context.now())

    def _drain(self, targets: Sequence[int], drain: Drain) -> OnceStored:
        engines = self._chosen(targets)
        for engine in engines:
            self.context.drain(engine, drain)
        return OnceStored([engine.id for engine in engines])

    def _chosen(self, targets: Sequence[int]) -> list[Engine]:
        for target in checked_ids(targets):
            if target not in self.engines:
                raise self.no_engine(target)
        return [self.engine(target) for target in targets]

"""What nannies are told to do with their engines, held back until they have come.

An engine that runs under a nanny may be here before it: both have just started, or have lost the
same hub. Who asks something of its nanny in that moment waits for it, for a while.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ctrlhub.controller.core.effects import Outbox
from ctrlhub.controller.core.engines import Engine
from ctrlhub.controller.core.later import Later
from ctrlhub.controller.core.sessions import Session
from ctrlhub.wire.errors import EngineError, LimitExceeded
from ctrlhub.wire.messages import Message, Stream

MOST_HELD = 64
"""So many orders of a client may wait for nannies."""

PATIENCE = 6.0
"""How long (seconds) they do: a peer that has lost its hub asks for it every 5 s at most."""


@dataclass(frozen=True, slots=True)
class Order:
    """Something that nannies are to do with some engines: all of it, or nothing.

    Attributes
    ----------
    caller
        The client that wants it.
    engines
        The engines.
    message
        Makes what an engine's nanny is told.
    what
        What it is to do, in words.
    done
        Called when they have been told.
    """

    caller: Session
    engines: Sequence[Engine]
    message: Callable[[Engine], Message]
    what: str
    done: Callable[[], None]

    @property
    def value(self) -> list[int]:
        """What the caller is answered."""
        return [engine.id for engine in self.engines]


@dataclass(frozen=True, slots=True)
class Held:
    """An order that waits, its answer, and until when."""

    order: Order
    answer: Later
    until: float


class NannyOrders:
    """The orders.

    Parameters
    ----------
    outbox
        Where what nannies are told goes.

    Attributes
    ----------
    held : list of Held
        Those that wait, the oldest first.
    """

    def __init__(self, outbox: Outbox) -> None:
        self._outbox = outbox
        self.held: list[Held] = []

    def give(self, order: Order, now: float) -> list[int] | Later:
        """Tell each engine's nanny, now or as soon as all have come.

        Raises
        ------
        EngineError
            An engine has no nanny, and will not have one.
        LimitExceeded
            Too many orders of this caller wait.
        """
        lacking = [engine for engine in order.engines if not has_nanny(engine)]
        for engine in lacking:
            if not may_have_nanny(engine):
                raise _refusal(engine, order.what)
        if not lacking:
            self._tell(order)
            return order.value
        if sum(held.order.caller is order.caller for held in self.held) >= MOST_HELD:
            raise LimitExceeded(
                f"{MOST_HELD} signals and restarts of this client wait for nannies that have not "
                "come yet: wait until they have"
            )
        answer = Later()
        self.held.append(Held(order, answer, now + PATIENCE))
        return answer

    def flush(self) -> None:
        """Give the orders whose nannies have come, and refuse those whose engines have gone."""
        held, self.held = self.held, []
        for each in held:
            gone = next((e for e in each.order.engines if e.cause), None)
            if gone is not None:
                text = (
                    f"engine {gone.id} ended before its nanny could {each.order.what}: {gone.cause}"
                )
                each.answer.refuse(EngineError(text, gone.id))
            elif all(map(has_nanny, each.order.engines)):
                self._tell(each.order)
                each.answer.give(each.order.value)
            else:
                self.held.append(each)

    def tick(self, now: float) -> None:
        """Refuse the orders whose nannies do not come."""
        self.flush()  # the last may have come in this turn
        due = [each for each in self.held if each.until <= now]
        self.held = [each for each in self.held if each.until > now]
        for each in due:
            lacking = next(e for e in each.order.engines if not has_nanny(e))
            each.answer.refuse(_refusal(lacking, each.order.what))

    def forget(self, caller: Session) -> None:
        """Take back the orders of a client that has gone."""
        self.held = [each for each in self.held if each.order.caller is not caller]

    def _tell(self, order: Order) -> None:
        for engine in order.engines:
            nanny = engine.session.nanny
            assert nanny is not None
            nanny.send(self._outbox, Stream.HUB, order.message(engine))
        order.done()


def has_nanny(engine: Engine) -> bool:
    """Tell whether an engine's nanny can be told something now."""
    nanny = engine.session.nanny
    return nanny is not None and Stream.HUB in nanny.connections


def may_have_nanny(engine: Engine) -> bool:
    """Tell whether a nanny that we have not heard of, or not for a moment, may yet speak up."""
    nanny = engine.session.nanny
    return engine.session.supervised and (nanny is None or not nanny.ended)


def _refusal(engine: Engine, what: str) -> EngineError:
    session = engine.session
    process = f"process {session.pid} on {session.host}"
    if session.supervised:
        return EngineError(
            f"the nanny of engine {engine.id} ({process}), which could {what}, is not connected to the "
            "hub: see its log; what is left is to end the process by hand, and to start others with "
            "`ctrl-hub engine`",
            engine.id,
        )
    return EngineError(
        f"engine {engine.id} has no nanny that could {what} ({process}): engines that "
        "`ctrl-hub engine` or a Cluster starts have one",
        engine.id,
    )

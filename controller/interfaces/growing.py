"""Which nanny starts how many of the engines that a set is to have more.

A nanny that was just started, or has lost the same hub, may not be here yet: who knows that there is
one says how long it is to be waited for.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from ctrlhub.controller.core.effects import Outbox
from ctrlhub.controller.core.later import Later
from ctrlhub.controller.core.sessions import Session, Sessions
from ctrlhub.wire.errors import EngineError, LimitExceeded
from ctrlhub.wire.messages import Role, StartEngines, Stream

MOST_HELD = 64
"""So many orders of a client may wait for nannies."""

LONGEST = 60.0
"""The longest wait (seconds) for a nanny."""

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Growth:
    """So many further engines of a set, for a client."""

    caller: Session
    count: int
    engine_set: str


@dataclass(frozen=True, slots=True)
class Held:
    """An order that waits for a nanny, its answer, and until when."""

    growth: Growth
    answer: Later
    until: float


class GrowthOrders:
    """The orders.

    Parameters
    ----------
    sessions
        Where the nannies are.
    outbox
        Where what they are told goes.

    Attributes
    ----------
    held : list of Held
        Those that wait.
    """

    def __init__(self, sessions: Sessions, outbox: Outbox) -> None:
        self._sessions = sessions
        self._outbox = outbox
        self.held: list[Held] = []

    def give(self, growth: Growth, within: float, now: float) -> int | Later:
        """Tell the nannies, now or as soon as one has come.

        Raises
        ------
        EngineError
            None is here, and none is to be waited for.
        LimitExceeded
            Too many orders of this caller wait.
        """
        try:
            return self._tell(growth)
        except EngineError:
            if not within:
                raise
        if sum(held.growth.caller is growth.caller for held in self.held) >= MOST_HELD:
            raise LimitExceeded(f"{MOST_HELD} orders of this client wait for nannies: wait until they have come")
        answer = Later()
        self.held.append(Held(growth, answer, now + min(within, LONGEST)))
        return answer

    def flush(self, now: float) -> None:
        """Tell the nannies that have come; refuse those who have waited for long enough."""
        held, self.held = self.held, []
        for each in held:
            try:
                each.answer.give(self._tell(each.growth))
            except EngineError as error:
                if now < each.until:
                    self.held.append(each)
                else:
                    each.answer.refuse(error)

    def next_deadline(self) -> float | None:
        """Say when `flush` has something to refuse."""
        return min((each.until for each in self.held), default=None)

    def forget(self, caller: Session) -> None:
        """Take back the orders of a client that has gone."""
        self.held = [each for each in self.held if each.growth.caller is not caller]

    def _tell(self, growth: Growth) -> int:
        for nanny, share in shared_out(growth.count, growth.engine_set, self._sessions).items():
            log.info("client %d has nanny %d start %d engines", growth.caller.number, nanny.number, share)
            nanny.send(self._outbox, Stream.HUB, StartEngines(share))
        return growth.count


def shared_out(count: int, engine_set: str, sessions: Iterable[Session]) -> Counter[Session]:
    """Share so many new engines out among the elastic nannies of a set, one on each host.

    The next goes to who has the fewest.

    Raises
    ------
    EngineError
        None is connected.
    """
    nannies = {
        each.host: each  # of several on a host, all but one of which have died, the last that came
        for each in sessions
        if each.role is Role.NANNY
        and each.elastic
        and each.engine_set == engine_set
        and Stream.HUB in each.connections
    }
    if not nannies:
        name = f"set {engine_set!r}" if engine_set else "engines without a set"
        raise EngineError(
            f"no nanny of {name} is here that starts further engines: a Cluster and `ctrl-hub start` have "
            "one; start another set with `Cluster.start_engines` or `ctrl-hub engines start`"
        )
    shares: Counter[Session] = Counter()
    for _ in range(count):
        least = min(nannies.values(), key=lambda each: (len(each.vouches) + shares[each], each.number))
        shares[least] += 1
    return shares

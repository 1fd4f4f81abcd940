"""What interfaces share whose requests are kept on record, while they live and afterwards.

A request is on record from its acceptance: queued or running, then with a result on its way to its
client, and then, once the client has it, in the history. Others may *follow* it: they get its result,
too, now or when it is there, in the same way as its own client, so that none is lost on its way.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from typing import ClassVar, Generic, Protocol, TypeVar

from ctrlhub.controller.core.deliveries import Deliveries, Outcome
from ctrlhub.controller.core.early_stops import EarlyStops
from ctrlhub.controller.core.effects import (
    Acknowledge,
    Commit,
    Expire,
    Fetched,
)
from ctrlhub.controller.core.ended_ids import EndedIds
from ctrlhub.controller.core.followers import Followers
from ctrlhub.controller.core.functions import Function
from ctrlhub.controller.core.history import (
    GONE,
    LARGEST_ARGUMENTS,
    Ended,
    History,
    Retention,
)
from ctrlhub.controller.core.id_order import IdOrder
from ctrlhub.controller.core.sessions import Session
from ctrlhub.controller.core.withheld import Withheld, stored
from ctrlhub.controller.interfaces.base import Context, Interface
from ctrlhub.controller.interfaces.following import Following
from ctrlhub.controller.service import IControllerBase
from ctrlhub.wire.codec import size_of
from ctrlhub.wire.errors import InvalidRequest, ResultLost
from ctrlhub.wire.ids import Ranges, session_of, text_of, to_ranges, within
from ctrlhub.wire.messages import Received, Results, Role, Stream
from ctrlhub.wire.room import shrink


class Request(Ended, Protocol):
    """A request as its interface keeps it."""

    session: Session


R = TypeVar("R", bound=Request)


@dataclass(frozen=True, slots=True)
class Particulars:
    """What a record says of a request besides its outcome.

    Attributes
    ----------
    action, label
        What it is.
    submitted
        When it came, on the hub's clock (seconds).
    engine
        The engine that has it; -1 for none.
    running
        Whether an engine has it.
    """

    action: str
    label: str
    submitted: float
    engine: int
    running: bool


class Recorded(Interface, Generic[R]):
    """An interface whose requests are on record.

    Parameters
    ----------
    controller, context
        As for `Interface`.

    Attributes
    ----------
    following
        Who gets results besides the clients that made the requests.
    submitted, returned : int
        How many requests clients have given to this hub, and how many it has of the hub before it.
    """

    stream: ClassVar[Stream]
    """Where its requests and their results travel."""

    def __init__(self, controller: IControllerBase, context: Context) -> None:
        super().__init__(controller, context)
        config = context.config
        retention = Retention(config.history_records, config.history_bytes, config.history_age)
        self._records: dict[int, R] = {}
        self._spoilt: dict[int, R] = {}  # of a former hub: their arguments are to be given again
        self._kept: dict[Session, int] = {}
        self._deliveries = Deliveries(self.stream, context.outbox, context.events)
        self._history: History[R] = History(retention)
        self._followers = Followers()
        self.following = Following(self.find, self._followers, self._deliveries)
        self._ended_ids: dict[int, EndedIds] = {}  # by session
        self._order = IdOrder()
        self._withheld = Withheld()
        self._early = EarlyStops()
        self._output = context.output
        self.submitted = self.returned = 0

    # ------------------------------------------------------------ an interface's own

    @abstractmethod
    def particulars(self, request: R) -> Particulars:
        """Return what a record says of a request."""

    @abstractmethod
    def resubmit(self, caller: Session, request: R, number: int) -> None:
        """Do again what was asked for, by another id (see `check_new`), for a client."""

    @abstractmethod
    def _functions_of(self, requests: Iterable[R]) -> set[Function]:
        """Return the functions that requests call."""

    # ------------------------------------------------------------ results

    def received(self, session: Session, message: Received, stream: Stream, now: float) -> None:
        """Let go of results that their client has; history keeps them."""
        requests, outcomes, taken = self._take_received(session, message.requests)
        if requests:
            self._remember(requests, outcomes, taken, now)

    def _remember(
        self, requests: Sequence[R], outcomes: Sequence[Outcome], ids: Ranges, now: float
    ) -> None:
        """Hand to history what nobody waits for any more."""
        history = self._history
        history.add(requests, outcomes, self._functions_of(requests), now)
        self.outbox.add(Commit((Fetched(ids),)))
        if history.dropped or history.cut:
            self._let_go()

    def _let_go(self) -> None:
        """Have the store forget what history keeps no longer."""
        if operations := self._history.take_lost():
            self.outbox.add(Commit(tuple(operations)))

    def _take_received(
        self, session: Session, ranges: Ranges
    ) -> tuple[Sequence[R], Sequence[Outcome], Ranges]:
        """End the records of a client's own requests whose results it has; return also their ids."""
        records = self._records
        requests: list[R] = []
        outcomes: list[Outcome] = []
        taken: Ranges = ()
        received = self._deliveries.received(session, ranges)
        if self._followers.unread:
            self._followers.received(session, received)
        for outcome in received:
            number = outcome[0]
            request = records.get(number)
            if request is not None and request.session is session:
                del records[number]
                requests.append(request)
                outcomes.append(outcome)
        if requests:
            self._kept[session] -= len(requests)
            taken = to_ranges([outcome[0] for outcome in outcomes])
            failed = [outcome[0] for outcome in outcomes if outcome[1]]
            self._ended_of(session).add(taken, failed)
            shrink(records)
        return requests, outcomes, taken

    def _ended_of(self, session: Session) -> EndedIds:
        return self._ended_ids.setdefault(session.number, EndedIds())

    def has_ended(self, number: int) -> bool | None:
        """Say how a request ended that is on record no more: well or not; None if that is unknown."""
        ended = self._ended_ids.get(session_of(number))
        return None if ended is None else ended.how(number)

    def place_of(self, number: int) -> int | None:
        """Say on which engine a request ran that is on record no more; None if that is unknown."""
        return self._history.place_of(number)

    def _deliver(self, request: R, outcome: Outcome) -> None:
        """Send an outcome to a request's client and to who follows it; history takes it else."""
        followers = self._followers
        if followers.of or followers.watchers or (outcome[6] and self._output.watchers):
            self._tell_followers(outcome)
        if request.session.ended:
            self._bury(request, outcome)
        else:
            self._deliveries.add(request.session, outcome)

    def _bury(self, request: R, outcome: Outcome) -> None:
        """End a request whose client is gone: nobody but history takes the result."""
        if self._records.get(request.id) is request:
            del self._records[request.id]
        # The store has forgotten it with its client.
        self._history.add([request], [outcome], self._functions_of([request]), self.context.now())
        self._let_go()

    def _leave_results(self, session: Session) -> None:
        """Leave to history what a client that is gone has not fetched; it follows nothing more."""
        self._early.session_ended(session.number)
        self._followers.leave(session)
        self._ended_ids.pop(session.number, None)
        requests: list[R] = []
        outcomes: list[Outcome] = []
        for outcome in self._deliveries.drop(session):
            request = self._records.get(outcome[0])
            if request is not None and request.session is session:
                del self._records[outcome[0]]
                requests.append(request)
                outcomes.append(outcome)
        if requests:
            ids = to_ranges(sorted(request.id for request in requests))
            self._remember(requests, outcomes, ids, self.context.now())

    # ------------------------------------------------------------ acknowledgements to engines

    def acknowledgement(
        self, session: Session, stream: Stream, message: Results, strange: Sequence[int]
    ) -> tuple[Acknowledge, ...]:
        """Return what tells an engine, after the commit, that it may forget results.

        Those in `strange` belong to no request that is known here. A hub that has just begun lets
        engines keep them for a while: when their client asks again, the engine still has them.
        """
        numbers = [row[0] for row in message.rows]
        if strange and self.context.is_settling():
            self._withheld.keep(session, stream, strange)
            withheld = frozenset(strange)
            numbers = [n for n in numbers if n not in withheld]
        return stored(session, stream, numbers)

    def flush(self, now: float) -> None:
        """Send what became ready in this turn; an interface that has more to send extends this."""
        if self._withheld and not self.context.is_settling():
            for acknowledgements in self._withheld.release():
                self.outbox.add(Commit((), acknowledgements))

    # ------------------------------------------------------------ who is told

    def watch(self, number: int, watcher: Callable[[Outcome], None]) -> None:
        """Call `watcher` with the outcome of a request that has none yet; it has one watcher."""
        self._followers.watchers[number] = watcher

    def unwatch(self, number: int) -> None:
        """Do not."""
        self._followers.watchers.pop(number, None)

    def _tell_followers(self, outcome: Outcome) -> None:
        if self._output.watchers:
            self._output.ended(outcome, self.context.now())
        for session in self._followers.take(outcome):
            self._deliveries.add(session, outcome)

    # ------------------------------------------------------------ records

    def find(self, number: int) -> tuple[R, Outcome | None] | None:
        """Return a request, and its outcome once there is one."""
        request = self._records.get(number)
        if request is None:
            request = self._spoilt.get(number)
            return self._history.find(number) if request is None else (request, None)
        return request, self._deliveries.find(request.session, number)

    def numbers_after(self, number: int, most: int) -> list[int]:
        """Return the next ids of requests on record, in order: less than `most` at the end."""
        ended, now = self._history.numbers(), self.context.now()
        return list(islice(self._order.after(number, self._records, ended, now), most))

    def behind(self) -> list[Session]:
        """Return the clients that do not read their results, of which too much waits for them."""
        return list(self._deliveries.behind)

    @property
    def undelivered(self) -> int:
        """How many results wait for clients to take them."""
        return len(self._deliveries)

    def ended_on(self) -> dict[int, set[int]]:
        """Return the ids of requests on record that have ended, by engine, however many clients have each."""
        kept = (outcome for _, outcome in self._history)
        found: dict[int, set[int]] = {}
        for outcome in chain(kept, self._deliveries.outcomes()):
            found.setdefault(outcome[3], set()).add(outcome[0])
        return found

    def purge(self, caller: Session, ranges: Ranges, engines: Collection[int], rest: bool) -> int:
        """Forget requests that have ended: a client's own, and those that clients have left.

        Parameters
        ----------
        caller
            The client; it has the results of its own that are named.
        ranges
            Which, by id.
        engines
            And all that ended on these engines.
        rest
            And all whose clients are gone.

        Returns
        -------
        int
            How many.
        """
        requests, _, _ = self._take_received(caller, ranges)
        if requests:
            self.outbox.add(Commit((Expire(requests),)))
        is_within = within(ranges)
        anyones = caller.role.allows(Role.ADMIN)

        def chosen(request: R, outcome: Outcome) -> bool:
            if request.session is not caller and not (anyones and request.session.ended):
                return False
            gone = rest and request.session.ended
            if not (gone or outcome[3] in engines or is_within(request.id)):
                return False
            ended.discard(request.id, request.id)
            return True

        ended = self._ended_ids.get(caller.number, EndedIds())
        for first, last in ranges:
            ended.discard(first, last)
        purged = self._history.purge(chosen)
        self._let_go()
        return len(requests) + purged

    def check_again(self, request: R) -> None:
        """Refuse to do again what cannot be.

        Raises
        ------
        CtrlHubError
            It cannot be; the message says why.
        """
        if request.payload == GONE or size_of(request.payload) > LARGEST_ARGUMENTS:
            raise ResultLost(
                f"the arguments of request {text_of(request.id)} were too large to be kept "
                f"(more than {LARGEST_ARGUMENTS} bytes): submit it anew"
            )

    def check_new(self, caller: Session, numbers: Collection[int]) -> None:
        """Refuse requests that are to be made here, not by a message of their client.

        Raises
        ------
        CtrlHubError
            Their ids are not new, or not the client's; or it has too many results here.
        """
        for number in numbers:
            if session_of(number) != caller.number or self.find(number) is not None:
                raise InvalidRequest("a resubmitted request needs a new id of its client's session")
        refusal = self.context.refusal(self._kept.get(caller, 0) + len(numbers))
        if numbers and refusal is not None:
            raise refusal

    def _count_new(self, caller: Session) -> None:
        """Count a request that is made here."""
        self._kept[caller] = self._kept.get(caller, 0) + 1

    # ------------------------------------------------------------ time

    def tick(self, now: float) -> None:
        """Let history forget what is too old."""
        self._history.tick(now)
        self._let_go()
        self._order.forget(now)

    def settle(self) -> None:
        """Let history take less memory."""
        self._history.settle()

    def next_deadline(self) -> float | None:
        """Say when `tick` is due."""
        return self._history.next_deadline()

    def check(self) -> None:
        """Assert that records, deliveries and followers agree."""
        self._deliveries.check()
        self._history.check()
        self._followers.check()
        assert not any(session.ended for session in self._kept)

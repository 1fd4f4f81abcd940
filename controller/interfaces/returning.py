"""What interfaces share that take back the requests of the hub before this one."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from typing import Generic, Protocol, TypeVar

from ctrlhub.controller.core.deliveries import Outcome
from ctrlhub.controller.core.effects import Commit, Forget
from ctrlhub.controller.core.former import Former
from ctrlhub.controller.core.history import BLOCK, GONE
from ctrlhub.controller.core.saved import Saved
from ctrlhub.controller.interfaces.handing_over import HandingOver
from ctrlhub.controller.interfaces.recorded import R
from ctrlhub.wire.errors import CtrlHubError, ResultLost
from ctrlhub.wire.ids import text_of, to_ranges
from ctrlhub.wire.messages import Payload, Status


class SavedRequest(Protocol):
    """A request as a store gives it back."""

    @property
    def id(self) -> int:
        """Its id."""

    @property
    def payload(self) -> Payload:
        """Its arguments."""


S = TypeVar("S", bound=SavedRequest)


class Returning(HandingOver[R], Generic[R, S]):
    """An interface that takes back its requests, with their results and its history."""

    # ------------------------------------------------------------ an interface's own

    @abstractmethod
    def _saved_here(self, saved: Saved) -> Mapping[int, S]:
        """Return the requests that are this interface's."""

    @abstractmethod
    def _made_again(self, saved: S, former: Former) -> R | None:
        """Make a request again; None if it is none that can be."""

    @abstractmethod
    def _has_ended(self, request: R) -> None:
        """Take note that a request has ended."""

    @abstractmethod
    def _go_on(self, requests: Sequence[R], former: Former) -> None:
        """Go on with requests that have not ended, in the order in which they came."""

    @abstractmethod
    def _fail(self, request: R, error: CtrlHubError) -> None:
        """End a request with an error."""

    # ------------------------------------------------------------ shared

    def restore(self, former: Former) -> None:
        """Take back requests: those on record, and those in history."""
        results, fetched = former.saved.results, former.saved.fetched
        remembered: list[tuple[R, Outcome]] = []
        dropped: list[int] = []
        for saved in self._saved_here(former.saved).values():
            outcome = results.get(saved.id)
            request = self._made_again(saved, former)
            if request is None or (outcome is None and request.session.ended):
                dropped.append(saved.id)  # who still wants it gives it again
                continue
            if outcome is None and saved.payload == GONE:
                self._spoilt[saved.id] = request
                continue
            if outcome is not None:
                self._has_ended(request)
            if outcome is not None and (saved.id in fetched or request.session.ended):
                remembered.append((request, outcome))
                continue
            self._records[saved.id] = request
            self._kept[request.session] = self._kept.get(request.session, 0) + 1
            if outcome is not None:
                self._deliveries.add(request.session, outcome)
        if dropped:
            self.outbox.add(Commit((Forget(to_ranges(sorted(dropped))),)))
        self._restore_history(remembered, former)

    def _given_again(self, numbers: Iterable[int]) -> None:
        """Take note that clients have given requests that are new here."""
        for number in numbers:
            self._spoilt.pop(number, None)

    def flush(self, now: float) -> None:
        """End the requests without arguments whose clients have not given them again in time."""
        super().flush(now)
        if self._spoilt and not self.context.is_settling():
            self._end_spoilt()

    def _end_spoilt(self) -> None:
        spoilt, self._spoilt = self._spoilt, {}
        left = [number for number, request in spoilt.items() if request.session.ended]
        if left:
            self.outbox.add(Commit((Forget(to_ranges(sorted(left))),)))
        for number, request in spoilt.items():
            if not request.session.ended:
                self._records[number] = request
                self.returned += 1
                self._count_new(request.session)
                self._fail(request, ResultLost(
                    f"the arguments of request {text_of(number)} were damaged in the hub's store (their "
                    "file is missing, short or altered), and its client did not give them again: submit "
                    "it anew"
                ))  # fmt: skip
        self.context.alarm.at(self.context.now())

    def _restore_history(self, pairs: list[tuple[R, Outcome]], former: Former) -> None:
        def ended(pair: tuple[R, Outcome]) -> float:
            """Return when a request ended, as far as its engine's clock can be believed."""
            request, (_, _, _, _, started, elapsed, _) = pair
            # What the hub has ended itself did not start.
            since = max(started + elapsed - former.unix_offset, self.particulars(request).submitted)
            return min(since, self.context.now())

        pairs.sort(key=ended)
        for place in range(0, len(pairs), BLOCK):
            some = pairs[place : place + BLOCK]
            requests, outcomes = [r for r, _ in some], [outcome for _, outcome in some]
            functions = self._functions_of(requests)
            self._history.add(requests, outcomes, functions, ended(some[0]))
        for request, outcome in pairs:
            if not request.session.ended:
                failed = [outcome[0]] if outcome[1] != Status.OK else []
                one = to_ranges([outcome[0]])
                self._ended_of(request.session).add(one, failed)
        self._let_go()

    def resume(self, former: Former) -> None:
        """Go on with what has not ended: every interface has its requests back."""
        here = self._saved_here(former.saved).keys()
        left = [self._records[n] for n in here if n in self._records]
        left = [r for r in left if self._deliveries.find(r.session, r.id) is None]
        self._go_on(sorted(left, key=lambda request: request.id), former)

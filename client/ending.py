"""How a client's session ends, and what becomes of its requests then. No I/O."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ctrlhub.client.acceptance import Acceptance, Told
from ctrlhub.client.farewell import LOST, NOT_SENT, fates
from ctrlhub.client.following import Following
from ctrlhub.client.informed import InformedMembership
from ctrlhub.client.live_output import LiveOutputs
from ctrlhub.client.outgoing import Outgoing
from ctrlhub.client.requests import Claim, Request, Stirred
from ctrlhub.client.rows import failed
from ctrlhub.client.watcher import Watcher
from ctrlhub.link.membership import Patience, State
from ctrlhub.wire.errors import ControllerStopped, CtrlHubError, SessionClosed, error_for
from ctrlhub.wire.messages import Refused, Register, Stream


class EndingMembership(InformedMembership):
    """A membership that has requests, all of which end with it.

    Parameters
    ----------
    registration, watcher, patience, seed
        As for `InformedMembership`.

    Attributes
    ----------
    live : LiveOutputs
        What is shown of requests before they have ended.
    crowd : list
        Those, of any thread, who wait for room for their requests.
    """

    def __init__(
        self, registration: Register, watcher: Watcher, patience: Patience, seed: int | None
    ) -> None:
        super().__init__(registration, watcher, patience, seed)
        self._outgoing = Outgoing()
        self.live = LiveOutputs()
        self._following = Following(self.calls, lambda: self.last_heard)
        self.crowd: list[Claim] = []

    def keep_acceptance(self) -> None:
        """Keep from now on what the hub has yet to store, for `tell_stored`."""
        if self._outgoing.acceptance is None:
            self._outgoing.acceptance = Acceptance()

    def tell_stored(self, numbers: Iterable[int], told: Told) -> None:
        """Have somebody told once the hub has stored requests, whether or not they have ended.

        Of those that were submitted after `keep_acceptance`.
        """
        acceptance = self._outgoing.acceptance
        assert acceptance is not None  # it is asked for first
        if self.state is State.GONE:
            told(SessionClosed("this client was closed"))
        else:
            acceptance.wait(numbers, self._outgoing.waiting_numbers(), told)

    def forget_stored(self, numbers: Iterable[int], told: Told) -> None:
        """Have somebody told no more."""
        if self._outgoing.acceptance is not None:
            self._outgoing.acceptance.forget(numbers, told)

    def _tell_unstored(self, error: CtrlHubError) -> None:
        if self._outgoing.acceptance is not None:
            self._outgoing.acceptance.end(error)

    def _never_accepted(self, requests: Iterable[tuple[int, Request]]) -> None:
        if self._outgoing.acceptance is not None:
            self._outgoing.acceptance.refused(number for number, _ in requests)

    def close(self, error: CtrlHubError, now: float) -> None:
        """Leave; what has not ended fails with `error`."""
        self.goodbye(now)
        self._end(error, now)

    def hub_has_ended(self, error: CtrlHubError, now: float) -> None:
        """Leave; if the hub had a store, all fails with what is known to be in it, and what is not."""
        self.goodbye(now)
        if self.registered is None or not self.registered.durable:
            self._end(type(error)(f"{error}{LOST}"), now)
            return
        rest = type(error)(f"{error}{NOT_SENT}")
        self._watcher.ended(rest)  # first: nothing is to be submitted any more
        self._tell_unstored(rest)
        for ledger in self._outgoing.ledgers:
            for numbers, fate in fates(ledger, error, self.session):
                self._fail(ledger.take(numbers), fate, now)
        self._end(rest, now)

    def on_refused(self, refused: Refused) -> None:
        """Give up: the hub does not let us in."""
        self._end(error_for(refused.code)(refused.message), self.last_heard)

    def _on_goodbye(self, stream: Stream, message: Any, now: float) -> None:
        if message.code:  # it is not the hub that ends
            self.vanish()
            self._end(error_for(message.code)(message.reason), now)
        else:
            reason = f": {message.reason}" if message.reason else ""
            self.hub_has_ended(ControllerStopped(f"the hub was stopped{reason}"), now)

    def reject(self, error: CtrlHubError, now: float) -> None:
        """Fail what was submitted and will not be sent; from any thread, once we are gone."""
        for request in self._outgoing.take_waiting():
            self._fail([(number, request) for number in request._numbers()], error, now)

    # ------------------------------------------------------------ what becomes of requests

    def _end(self, error: CtrlHubError, now: float) -> None:
        """Fail everything: the session is over."""
        self._watcher.ended(error)
        self._tell_unstored(error)
        for ledger in self._outgoing.ledgers:
            self._fail(ledger.take_all(), error, now)
        self._following.fail_all(error, now)
        self.calls.fail(error.code, str(error))
        self._engines.clear()
        self._watcher.engines(self._engines.by_id)

    def _fail(
        self, requests: Iterable[tuple[int, Request]], error: CtrlHubError, now: float
    ) -> None:
        """Let rows of requests end with an error of our own."""
        stirred: dict[Stirred, None] = {}
        ended = []
        for number, request in requests:
            ended.append(number)
            waiter = request._settle(self.live.completed(failed(number, error)), now)
            if waiter is not None:
                stirred[waiter] = None
        if self.crowd:
            self._watcher.room()
        if self.live:
            self.live.ended(ended)
        if self._following:
            self._following.fail(ended, error, now)
        for waiter in stirred:
            waiter._stir()

"""The client's connection: the I/O thread, and what other threads may ask of it."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any
from weakref import finalize

from ctrlhub.client.asking import Asking
from ctrlhub.client.cancellations import WITHDRAW, Cancellation
from ctrlhub.client.engine_list import LAST_EVENT, LIST_ENGINES
from ctrlhub.client.function_book import FunctionBook
from ctrlhub.client.id_supply import IdSupply
from ctrlhub.client.intake import Intake
from ctrlhub.client.io_thread import leave, serve
from ctrlhub.client.live_output import Follower, LiveRequest
from ctrlhub.client.requests import Owner, Request
from ctrlhub.client.room import Room
from ctrlhub.client.session import ClientSession
from ctrlhub.client.waiting import Waiting
from ctrlhub.client.watch import Watch
from ctrlhub.link.base import Link
from ctrlhub.link.runner import Runner
from ctrlhub.link.sharing import Sharing
from ctrlhub.link.states import State
from ctrlhub.link.tracing import is_asked_for
from ctrlhub.wire.errors import (
    CtrlHubError,
    HubUnavailable,
    InvalidRequest,
    PermissionDenied,
    SessionClosed,
    UnknownInterface,
)
from ctrlhub.wire.ids import Ranges, from_ranges
from ctrlhub.wire.messages import Register, Role, Stream, WatchedOutput

if TYPE_CHECKING:
    from ctrlhub.client.handing_over import Keeper
    from ctrlhub.client.tracing import Submissions

AT_ONCE = 1.0
"""How long (seconds) the hub is waited for by who only wants to be sure."""

FIRST_LOOK, LAST_LOOK = 0.02, 1.0
"""While engines are waited for: the first and the longest pause (seconds) between questions."""


class Connection:
    """A session on a link, run by a thread of its own.

    The thread knows the session and the link, not this object: it is the clients', views' and
    results' hold on them, and with the last of these the session ends.

    Parameters
    ----------
    link
        The link.
    registration
        What the client says of itself.
    timeout
        The deadline (seconds) of joining and of questions to the hub.
    is_gone
        Says whether a hub that has been silent for longer has ended for good, where that can be
        told.
    join_timeout
        The deadline (seconds) of joining, if it is another.

    Raises
    ------
    HubUnavailable, AuthenticationError, VersionMismatch …
        The hub did not let us in.
    """

    def __init__(
        self,
        link: Link,
        registration: Register,
        timeout: float,
        is_gone: Callable[[], bool] | None = None,
        join_timeout: float | None = None,
    ) -> None:
        self.timeout = timeout
        self.functions = FunctionBook()
        self._watch = Watch(timeout, is_gone)
        self._session = ClientSession(registration, self._watch)
        self._runner = Runner(self._session, link, sharing=Sharing(self._session))
        self.start_hooks = self._session.start_hooks
        self.standing_calls = self._session.calls.standing
        self.withdrawn = self._session.withdrawn
        waiting = Waiting(self._runner, link, self._watch)
        self.wait, self._wait_at_most = waiting.until, waiting.at_most
        room = Room(self._session, self._watch, waiting, timeout)
        self.intake = Intake(self._session, self._runner, room)
        self._watch.on_end = self.intake.shut
        asking = Asking(self._session, self._runner, link, self.intake, self._watch, waiting, timeout)
        self.call, self.call_later = asking.call, asking.call_later
        self.detach, self.flush = asking.detach, asking.flush
        self.keep_acceptance = asking.keep_acceptance
        self.tell_stored, self.forget_stored = asking.tell_stored, asking.forget_stored
        self.check_wait, self._unanswered = asking.check_wait, asking.unanswered
        self._in_io_thread = asking.in_io_thread
        self.submit = self.intake.submit
        self._unix_offset = time.time() - time.monotonic()
        self._thread = threading.Thread(
            target=serve, args=(self._runner, self._session), name="ctrlhub-client", daemon=True
        )
        self._thread.start()
        # Also at the interpreter's exit.
        self._leave = finalize(self, leave, self._runner, self._session, self._thread, os.getpid())
        self._join(timeout if join_timeout is None else join_timeout)
        registered = self._session.registered
        self.role = Role((registered.role if registered is not None else "") or registration.role)
        if not self.role.allows(Role.SUBMIT):
            self.intake.deny(PermissionDenied.of(self.role.value, "to have something run", Role.SUBMIT.value))
        self.tracer = self._tracer()
        self._ids = IdSupply(self.session, registered.first if registered is not None else 1)
        self.next_id, self.next_ids = self._ids.next_id, self._ids.next_ids
        self.numbers, self.is_former = self._ids.taken, self._ids.is_former
        self.intake.look()

    def _tracer(self) -> Submissions | None:
        """Return what makes spans of submissions, if anybody wants traces."""
        if "opentelemetry.trace" not in sys.modules and not is_asked_for(os.environ):
            return None
        from ctrlhub.client.tracing import Submissions

        return Submissions.of(self.session)

    def _join(self, timeout: float) -> None:
        try:
            if not self._watch.wait_for(lambda: self._watch.session >= 0, timeout):
                raise self._unanswered("did not let us in", timeout)
            self.intake.check()
        except BaseException:
            self.close()
            raise

    # ------------------------------------------------------------ requests

    def cancel(self, stream: Stream, requests: Ranges, grace: float | None = None) -> set[int]:
        """Stop requests; return the ids of those that run, and are being interrupted.

        Afterwards none of them is on its way any more: the hub knows it, or it was taken back.
        Tasks that go on for longer than `grace` (seconds) have their engines restarted.

        Raises
        ------
        HubUnavailable
            There was no answer.
        CtrlHubError
            Whatever the hub answered.
        """
        self.check_wait()
        self.intake.check()
        watch, ended = self._watch, threading.Event()

        def on_end() -> None:
            ended.set()
            watch.bells.ring()

        wish = Cancellation(stream, from_ranges(requests), on_end, grace=grace)
        self._runner.post(lambda now: self._session.cancel(wish, now))
        if not self._wait_at_most(ended.is_set, self.timeout):
            wish.abandoned = True
            if not wish.answered:
                raise self._unanswered("did not answer the wish to cancel", self.timeout)
        elif not ended.is_set():
            raise (self.intake.refusal or SessionClosed("this client was closed"))
        if wish.error is not None:
            raise wish.error
        return wish.running

    def cancel_later(self, stream: Stream, requests: Ranges, grace: float | None = None) -> None:
        """Stop requests, and do not wait for it."""
        self.intake.check()
        wish = Cancellation(stream, from_ranges(requests), grace=grace)
        self._runner.post(lambda now: self._session.cancel(wish, now))

    def withdraw(self, numbers: Iterable[int]) -> None:
        """Stop those of some tasks that do not run yet, and do not wait for it."""
        self.intake.check()
        wish = Cancellation(Stream.TASK, numbers, call=WITHDRAW)
        self._runner.post(lambda now: self._session.cancel(wish, now))

    def follow(self, owner: Owner, numbers: Sequence[int], *, ask: bool = True) -> None:
        """Have an owner get the results of requests, of whosoever they are.

        Without `ask` the hub is to be told in another way.
        """
        self.intake.check()
        self._runner.post(lambda now: self._session.follow(owner, numbers, now, ask=ask))

    def unfollow(self, owner: Owner, numbers: Sequence[int]) -> None:
        """Have an owner get no more results."""
        self._runner.post(lambda now: self._session.unfollow(owner, numbers))

    def outstanding_numbers(self) -> set[int]:
        """Return the ids of the requests that have not ended."""
        return self._in_io_thread(self._session.outstanding_numbers)

    def outstanding(self) -> list[Request]:
        """Return the requests that have not ended."""
        return self._in_io_thread(self._session.outstanding)

    def hand_over_to(self, keeper: Keeper) -> None:
        """Have results handed over, which are acknowledged when their keeper says so; large ones as segments."""

        def begin() -> None:
            self._session.handing.keeper = keeper
            self._runner.gather_apart()

        self._in_io_thread(begin)

    def acknowledge(self, stream: Stream, numbers: Collection[int]) -> None:
        """Acknowledge results that were handed over."""
        self._runner.post(lambda now: self._session.acknowledge(stream, numbers, now))

    def owed(self) -> set[int]:
        """Return the ids of results that were handed over and are not acknowledged."""
        return self._in_io_thread(self._session.handing.owed.copy)

    # ------------------------------------------------------------ live output

    def live_output(self, request: int) -> LiveRequest | None:
        """Return what has come of the output of a request that runs."""
        return self._session.live.requests.get(request)

    def follow_output(self, requests: Sequence[int], follower: Follower) -> None:
        """Have somebody told of the output of requests, first of what has come; each ends once."""
        self._in_io_thread(lambda: self._session.follow_output(requests, follower))

    def leave(self, requests: Sequence[int], follower: Follower) -> None:
        """Have somebody told no more."""
        self._in_io_thread(lambda: self._session.live.leave(requests, follower))

    # ------------------------------------------------------------ engines

    def engines(self) -> Mapping[int, Mapping[str, Any]]:
        """Return what is known of the engines, by id."""
        self.intake.check()
        return self._watch.by_id

    @property
    def may_miss_engines(self) -> bool:
        """Whether news of engines may be on their way."""
        return self._session.may_miss_engines

    def current_engines(self) -> Mapping[int, Mapping[str, Any]]:
        """Return the engines, by id; where news may be on their way, the hub is asked for them.

        A callback of results cannot wait for it, and gets what is known.
        """
        if self._session.may_miss_engines and not self.is_io_thread():
            with suppress(UnknownInterface):  # this hub may not tell
                self.look_at_engines()
            session = self._session
            if session.awaits_engines:  # and tells us by events
                self._watch.wait_for(lambda: not session.awaits_engines, self.timeout)
        return self.engines()

    def certain_engines(self) -> Mapping[int, Mapping[str, Any]]:
        """Return the engines of this moment, by id: the hub is asked whether something has happened.

        Where it does not answer, or a callback of results asks, they are those that are known.
        """
        if not self.is_io_thread() and self._session.state is State.JOINED:
            # What the hub does not say at once, nobody is to wait for.
            with suppress(HubUnavailable, UnknownInterface, InvalidRequest):
                if not self._session.knows_of(self.call("query", LAST_EVENT, {}, AT_ONCE)):
                    self.look_at_engines()
        return self.current_engines()

    def look_at_engines(self) -> list[Mapping[str, Any]]:
        """Ask the hub for the engines of this moment; return what is known of those away."""
        session, now = self._session, self.call("query", LIST_ENGINES, {})
        self._in_io_thread(lambda: session.engines_are(now))
        return list(now.get("absent", ()))

    def losses(self) -> tuple[int, Mapping[str, Any]]:
        """Return how many engines have ended unasked, and what is known of the last one."""
        return self._watch.losses

    def wait_for_engines(
        self, enough: Callable[[Iterable[int]], bool], timeout: float | None
    ) -> bool:
        """Wait until there are enough engines."""
        __tracebackhide__ = True
        self.check_wait()
        end = float("inf") if timeout is None else time.monotonic() + timeout
        watch, session, pause = self._watch, self._session, FIRST_LOOK

        def there_are() -> bool:
            return not session.may_miss_engines and enough(watch.by_id)

        while True:
            left = max(0.0, end - time.monotonic())
            if watch.wait_for(there_are, min(left, pause)) or enough(
                # Those that have come to a new hub are there, whoever else may follow.
                watch.by_id if session.awaits_engines else self.current_engines()
            ):
                self.intake.check()
                return True
            if left <= pause:
                return False
            pause = min(2 * pause, LAST_LOOK)

    def on_engines(self, act: Callable[[Mapping[int, Mapping[str, Any]]], None] | None) -> None:
        """Have something done, in the I/O thread, whenever there are other engines than before."""
        self._watch.on_engines = act

    def follow_engines(self, act: Callable[[Mapping[int, Mapping[str, Any]]], None]) -> None:
        """Have something done, in the I/O thread, with the engines after every change from now on."""
        self._watch.followers = *self._watch.followers, act

    def on_output(self, act: Callable[[WatchedOutput], None] | None) -> None:
        """Have something done, in the I/O thread, with what requests of all clients put out."""
        self._watch.on_output = act

    def on_unprepared(self, act: Callable[[Mapping[str, Any]], None]) -> None:
        """Have something done, in the I/O thread, when a start hook fails on an engine that comes."""
        self._watch.on_unprepared = act

    def hears_logs(self, timeout: float) -> bool:
        """Wait until it is sure that what engines log reaches us; tell whether it does."""
        watch = self._watch
        return watch.wait_for(lambda: watch.hears_logs, timeout)

    # ------------------------------------------------------------ threads and times

    def is_io_thread(self) -> bool:
        """Say whether the calling thread is the one that brings the results."""
        return self._runner.leads

    def engine_uuid(self, engine: int) -> str | None:
        """Return the key of an engine, if it is there."""
        known = self._watch.by_id.get(engine)
        return None if known is None else known.get("key")

    def unix_time(self, monotonic: float) -> float:
        """Return the Unix time of a reading of the monotonic clock."""
        return monotonic + self._unix_offset

    @property
    def session(self) -> int:
        """The number of the session."""
        return self._watch.session

    @property
    def closed(self) -> bool:
        """Whether nothing can be asked any more."""
        return self.intake.refusal is not None

    def give_up(self, error: CtrlHubError) -> None:
        """Leave a hub that is known to be dead; what has not ended fails with `error`."""
        self._runner.post(lambda now: self._session.close(error, now))

    def hub_has_ended(self, error: CtrlHubError) -> None:
        """Leave a hub that has died for good; each request fails with what became of it."""
        self._runner.post(lambda now: self._session.hub_has_ended(error, now))

    def close(self) -> None:
        """Leave the hub; what has not ended fails with `SessionClosed`. Twice is harmless."""
        self._leave()

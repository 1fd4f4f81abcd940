"""The intake: where callers leave requests, from any thread, also in a process that was forked."""

from __future__ import annotations

import os
import time
from weakref import WeakSet

from ctrlhub.client.requests import Request
from ctrlhub.client.session import ClientSession
from ctrlhub.link.runner import Runner
from ctrlhub.wire.errors import CtrlHubError, SessionClosed


class Intake:
    """Where callers leave requests for the I/O thread.

    A request costs an append, and a signal if none is on its way; alone on the line it is sent from
    the caller's own thread. The thread first takes back the
    signal and then empties the queue, so what is appended while it does so is either taken along
    or signals again.

    Attributes
    ----------
    busy : bool
        Whether the thread has been signalled and has not come yet: requests gather meanwhile.
    refusal : CtrlHubError or None
        Why nothing is taken any more.
    """

    __slots__ = ("__weakref__", "_append", "_runner", "_session", "busy", "forked", "refusal")

    def __init__(self, session: ClientSession, runner: Runner):
        self.busy = False
        self.forked = False
        self.refusal: CtrlHubError | None = None
        self._session = session
        self._append = session.submissions.append
        self._runner = runner
        _intakes.add(self)

    def submit(self, request: Request) -> None:
        """Leave a request."""
        self._append(request)
        if not self.busy:
            self._signal()

    @property
    def most(self) -> int:
        """How many tasks may be outstanding; more the hub refuses. 0 where it does not say."""
        registered = self._session.registered
        return 0 if registered is None else registered.max_outstanding

    def check(self) -> None:
        """Raise the refusal, if there is one."""
        if self.refusal is not None:
            raise self.refusal.with_traceback(None)

    def shut(self, error: CtrlHubError) -> None:
        """Take nothing any more, and fail what was left here."""
        self.refusal = self.refusal or error
        # In this order: who finds the door open afterwards has left something that is seen below,
        # and everyone else signals, which fails it there.
        self.busy = False
        self._session.reject(self.refusal, time.monotonic())

    def in_fork(self) -> None:
        """Serve nobody in a forked process: the thread stayed in the other one."""
        self.forked = True
        self.busy = False
        self.refusal = SessionClosed(
            "this Client belongs to the process that forked this one: make a new Client here"
        )

    def _signal(self) -> None:
        if self.refusal is not None:
            if not self.forked:
                self._session.reject(self.refusal, time.monotonic())
            self.check()
        self.busy = True
        runner = self._runner
        try:
            (runner.at_once if self._session.is_quiet else runner.post)(self._taken)
        except BaseException:  # Ctrl-C: the next request signals again
            self.busy = False
            raise

    def _taken(self, now: float) -> None:
        self.busy = False


_intakes: WeakSet[Intake] = WeakSet()


def _after_fork() -> None:
    for intake in _intakes:
        intake.in_fork()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)

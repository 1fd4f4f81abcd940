"""The intake: where callers leave requests, from any thread, also in a process that was forked."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from weakref import WeakSet

from ctrlhub.client.requests import Request
from ctrlhub.client.room import Room
from ctrlhub.client.session import ClientSession
from ctrlhub.link.runner import Runner
from ctrlhub.wire.errors import CtrlHubError, SessionClosed

TURNS = 16
"""Once in so many turns it is looked how much room there is."""


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
    denial : CtrlHubError or None
        Why no request is ever taken; questions may be asked.
    refusal : CtrlHubError or None
        Why nothing is taken any more.
    room : Room
        The room that there is.
    scarce : bool
        Whether there is little of it, so that a request may have to wait.
    """

    __slots__ = (
        "__weakref__",
        "_append",
        "_runner",
        "_session",
        "_turns",
        "busy",
        "denial",
        "forked",
        "refusal",
        "room",
        "scarce",
    )  # fmt: skip

    def __init__(self, session: ClientSession, runner: Runner, room: Room):
        self.room = room
        self.scarce = False
        self._turns = 0
        self.busy = False
        self.forked = False
        self.refusal: CtrlHubError | None = None
        self.denial: CtrlHubError | None = None
        self._session = session
        self._append: Callable[[Request], object] = session.submissions.append
        self._runner = runner
        _intakes.add(self)

    def submit(self, request: Request) -> None:
        """Leave a request."""
        self._append(request)
        if not self.busy:
            self._signal()

    def check(self) -> None:
        """Raise the refusal, if there is one."""
        if self.refusal is not None:
            raise self.refusal.with_traceback(None)

    def deny(self, error: CtrlHubError) -> None:
        """Take no requests: the hub would refuse them, and each part of a large one."""
        self.denial = error
        self._append = self._refuse

    def _refuse(self, request: Request) -> None:
        assert self.denial is not None
        raise self.denial.with_traceback(None)

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
        self._turns -= 1
        if self._turns < 0:
            self._turns = TURNS
            self.look()

    def look(self) -> None:
        """Have requests ask for room if there is little; from the I/O thread."""
        scarce = self.room.is_scarce
        if scarce is not self.scarce and self.denial is None:
            self.scarce = scarce
            self._append = self._append_in_time if scarce else self._session.submissions.append

    def _append_in_time(self, request: Request) -> None:
        # The I/O thread is not to wait for itself; and after the end everything is refused.
        if self._runner.leads or self.forked or self.refusal:
            self._session.submissions.append(request)
        else:
            self.room.take(request)


_intakes: WeakSet[Intake] = WeakSet()


def _after_fork() -> None:
    for intake in _intakes:
        intake.in_fork()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)

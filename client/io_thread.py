"""The client's I/O thread: its life, and what other threads ask of it."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from typing import TypeVar

from ctrlhub.client.session import ClientSession
from ctrlhub.client.watch import Watch
from ctrlhub.link.guarded_log import GuardedLog
from ctrlhub.link.runner import Runner
from ctrlhub.wire.errors import CtrlHubError, InternalError, SessionClosed

_log = GuardedLog("ctrlhub.client")

T = TypeVar("T")

JOIN_TIMEOUT = 2.0
"""How long (seconds) closing waits for the I/O thread."""


def ask(runner: Runner, watch: Watch, action: Callable[[], T], timeout: float) -> T:
    """Have the I/O thread do something, and return (or raise) what it returns (or raises).

    Raises
    ------
    TimeoutError
        It did not come to it.
    """
    # Not a future: Ctrl-C while it is looked at could leave its lock taken, here and in that thread.
    values: list[T] = []
    errors: list[BaseException] = []

    def act(now: float) -> None:
        try:
            values.append(action())
        except BaseException as error:  # for whoever waits; the I/O thread goes on
            errors.append(error)
        watch.bells.ring()

    runner.post(act)
    if not watch.wait_for(lambda: bool(values or errors), timeout):
        raise TimeoutError(
            f"the thread that brings the results has been busy for {timeout:g} s: a done callback "
            "runs there, and must not take long; let it hand its work to a thread"
        )
    if errors:
        raise errors[0]
    # The session may have ended before it came to this; then there is nobody to disturb.
    return values[0] if values else action()


def serve(runner: Runner, session: ClientSession) -> None:
    """Be the I/O thread, until the session is over."""
    error: CtrlHubError = SessionClosed("this client was closed")
    try:
        runner.run()
    except BaseException as failure:  # also a callback's SystemExit: nobody must wait in vain
        error = InternalError(f"the client's I/O thread failed: {failure!r}; please report it")
        _log.exception("the client's I/O thread failed")
    finally:
        session.close(error, time.monotonic())


def leave(runner: Runner, session: ClientSession, thread: threading.Thread, pid: int) -> None:
    """End the session and its thread, in the process that began them."""
    if os.getpid() != pid:
        return  # a fork's copy: the session is the other process's
    error = SessionClosed("this client was closed")
    runner.post(lambda now: session.close(error, now))
    if runner.leads:
        return  # the last reference was dropped by a callback
    thread.join(JOIN_TIMEOUT)
    if thread.is_alive():
        runner.stop()

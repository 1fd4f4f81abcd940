"""Waiting for results: the thread that waits leads the client's loop meanwhile.

It then finds its result without a change of threads (see `ctrlhub.link.runner`). What the loop does
between two sleeps must not be torn: rows taken from a message and not handed over would be lost. So
in the main thread, where Ctrl-C strikes between any two instructions, its handler is replaced for the
time of the wait, and called at the next moment at which nothing can be torn: at once during the
sleep, which is most of the time, else when the loop has done its turn. Where the program has handlers
for other signals, which may raise as well, the main thread waits for the loop's own thread instead.
"""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable
from types import FrameType
from typing import Any

from ctrlhub.client.watch import Watch
from ctrlhub.link.base import Link
from ctrlhub.link.handlers import ALARMS, are_handled, get_handler, set_handler
from ctrlhub.link.runner import Runner

_SIGINT = int(signal.SIGINT)
_OTHERS = (*ALARMS, int(signal.SIGTERM))


class Waiting:
    """Waits of any threads on a client's loop.

    Parameters
    ----------
    runner, link
        The loop, and the link that it runs on.
    watch
        What the loop tells those who wait.
    """

    def __init__(self, runner: Runner, link: Link, watch: Watch) -> None:
        self._runner = runner
        self._link = link
        self._watch = watch

    def until(self, ready: Callable[[], bool], timeout: float | None) -> bool:
        """Wait until something is so, or the timeout (seconds; None for none) is over.

        Returns
        -------
        bool
            Whether it is so. If not, it may be worth to wait in another way.
        """
        deadline = None if timeout is None else time.monotonic() + timeout
        if threading.get_ident() != threading.main_thread().ident:
            return self._runner.lead(ready, deadline)
        if not self._link.sleeps_in_system or are_handled(_OTHERS):
            return False
        if not are_handled((_SIGINT,)):
            return self._runner.lead(ready, deadline)
        return _Deferral(self._link).lead(self._runner, ready, deadline)

    def at_most(self, ready: Callable[[], bool], timeout: float) -> bool:
        """Wait as `Watch.wait_for` does, and lead the loop meanwhile where that can be."""
        end = time.monotonic() + timeout
        self.until(lambda: self._watch.over or ready(), timeout)
        return self._watch.wait_for(ready, max(0.0, end - time.monotonic()))


class _Deferral:
    """Has Ctrl-C strike where nothing is torn."""

    __slots__ = ("_armed", "_former", "_link", "_struck")

    def __init__(self, link: Link) -> None:
        self._link = link
        self._armed = False
        self._former: Any = get_handler(_SIGINT)
        self._struck: FrameType | None = None

    def lead(self, runner: Runner, ready: Callable[[], bool], deadline: float | None) -> bool:
        # The loop's own thread may be asleep while we begin and end: what raised there would leave
        # our handler in the program's place.
        try:
            set_handler(_SIGINT, self._on_signal)
            self._armed = True
            runner.lead(lambda: self._struck is not None or ready(), deadline)
        finally:
            self._armed = False
            set_handler(_SIGINT, self._former)
            if self._struck is not None:
                self._former(_SIGINT, self._struck)
        return ready()

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        if self._armed and self._link.sleeping:
            self._former(number, frame)
        else:
            self._struck = frame

"""A thread that looks, as `Pace` says; it is there only while there is something to look for."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from ctrlhub.cluster.widgets.pace import Pace


class Refresher:
    """Has something looked at, and shown, beside whatever the kernel does.

    Parameters
    ----------
    look
        Looks and shows, in the thread. It shows its own errors.
    interval
        Seconds from one look to the next, while somebody sees it.
    """

    def __init__(self, look: Callable[[], None], interval: float) -> None:
        self._look = look
        self._pace = Pace(interval)
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None

    def shown(self, views: int) -> None:
        """Take note how many places show it."""
        with self._changed:
            self._pace.shown(views)
            self._wake()

    def nudge(self) -> None:
        """Have one look soon."""
        with self._changed:
            self._pace.nudge()
            self._wake()

    def close(self) -> None:
        """Have no look any more; one that has begun may go on, and shows nothing."""
        with self._changed:
            self._pace.end()
            self._changed.notify_all()

    @property
    def closed(self) -> bool:
        """Whether it was closed."""
        return self._pace.is_over

    def _wake(self) -> None:
        if self._thread is None and self._pace.wait(time.monotonic()) is not None:
            self._thread = threading.Thread(target=self._run, name="ctrlhub-widget", daemon=True)
            self._thread.start()
        self._changed.notify_all()

    def _run(self) -> None:
        while self._await_turn():
            self._look()

    def _await_turn(self) -> bool:
        """Wait until a look is due; False if nobody wants one, and the thread is to end."""
        with self._changed:
            while wait := self._pace.wait(time.monotonic()):
                self._changed.wait(wait)
            if wait is None:
                self._thread = None
                return False
            self._pace.looking(time.monotonic())
            return True

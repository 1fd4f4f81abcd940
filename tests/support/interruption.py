"""One interrupt of the main thread, which cannot get lost."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

NUDGE = signal.SIGUSR1


def within(kind: type[Any]) -> Callable[[], bool]:
    """Return what tells whether this thread is about to take an item of a kind of iterator."""
    me, code = threading.get_ident(), kind.__next__.__code__

    def is_within() -> bool:
        frame: FrameType | None = sys._current_frames()[me]
        while frame is not None and frame.f_code is not code:
            frame = frame.f_back
        return frame is not None

    return is_within


@contextmanager
def interrupted_once(ready: Callable[[], bool]) -> Iterator[None]:
    """Interrupt what the main thread does within a ``with`` block, as soon as it is ready for that.

    A signal that comes just before a wait begins does not end it; so others follow that mean nothing
    and have Python look.
    """
    main, ended = threading.get_ident(), threading.Event()

    def interrupt() -> None:
        while not ready():
            if ended.wait(0.001):
                return
        signal.pthread_kill(main, signal.SIGINT)
        while not ended.wait(0.05):
            signal.pthread_kill(main, NUDGE)

    former = signal.signal(NUDGE, lambda number, frame: None)
    thread = threading.Thread(target=interrupt)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
        signal.signal(NUDGE, former)

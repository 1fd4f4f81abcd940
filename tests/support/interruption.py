"""One interrupt of the main thread, which cannot get lost."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

NUDGE = signal.SIGUSR1


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

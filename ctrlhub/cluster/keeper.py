"""What a `Cluster` does about a nanny that dies: start another, as a supervisor would."""

from __future__ import annotations

import logging
import threading
import time

from ctrlhub.cluster.local import LocalProcesses
from ctrlhub.cluster.supervised import Supervised

LOOK = 600.0
"""Seconds that one wait for the nanny's end lasts; another follows."""

_log = logging.getLogger(__name__)


class NannyKeeper:
    """Waits in a thread of its own for the nanny's end, and starts another.

    The hub of a `Cluster` is not started again, and without it no nanny is.

    Parameters
    ----------
    processes
        Hub and nanny, both started.
    """

    def __init__(self, processes: LocalProcesses) -> None:
        assert processes.hub is not None
        assert processes.nanny is not None
        self._hub = processes.hub
        self._supervised = Supervised(processes.nanny, processes.start_nanny)
        self._turn = threading.Lock()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="ctrlhub-nanny", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Start nothing any more; the nanny that runs now is the last one."""
        with self._turn:
            self._over.set()

    def _run(self) -> None:
        while not self._over.is_set():
            due = self._supervised.due
            if due is None:
                self._supervised.child.wait(LOOK)
            else:
                self._over.wait(max(0.0, due - time.monotonic()))
            self._look()

    def _look(self) -> None:
        with self._turn:
            if self._over.is_set():
                return
            if self._supervised.child.ended() is not None and self._hub.ended() is not None:
                _log.error("hub and nanny have ended: this cluster is over")
                self._over.set()
                return
            self._supervised.turn(time.monotonic())
            if self._supervised.is_over:
                self._over.set()

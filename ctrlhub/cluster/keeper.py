"""What a `Cluster` does about a hub or a nanny that dies: another nanny, and the end of the cluster."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

from ctrlhub.cluster.child import Child, wait_for_any
from ctrlhub.cluster.claim import clean
from ctrlhub.cluster.local import LocalProcesses
from ctrlhub.cluster.restarts import NANNY_STEADY, Restarts
from ctrlhub.cluster.supervised import Supervised
from ctrlhub.wire.errors import CtrlHubError

LOOK = 600.0
"""Seconds that one wait for an end lasts; another follows."""

_log = logging.getLogger(__name__)


class Keeper:
    """Waits in a thread of its own for the end of hub and nanny.

    A nanny is started again, as by a supervisor. A hub is not: with it the cluster is over.

    Parameters
    ----------
    processes
        Hub and nanny, both started; the latter may be missing.
    on_hub_end
        Called from the thread with the hub, once it has ended and what spoke of it is cleaned away.
    """

    def __init__(self, processes: LocalProcesses, on_hub_end: Callable[[Child], None]) -> None:
        assert processes.hub is not None
        self._hub = processes.hub
        self._profile = processes.profile
        self._on_hub_end = on_hub_end
        self._nanny = (
            Supervised(processes.nanny, processes.start_nanny, Restarts(steady=NANNY_STEADY))
            if processes.nanny
            else None
        )
        self._turn = threading.Lock()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="ctrlhub-keeper", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Do nothing any more; the nanny that runs now is the last one."""
        with self._turn:
            self._over.set()

    def _run(self) -> None:
        while not self._over.is_set():
            children, patience = [self._hub], LOOK
            if self._nanny is not None:
                if self._nanny.due is None:
                    children.append(self._nanny.child)
                else:
                    patience = self._nanny.due - time.monotonic()
            wait_for_any(children, patience)
            self._look()

    def _look(self) -> None:
        with self._turn:
            if self._over.is_set():
                return
            if self._hub.ended() is not None:
                self._over.set()
                self._end()
            elif self._nanny is not None:
                self._nanny.turn(time.monotonic())
                if self._nanny.is_over:
                    self._nanny = None

    def _end(self) -> None:
        _log.error("the hub %s: this cluster is over", self._hub.how_it_ended())
        if self._nanny is not None:
            # Nobody can reach its engines any more.
            self._nanny.child.cut_lifeline()
        try:
            # Clients of other processes see by this that nobody will start it again.
            clean(self._profile)
        except (OSError, CtrlHubError) as error:
            _log.warning(
                "what the hub left in %s is still there: %s", self._profile.directory, error
            )
        self._on_hub_end(self._hub)

"""The private cluster of an executor, which ends after the last of what it was given to do."""

from __future__ import annotations

import atexit
import logging
import os
import sys
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from multiprocessing.process import current_process
from typing import Any

from ctrlhub.cluster.cluster import Cluster
from ctrlhub.cluster.config.defaults import Defaults
from ctrlhub.cluster.errors import InitializerFailed
from ctrlhub.cluster.surroundings import resemble
from ctrlhub.wire.errors import EngineError, RemoteError, SessionClosed

MOST_ENGINES = 511
"""The most engines of a cluster that nobody has asked for more."""

_log = logging.getLogger("concurrent.futures")

_open: set[Pool] = set()
"""Those that have not ended, also those whose executor is forgotten."""


class HostCluster(Cluster):
    """A private cluster that is whole on this host, whatever is configured for others."""

    def _configured(self) -> Defaults:
        return super()._configured().on_this_host()


class Pool:
    """A private cluster.

    Parameters
    ----------
    workers
        How many engines.

    Attributes
    ----------
    workers : int
        How many engines.
    client : Client
        The client of the cluster.
    """

    def __init__(self, workers: int) -> None:
        self.workers = workers
        self._cluster = HostCluster(n=workers, max_engines=max(workers, MOST_ENGINES))
        self._lock = threading.Lock()
        self._owner = os.getpid()
        self.client = self._cluster.start()
        _open.add(self)
        # The last to come is called first: before clients and clusters end at the interpreter's exit.
        atexit.unregister(_finish_all)
        atexit.register(_finish_all)
        key = bytes(current_process().authkey)
        self.client.on_engine_start(resemble, sys.path, key, name="executor:resemble")

    def initialize(self, initializer: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
        """Have each engine call something first; where it fails the pool is broken."""
        self.client._connection.on_unprepared(self._unprepared)
        try:
            self.client.on_engine_start(initializer, *arguments, name="executor:initializer")
        except (RemoteError, EngineError) as error:
            _log.critical("Exception in initializer:", exc_info=error)
            self._break(str(error))

    def _unprepared(self, engine: Mapping[str, Any]) -> None:
        self._break(f"engine {engine.get('id')}: {engine.get('cause')}")

    def _break(self, why: str) -> None:
        """Have all that is out fail, and all that is still submitted."""
        error = InitializerFailed(
            f"the initializer failed, and this executor takes nothing any more ({why}): mend it, "
            "and make another Executor"
        )
        self.client._give_up(error)

    def finish(self) -> None:
        """Wait until nothing is out, then end everything. Harmless when it has ended."""
        if os.getpid() != self._owner:  # a copy of the process has no part in it
            return
        with self._lock:
            if self not in _open:
                return
            try:
                with suppress(SessionClosed):
                    self.client.wait()
            finally:
                self._cluster.stop()
                _open.discard(self)

    def finish_later(self) -> None:
        """Do the same in the background. The interpreter does not exit before."""
        if self in _open and os.getpid() == self._owner:
            threading.Thread(target=self.finish, name="ctrlhub-executor").start()


def _finish_all() -> None:
    for pool in tuple(_open):
        pool.finish()


"""The nannies of a `Cluster` on this host: each is kept alive, and has a set of engines of its own."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping

from ctrlhub.cluster.child import TERMINATE_AFTER, Child, wait_for_any
from ctrlhub.cluster.keeper import LOOK
from ctrlhub.cluster.local_nanny import LocalNanny
from ctrlhub.cluster.restarts import NANNY_STEADY, Restarts
from ctrlhub.cluster.supervised import Supervised


class NannyKeeper:
    """Waits in a thread of its own for the end of a nanny, and starts another in its place.

    Parameters
    ----------
    nanny
        The nanny, which was started.
    """

    def __init__(self, nanny: LocalNanny) -> None:
        assert nanny.child is not None
        self.nanny = nanny
        self._supervised = Supervised(nanny.child, nanny.start, Restarts(steady=NANNY_STEADY))
        self._turn = threading.Lock()
        self._over = threading.Event()
        thread = threading.Thread(target=self._run, name="ctrlhub-keeper", daemon=True)
        thread.start()

    @property
    def child(self) -> Child:
        """The present nanny."""
        return self._supervised.child

    @property
    def given_up(self) -> str:
        """Why no other is started any more; empty while one would be."""
        return self._supervised.given_up

    def stop(self) -> None:
        """Do nothing any more: the nanny that runs now is the last one."""
        with self._turn:
            self._over.set()

    def _run(self) -> None:
        while not self._over.is_set():
            if self._supervised.due is None:
                wait_for_any([self._supervised.child], LOOK)
            else:
                self._over.wait(max(0.0, self._supervised.due - time.monotonic()))
            with self._turn:
                if self._over.is_set():
                    return
                self._supervised.turn(time.monotonic())
                if self._supervised.is_over:
                    self._over.set()


class OwnNannies:
    """The nannies, by the sets of their engines."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._keepers: dict[str, NannyKeeper] = {}

    def keep(self, nanny: LocalNanny) -> None:
        """Keep a nanny alive that was started."""
        with self._lock:
            self._keepers[nanny.engine_set] = NannyKeeper(nanny)

    def start(self, nanny: LocalNanny) -> None:
        """Start a nanny, and keep it alive; ends what was there by the name of its set."""
        self.end(nanny.engine_set)
        nanny.start()
        self.keep(nanny)

    @property
    def keepers(self) -> Mapping[str, NannyKeeper]:
        """Who keeps each."""
        with self._lock:
            return dict(self._keepers)

    @property
    def pids(self) -> list[int]:
        """The processes of those that run."""
        running = (each.child for each in self.keepers.values())
        return [child.pid for child in running if child.ended() is None]

    def end(self, engine_set: str, patience: float = TERMINATE_AFTER) -> bool:
        """End a nanny and its engines; say whether there was one."""
        with self._lock:
            keeper = self._keepers.pop(engine_set, None)
        if keeper is None:
            return False
        keeper.stop()
        keeper.child.end(patience)
        keeper.nanny.child = None
        return True

    def leave_as_they_are(self) -> None:
        """Start no others any more."""
        for keeper in self.keepers.values():
            keeper.stop()

    def cut_lifelines(self) -> None:
        """Ask all to end, and start no others; does not wait."""
        for keeper in self.keepers.values():
            keeper.stop()
            keeper.child.cut_lifeline()

    def end_all(self, patience: float = TERMINATE_AFTER) -> None:
        """End all, and wait until they have ended."""
        self.cut_lifelines()
        for name in self.keepers:
            self.end(name, patience)

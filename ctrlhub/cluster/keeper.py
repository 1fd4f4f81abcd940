"""What a `Cluster` does about a hub that dies: it is the end of the cluster."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

from ctrlhub.cluster.child import Child, wait_for_any
from ctrlhub.cluster.claim import clean
from ctrlhub.wire.errors import CtrlHubError
from ctrlhub.wire.places import Profile

LOOK = 600.0
"""Seconds that one wait for an end lasts; another follows."""

_log = logging.getLogger(__name__)


class Keeper:
    """Waits in a thread of its own for the end of the hub.

    Parameters
    ----------
    hub
        The hub.
    profile
        Its profile.
    on_hub_end
        Called from the thread with the hub, once it has ended and what spoke of it is cleaned away.
    before
        Called first.
    """

    def __init__(
        self,
        hub: Child,
        profile: Profile,
        on_hub_end: Callable[[Child], None],
        before: Callable[[], None] = lambda: None,
    ) -> None:
        self._hub = hub
        self._profile = profile
        self._on_hub_end = on_hub_end
        self._before = before
        self._turn = threading.Lock()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="ctrlhub-keeper", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Do nothing any more: whoever ends the hub now means to."""
        with self._turn:
            self._over.set()

    def _run(self) -> None:
        while not self._over.is_set():
            wait_for_any([self._hub], LOOK)
            with self._turn:
                if not self._over.is_set() and self._hub.ended() is not None:
                    self._over.set()
                    self._end()

    def _end(self) -> None:
        _log.error("the hub %s: this cluster is over", self._hub.how_it_ended())
        self._before()
        try:
            # Clients of other processes see by this that nobody will start it again.
            clean(self._profile)
        except (OSError, CtrlHubError) as error:
            _log.warning(
                "what the hub left in %s is still there: %s", self._profile.directory, error
            )
        self._on_hub_end(self._hub)

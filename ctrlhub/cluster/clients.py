"""The clients that a `Cluster` made, which are told when its hub has died."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING
from weakref import WeakSet

from ctrlhub.cluster.child import Child
from ctrlhub.wire.errors import HubUnavailable

if TYPE_CHECKING:
    from ctrlhub.client.client import Client


class Clients:
    """The clients of one start of a cluster."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._clients: WeakSet[Client] = WeakSet()
        self._end: HubUnavailable | None = None

    def add(self, client: Client) -> Client:
        """Take in a client, and return it."""
        with self._lock:
            self._clients.add(client)
            end = self._end
        if end is not None:
            client._hub_has_ended(end)
        return client

    def check(self) -> None:
        """Make sure that there is a hub to connect to.

        Raises
        ------
        HubUnavailable
            If it has died.
        """
        if self._end is not None:
            raise self._end.with_traceback(None)

    def hub_ended(self, hub: Child) -> None:
        """Let all that is outstanding fail: this hub has ended and will not be started again."""
        end = HubUnavailable(
            f"the hub of this cluster (pid {hub.pid}) {hub.how_it_ended()}: stop this Cluster, and "
            "start a new one; `ctrl-hub start` runs one whose hub is started again"
        )
        with self._lock:
            self._end = end
            clients = list(self._clients)
        # One that was shut down has said goodbye to its clients: they know better why.
        if hub.ended() != 0:
            for client in clients:
                client._hub_has_ended(end)

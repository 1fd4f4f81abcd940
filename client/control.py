"""What a client does to engines, beside running code on them."""

from __future__ import annotations

from ctrlhub.client.connection import Connection
from ctrlhub.client.targets import Targets


class Control:
    """The part of a client that starts, stops and disturbs engines."""

    _connection: Connection

    def _resolve(self, targets: Targets) -> list[int]:
        raise NotImplementedError

    def shutdown(self, targets: Targets = "all", *, hub: bool = False) -> None:
        """End engines, or with `hub` everything.

        Parameters
        ----------
        targets
            The engines.
        hub
            End the hub, and with it all its engines.
        """
        if hub:
            self._connection.call("query", "shutdown_hub", {})
        else:
            ids = self._resolve(targets)
            self._connection.call("multiengine", "shutdown", {"targets": ids})

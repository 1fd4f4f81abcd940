"""What a client can ask the hub."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ctrlhub.client.connection import Connection
from ctrlhub.client.interface import InterfaceProxy
from ctrlhub.client.targets import Targets


class Questions:
    """The part of a client that asks the hub what goes on."""

    _connection: Connection

    def _resolve(self, targets: Targets) -> list[int]:
        raise NotImplementedError

    def interface(self, name: str, timeout: float | None = None) -> InterfaceProxy:
        """Return an interface of the hub: ``client.interface('mine').method(argument=1)``.

        Parameters
        ----------
        name
            Its name.
        timeout
            How long (seconds) to wait for answers; None takes the client's deadline.
        """
        return InterfaceProxy(self._connection, name, timeout)

    def status(self) -> dict[str, Any]:
        """Return the state of hub, engines and tasks, as `ctrl-hub status --json` prints it."""
        value: dict[str, Any] = self._connection.call("query", "status", {})
        return value

    def queue_status(self, targets: Targets = "all", verbose: bool = False) -> dict[Any, Any]:
        """Return what each engine has to do, and how much waits for any.

        Parameters
        ----------
        targets
            The engines.
        verbose
            Kept for programs that pass it.
        """
        value: Mapping[str, Any] = self._connection.call("query", "queue_status", {})
        status: dict[Any, Any] = {
            int(name): of_one for name, of_one in value.items() if name.isdecimal()
        }
        if targets != "all":
            status = {number: status[number] for number in self._resolve(targets)}
        return {**status, "unassigned": value.get("unassigned", 0)}

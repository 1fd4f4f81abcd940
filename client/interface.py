"""Any interface of the hub, by name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ctrlhub.client.connection import Connection


class InterfaceProxy:
    """An interface that the hub exposes; its methods are called with keyword arguments.

    Parameters
    ----------
    connection
        The connection.
    name
        The interface's name.
    timeout
        How long (seconds) to wait for an answer; None takes the client's deadline.
    """

    def __init__(self, connection: Connection, name: str, timeout: float | None = None) -> None:
        self._connection = connection
        self._name = name
        self._timeout = timeout

    def __repr__(self) -> str:
        return f"<interface {self._name!r}>"

    def __getattr__(self, method: str) -> Callable[..., Any]:
        if method.startswith("_"):
            raise AttributeError(f"interfaces have no method {method!r}")

        def call(**arguments: Any) -> Any:
            return self._connection.call(self._name, method, arguments, self._timeout)

        call.__name__ = method
        return call

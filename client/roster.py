"""What is known of the engines, in detail: for programs that start engines, and see them come and go."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ctrlhub.client.connection import Connection


class Roster:
    """The engines, as a client knows them.

    Parameters
    ----------
    connection
        The client's connection.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def known(self) -> Mapping[int, Mapping[str, Any]]:
        """Return what is known here, by id; the hub is not asked."""
        return self._connection.engines()

    def asked(self) -> Mapping[int, Mapping[str, Any]]:
        """Ask the hub, and return what it knows of this moment, by id."""
        self._connection.look_at_engines()
        return self._connection.engines()

    def losses(self) -> int:
        """Return how many engines have ended unasked since the client connected."""
        return self._connection.losses()[0]

    def follow(self, act: Callable[[Mapping[int, Mapping[str, Any]]], None]) -> None:
        """Have something done, in the I/O thread, with the engines after every change from now on."""
        self._connection.follow_engines(act)

    def wait(self, until: Callable[[], bool], timeout: float | None) -> bool:
        """Wait for a state of the engines; return whether it came about within so many seconds."""
        return self._connection.wait_for_engines(lambda _: until(), timeout)

    @property
    def timeout(self) -> float:
        """How long (seconds) the client waits for the hub to answer."""
        return self._connection.timeout

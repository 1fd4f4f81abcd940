"""What a client's session tells its shell."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from ctrlhub.wire.errors import CtrlHubError
from ctrlhub.wire.messages import LogRecords, WatchedOutput


class Watcher(Protocol):
    """What the shell wants to know of its session."""

    def joined(self, session: int) -> None:
        """Take note that the hub let us in, or that it is back."""

    def silent(self, seconds: float) -> None:
        """Take note that the hub has not answered for so long."""

    def despair(self, seconds: float) -> CtrlHubError | None:
        """Say why a hub that has been silent for so long will not answer any more, if so."""

    def lost(self, engine: Mapping[str, Any]) -> None:
        """Take note that an engine ended unasked, and that no other takes its place."""

    def engines(self, engines: Mapping[int, Mapping[str, Any]]) -> None:
        """Take the engines of the moment, by id."""

    def unprepared(self, engine: Mapping[str, Any]) -> None:
        """Take note that a start hook failed on an engine, which gets no tasks."""

    def logged(self, message: LogRecords) -> None:
        """Take what engines have logged."""

    def put_out(self, message: WatchedOutput) -> None:
        """Take what requests of all clients have put out."""

    def room(self) -> None:
        """Take note that requests have ended, while somebody waits for room for others."""

    def ended(self, error: CtrlHubError) -> None:
        """Take note that this session is over, and why."""

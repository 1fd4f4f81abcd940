"""What is left of the hub before this one: its state, and the sessions that its requests belong to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ctrlhub.controller.core.saved import Saved
from ctrlhub.controller.core.sessions import Session
from ctrlhub.wire.ids import session_of

ENGINES = "engine/"
"""Engines are kept under this and their id: the value is the key, and the process's incarnation."""


@dataclass(frozen=True, slots=True)
class Former:
    """The hub before this one.

    Attributes
    ----------
    saved
        Its state.
    sessions
        The clients of its requests, by number: those that may come back, and those that have ended.
    unix_offset
        What this hub's clock lacks to Unix time (seconds).
    """

    saved: Saved
    sessions: Mapping[int, Session]
    unix_offset: float

    def client_of(self, number: int) -> Session:
        """Return the client of a request."""
        return self.sessions[session_of(number)]

    @property
    def engines(self) -> dict[int, tuple[str, bytes]]:
        """The keys of its engines, and the incarnations of their processes, by id."""
        kept = self.saved.kept.items()
        return {int(n.removeprefix(ENGINES)): tuple(e) for n, e in kept if n.startswith(ENGINES)}

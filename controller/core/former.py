"""What is left of the hub before this one: its state, and the sessions that its requests belong to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ctrlhub.controller.core.drains import Drain
from ctrlhub.controller.core.saved import Saved
from ctrlhub.controller.core.sessions import Session
from ctrlhub.wire.ids import session_of

ENGINES = "engine/"
"""Engines are kept under this and their id: the value is the key, the process's incarnation, and of one
that is to finish, why, and until when (Unix time)."""


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
        return {number: (kept[0], kept[1]) for number, kept in self._kept().items()}

    @property
    def drains(self) -> dict[bytes, Drain]:
        """The processes of its engines that are to finish, by incarnation."""
        return {
            kept[1]: Drain(kept[2], None if kept[3] is None else kept[3] - self.unix_offset)
            for kept in self._kept().values()
            if len(kept) > 2
        }

    def _kept(self) -> dict[int, Sequence[Any]]:
        kept = self.saved.kept.items()
        return {int(n.removeprefix(ENGINES)): e for n, e in kept if n.startswith(ENGINES)}

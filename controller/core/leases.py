"""What interfaces may ask of sessions as such."""

from __future__ import annotations

from typing import Any, Protocol

from ctrlhub.controller.core.sessions import Session


class Leases(Protocol):
    """Sessions that outlive their clients."""

    def detach(self, session: Session, keep: float | None) -> float:
        """Leave a session to whoever attaches to it; return for how long (seconds) it is kept."""

    def end(self, number: int) -> None:
        """End a session that no client is attached to, with all that is kept for it."""

    def described(self) -> list[dict[str, Any]]:
        """Return what is to be said of each client's session."""

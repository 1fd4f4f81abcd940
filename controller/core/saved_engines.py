"""The engines that the store knows: whose ids are kept, and whom the hub after this one expects."""

from __future__ import annotations

from ctrlhub.controller.core.effects import Commit, Drop, Keep, Outbox
from ctrlhub.controller.core.former import ENGINES
from ctrlhub.controller.core.sessions import Session


class SavedEngines:
    """What is stored of engines, by id.

    Parameters
    ----------
    outbox
        Where effects go.
    """

    def __init__(self, outbox: Outbox) -> None:
        self._outbox = outbox
        self._ids: set[int] = set()

    def take_back(self, id: int) -> None:
        """Take note of one that is stored."""
        self._ids.add(id)

    def save(self, id: int, session: Session) -> None:
        """Store an engine that has registered, and which of its processes it is."""
        self._ids.add(id)
        self._outbox.add(Commit((Keep(f"{ENGINES}{id}", (session.key, session.incarnation)),)))

    def drop(self, id: int) -> None:
        """Forget one that does not come back."""
        self._ids.discard(id)
        self._outbox.add(Commit((Drop(f"{ENGINES}{id}"),)))

    def drop_all(self) -> None:
        """Forget all: they end with the hub."""
        for id in sorted(self._ids):
            self.drop(id)

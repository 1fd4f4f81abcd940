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

    Attributes
    ----------
    unix_offset
        What the hub's clock lacks to Unix time (seconds).
    """

    def __init__(self, outbox: Outbox) -> None:
        self._outbox = outbox
        self._ids: set[int] = set()
        self.unix_offset = 0.0

    def take_back(self, id: int) -> None:
        """Take note of one that is stored."""
        self._ids.add(id)

    def save(self, id: int, session: Session) -> None:
        """Store an engine that has registered, which of its processes it is, and whether it is to finish."""
        self._ids.add(id)
        drain = session.drain
        what: tuple[object, ...] = (session.key, session.incarnation)
        if drain is not None:
            until = None if drain.until is None else drain.until + self.unix_offset
            what = (*what, drain.reason, until)
        self._outbox.add(Commit((Keep(f"{ENGINES}{id}", what),)))

    def drop(self, id: int) -> None:
        """Forget one that does not come back."""
        self._ids.discard(id)
        self._outbox.add(Commit((Drop(f"{ENGINES}{id}"),)))

    def drop_all(self) -> None:
        """Forget all: they end with the hub."""
        for id in sorted(self._ids):
            self.drop(id)

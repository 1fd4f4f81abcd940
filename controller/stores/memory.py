"""The store that lives as long as the hub: safe means in memory."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ctrlhub.controller.core.effects import Operation
from ctrlhub.controller.core.saved import NoStore, Saved


class MemoryStore(NoStore):
    """Keeps nothing that the hub does not have anyway, and so is done before `write` returns."""

    def load(self) -> Saved:
        """Return what there is when a hub begins: nothing."""
        return Saved()

    def write(self, operations: Sequence[Operation], done: Callable[[], None]) -> None:
        """Call `done`: the hub has them."""
        done()

    def close(self) -> None:
        """Do nothing."""

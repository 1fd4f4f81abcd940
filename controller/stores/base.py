"""What a store promises: what it was given before `done` is called is safe."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from ctrlhub.controller.core.effects import Operation
from ctrlhub.controller.core.saved import Saved, StoreState


class Store(Protocol):
    """Keeps requests and results by id, and small things by name.

    `write` returns at once. The store calls `done` when the operations are safe, in the order of the
    writes; one that works on a thread of its own hands the call to the hub's loop.

    Records are what the hub has: a store that is not done with one may read it later, from another
    thread. Of what it reads nothing changes but the payload, which the hub may let go of once the
    request has ended.
    """

    def load(self) -> Saved:
        """Return everything that is kept; called once, before the first write."""

    def write(self, operations: Sequence[Operation], done: Callable[[], None]) -> None:
        """Make operations safe, all or none, then call `done`."""

    @property
    def trouble(self) -> str:
        """Why nothing can be stored now; empty if it can."""

    @property
    def is_behind(self) -> bool:
        """Whether so much waits to be stored that no more work should be begun."""

    def state(self) -> StoreState:
        """Return how it is doing."""

    def close(self) -> None:
        """Finish what was begun."""

"""What a store promises: what it was given before `done` is called is safe."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Protocol

from ctrlhub.controller.core.effects import Operation


class Store(Protocol):
    """Keeps requests and results by id.

    `write` returns at once. The store calls `done` when the operations are safe, in the order of the
    writes; one that works on a thread of its own hands the call to the hub's loop.
    """

    def write(self, operations: Sequence[Operation], done: Callable[[], None]) -> None:
        """Make operations safe, all or none, then call `done`."""

    def requests(self) -> Iterator[tuple[int, Any]]:
        """Yield (id, record) of every request that is kept."""

    def results(self) -> Iterator[tuple[int, Any]]:
        """Yield (id, row) of every result that is kept."""

    def close(self) -> None:
        """Finish what was begun."""

"""The store that lives as long as the hub: safe means in memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from ctrlhub.controller.core.effects import Forget, Operation, SaveRequests, SaveResults


class MemoryStore:
    """Keeps records in dictionaries; `done` is called before `write` returns.

    It holds references to the records that the hub has anyway, so it costs an entry per request.
    """

    def __init__(self) -> None:
        self._requests: dict[int, Any] = {}
        self._results: dict[int, Any] = {}

    def write(self, operations: Sequence[Operation], done: Callable[[], None]) -> None:
        """Apply the operations, then call `done`."""
        for operation in operations:
            if type(operation) is SaveRequests:
                self._requests.update(operation.records)
            elif type(operation) is SaveResults:
                self._results.update(operation.rows)
            elif type(operation) is Forget:
                self._forget(operation)
        done()

    def _forget(self, operation: Forget) -> None:
        requests, results = self._requests, self._results
        for first, last in operation.requests:
            for number in range(first, last + 1):
                requests.pop(number, None)
                results.pop(number, None)

    def requests(self) -> Iterator[tuple[int, Any]]:
        """Yield (id, record) of every request that is kept."""
        yield from self._requests.items()

    def results(self) -> Iterator[tuple[int, Any]]:
        """Yield (id, row) of every result that is kept."""
        yield from self._results.items()

    def close(self) -> None:
        """Forget everything."""
        self._requests.clear()
        self._results.clear()

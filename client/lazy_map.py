"""Maps over sequences that may never end: a few calls at a time."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from queue import SimpleQueue
from typing import Any

from ctrlhub.client.async_result import AsyncResult

Submit = Callable[[tuple[Any, ...]], AsyncResult]


class LazyMapIterator:
    """An iterator over the values of a map that reads its sequences as they are needed.

    No thread reads ahead: sequences are read, and calls made, whenever a value is asked for.

    Parameters
    ----------
    submit
        Makes the call for a row of arguments.
    rows
        The rows.
    most
        How many calls are out at a time at most; 0 for all.
    ordered
        Yield values in order, not as they come.
    return_exceptions
        Yield exceptions instead of raising them.
    on_arrival
        Called with each result that has come, by the thread that brings it.
    """

    def __init__(
        self,
        submit: Submit,
        rows: Iterable[tuple[Any, ...]],
        most: int,
        ordered: bool = True,
        return_exceptions: bool = False,
        on_arrival: Callable[[AsyncResult], object] | None = None,
    ) -> None:
        self._submit = submit
        self._rows = iter(rows)
        self._most = most
        self._return_exceptions = return_exceptions
        self._out: dict[AsyncResult, None] = {}
        self._order: deque[AsyncResult] | None = deque() if ordered else None
        self._arrived: SimpleQueue[AsyncResult] = SimpleQueue()
        self._on_arrival = on_arrival
        self._ended = False
        self._fill()

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        """Wait for the next value."""
        self._fill()
        if not self._out:
            raise StopIteration
        result = self._next()
        del self._out[result]
        self._fill()
        try:
            return result.get(return_exceptions=self._return_exceptions)
        except BaseException:
            self.cancel()
            raise

    @property
    def over(self) -> bool:
        """Whether there are no more values."""
        self._fill()
        return not self._out

    @property
    def ready(self) -> bool:
        """Whether the next value is there."""
        if self._order is not None:
            return bool(self._order) and self._order[0].done()
        return not self._arrived.empty()

    @property
    def full(self) -> bool:
        """Whether as many calls are out as there may be."""
        return 0 < self._most <= len(self._out)

    def take(self, row: tuple[Any, ...]) -> None:
        """Make the call for a row."""
        result = self._submit(row)
        self._out[result] = None
        if self._order is not None:
            self._order.append(result)
        else:
            result.add_done_callback(self._arrived.put)
        if self._on_arrival is not None:
            result.add_done_callback(self._on_arrival)

    def cancel(self) -> None:
        """Read no further, and stop the calls that are out."""
        self._ended = True
        out, self._out = list(self._out), {}
        for result in out:
            if not result.done():
                result._cancel_later()

    def _next(self) -> AsyncResult:
        if self._order is not None:
            return self._order.popleft()
        return self._arrived.get()

    def _fill(self) -> None:
        while not self._ended and not self.full:
            try:
                row = next(self._rows)
            except StopIteration:
                self._ended = True
                return
            self.take(row)

"""Maps over sequences that may never end: a few calls at a time."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from queue import SimpleQueue
from typing import Any

from ctrlhub.client.async_result import AsyncResult
from ctrlhub.wire.errors import CtrlHubError
from ctrlhub.wire.ids import to_ranges

Submit = Callable[[tuple[Any, ...]], AsyncResult]


class LazyMapIterator:
    """An iterator over the values of a map that reads its sequences as they are needed.

    No thread reads ahead: sequences are read, and calls made, whenever a value is asked for. Where a
    sequence raises, that is raised in its turn, after the values of the rows before. What is out when
    the iterator is dropped, or interrupted, is stopped.

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
        self._error: Exception | None = None
        self._fill()

    def __del__(self) -> None:
        # Where the client was closed meanwhile, or in a fork, there is nothing to stop.
        with suppress(CtrlHubError):
            self.cancel()

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        """Wait for the next value."""
        result: AsyncResult | None = None
        try:
            self._fill()
            if self._out:
                result = self._next()
                del self._out[result]
                self._fill()
                return result.get(return_exceptions=self._return_exceptions)
        except BaseException:
            if result is not None:
                self._out[result] = None  # it may have been interrupted while it was waited for
            self.cancel()
            raise
        error, self._error = self._error, None
        raise StopIteration if error is None else error

    @property
    def over(self) -> bool:
        """Whether there are no more values."""
        self._fill()
        return not self._out and self._error is None

    @property
    def ready(self) -> bool:
        """Whether the next value is there, or what is raised in its place."""
        if not self._out:
            return self._error is not None
        if self._order is not None:
            return bool(self._order) and self._order[0].done()
        return not self._arrived.empty()

    @property
    def full(self) -> bool:
        """Whether as many calls are out as there may be."""
        return 0 < self._most <= len(self._out)

    def fail(self, error: Exception) -> None:
        """Read no further, and raise an error after the values of what is out."""
        self._ended = True
        self._error = error

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
        self._error = None
        out, self._out = [result for result in self._out if not result.done()], {}
        if out:
            numbers = sorted(number for result in out for number in result._numbers())
            out[0]._home.cancel_later(out[0]._about.stream, to_ranges(numbers))

    def close(self) -> None:
        """Read no further, and stop the calls that are out, as a generator's `close` does."""
        self.cancel()

    def _next(self) -> AsyncResult:
        if self._order is not None:
            return self._order.popleft()
        return self._arrived.get()

    def _fill(self) -> None:
        while not self._ended and not self.full:
            try:
                self.take(next(self._rows))
            except StopIteration:
                self._ended = True
            except Exception as error:  # of a sequence, or of a row that cannot be sent
                self.fail(error)
            except BaseException:
                self.cancel()
                raise

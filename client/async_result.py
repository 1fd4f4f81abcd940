"""Results to come: `AsyncResult` of one request or of several engines, `AsyncMapResult` of a map."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from functools import partial
from itertools import chain
from math import inf
from time import monotonic
from typing import Any

from ctrlhub.client.metadata import Metadata
from ctrlhub.client.requests import About, Stirred
from ctrlhub.client.result_base import Home
from ctrlhub.client.rows import (
    RAISED,
    Row,
    TaskCancelled,
    failed,
    is_cancelled,
    is_ok,
    is_open,
    opened,
)
from ctrlhub.client.single_result import AsyncResult as AsyncResult
from ctrlhub.wire.errors import CompositeError, CtrlHubError


class AsyncGroup(AsyncResult):
    """The results to come of several requests, in order.

    Parameters
    ----------
    home
        The connection.
    about
        What was asked.
    first, count
        The ids of its requests, as far as they are known: more may come by `_extend`.
    join
        Makes the whole of the values; None leaves them as a list.
    """

    __slots__ = ("_cells", "_join", "_runs", "_settled", "_stamps")

    def __init__(
        self,
        home: Home,
        about: About,
        first: int = 0,
        count: int = 0,
        join: Callable[[list[Any]], Any] | None = None,
    ) -> None:
        super().__init__(home, -1, b"", about)
        self._runs: list[range] = []
        self._cells: list[Row | None] = []
        self._stamps = array("d")
        self._settled = 0
        self._join = join
        self._extend(first, count)

    def _extend(self, first: int, count: int) -> int:
        """Have more requests; return the index of the first of them.

        Only for whoever made this result, before anybody else has it: what is done is done.
        """
        offset = len(self._cells)
        self._stamps.frombytes(bytes(count * self._stamps.itemsize))
        self._cells.extend([None] * count)
        self._runs.append(range(first, first + count))
        return offset

    def _take(self, index: int, row: Row, now: float) -> Stirred | None:
        self._stamps[index] = now
        self._cells[index] = row
        self._settled += 1
        return self if self._sync is not None else None

    def _numbers(self) -> Sequence[int]:
        return list(chain.from_iterable(self._runs))

    def _rows(self) -> Sequence[Row | None]:
        return self._cells

    def _is_single(self) -> bool:
        return False

    def _stamp(self, index: int) -> float:
        return self._stamps[index]

    def __len__(self) -> int:
        return len(self._cells)

    @property
    def progress(self) -> int:
        """How many of its parts are done."""
        return self._settled

    def done(self) -> bool:
        """Return whether all results are there."""
        return self._settled == len(self._cells)

    def cancelled(self) -> bool:
        """Return whether some of it was cancelled, and nothing else went wrong."""
        if not self.done():
            return False
        bad = [row for row in self._cells if row is not None and not is_ok(row)]
        return bool(bad) and all(is_cancelled(row) for row in bad)

    def _failed(self) -> bool:
        return not all(row is not None and is_ok(row) for row in self._cells)

    @property
    def metadata(self) -> list[Metadata]:
        """What is known of each request, in order."""
        return self._all_metadata()

    # ------------------------------------------------------------ values

    def _row(self, index: int) -> Row:
        """Return a row that is there, opened as far as it can be."""
        row = self._cells[index]
        assert row is not None
        if not is_open(row):
            try:
                self._open_once(lambda: self._open_one(index))
            except (ImportError, CtrlHubError) as error:
                return failed(row[0], error)  # not for ever: what is missing here may come
            row = self._cells[index]
            assert row is not None
        return row

    def _open_one(self, index: int) -> None:
        row = self._cells[index]
        if row is not None:
            self._cells[index] = opened(row)

    def _outcome(self) -> tuple[Any, BaseException | None]:
        if not all(row is not None and is_open(row) for row in self._cells):
            self._open_once(lambda: self._open_some(range(len(self._cells))))
        rows = [self._row(index) for index in range(len(self._cells))]
        errors = [row[2] for row in rows if row[1] == RAISED]
        if errors and not self._may_hold(errors):
            return None, self._error(errors)
        values = [row[2] for row in rows]
        return (values if self._join is None else self._join(values)), None

    def _open_some(self, places: range) -> None:
        cells = self._cells
        for index in places:
            row = cells[index]
            if row is not None and not is_open(row):
                with suppress(ImportError, CtrlHubError):  # told when this one is asked for
                    cells[index] = opened(row)

    def _result_within(self, timeout: float | None) -> tuple[Any, BaseException | None]:
        """Wait for all, and open what has come while the rest is on its way."""
        until = inf if timeout is None or timeout < 0 else monotonic() + timeout
        place, missing = 0, self._first_missing
        while place < len(self._cells):
            left = None if until == inf else max(0.0, until - monotonic())
            if not self._await(partial(self._has, place), left):
                raise self._late(timeout)
            here = missing(place)
            self._open_once(partial(self._open_some, range(place, here)))
            place = here
        return self._outcome()

    def _has(self, index: int) -> bool:
        return self._cells[index] is not None

    def _first_missing(self, place: int) -> int:
        """Return the first index from `place` on whose row has not come."""
        try:
            return self._cells.index(None, place)
        except ValueError:
            return len(self._cells)

    def _may_hold(self, errors: list[BaseException]) -> bool:
        return False

    def _error(self, errors: list[BaseException]) -> BaseException:
        if len(self) == 1 or all(isinstance(error, TaskCancelled) for error in errors):
            return errors[0]
        what = f"{len(errors)} of {len(self._cells)} calls of {self._about.what} failed"
        return CompositeError(what, errors)

    def get(self, timeout: float | None = None) -> Any:
        """Return the values in order, or raise what the calls raised.

        Parameters
        ----------
        timeout
            The longest wait in seconds; None or a negative number waits as long as it takes.

        Raises
        ------
        TimeoutError
            Some are not there yet. They go on, and can be asked for again.
        CompositeError
            Several calls were made, and some of them raised.
        """
        return self.result(timeout)

    def __iter__(self) -> Iterator[Any]:
        """Yield the values in order, each as soon as it is there."""
        for index in range(len(self._cells)):
            yield self._value(index)

    def _value(self, index: int) -> Any:
        self._await(lambda: self._cells[index] is not None, None)
        row = self._row(index)
        if row[1] == RAISED:
            raise row[2].with_traceback(None)
        return row[2]

    def __getitem__(self, index: int | slice | str) -> Any:
        """Return a value, several, or one item of the metadata of each request."""
        if isinstance(index, str):
            return self._of_each(index)
        if isinstance(index, slice):
            return [self._value(i) for i in range(len(self._cells))[index]]
        return self._value(range(len(self._cells))[index])


class AsyncMapResult(AsyncGroup):
    """The results to come of a map, item by item, whatever way they travelled.

    Parameters
    ----------
    home
        The connection.
    about
        What was asked.
    first, count
        The ids of its requests, as far as they are known.
    ordered
        Iterate in the order of the inputs, not in that of arrival.
    return_exceptions
        Have exceptions among the values instead of raising them.
    sizes
        How many items each request has, if the value of each is a list of them.
    """

    __slots__ = ("_arrivals", "_return_exceptions", "_sizes")

    def __init__(
        self,
        home: Home,
        about: About,
        first: int = 0,
        count: int = 0,
        *,
        ordered: bool = True,
        return_exceptions: bool = False,
        sizes: list[int] | None = None,
    ) -> None:
        super().__init__(home, about, first, count, None if sizes is None else self._flat)
        self._arrivals: list[int] | None = None if ordered else []
        self._return_exceptions = return_exceptions
        self._sizes = sizes

    def _take(self, index: int, row: Row, now: float) -> Stirred | None:
        if self._arrivals is not None:
            self._arrivals.append(index)
        return super()._take(index, row, now)

    def _may_hold(self, errors: list[BaseException]) -> bool:
        return self._return_exceptions

    def _error(self, errors: list[BaseException]) -> BaseException:
        error = super()._error(errors)
        if error is errors[0] and not isinstance(error, TaskCancelled):
            return CompositeError(f"the call of {self._about.what} failed", errors)
        return error

    def _items(self, index: int, value: Any) -> list[Any]:
        """Return the items of one request."""
        if self._sizes is None:
            return [value]
        return [value] * self._sizes[index] if isinstance(value, BaseException) else value

    def _flat(self, values: list[Any]) -> list[Any]:
        return [item for index, v in enumerate(values) for item in self._items(index, v)]

    def __len__(self) -> int:
        return len(self._cells) if self._sizes is None else sum(self._sizes)

    @property
    def progress(self) -> int:
        """How many items are done."""
        if self._sizes is None:
            return self._settled
        return sum(size for size, row in zip(self._sizes, self._cells, strict=True) if row)

    def __iter__(self) -> Iterator[Any]:
        """Yield the items, in order or as they come."""
        for index in self._order():
            yield from self._items(index, self._value(index))

    def _order(self) -> Iterator[int]:
        arrivals = self._arrivals
        if arrivals is None:
            yield from range(len(self._cells))
            return
        for place in range(len(self._cells)):
            self._await(lambda place=place: len(arrivals) > place, None)  # type: ignore[misc]
            yield arrivals[place]

    def _value(self, index: int) -> Any:
        self._await(lambda: self._cells[index] is not None, None)
        row = self._row(index)
        if row[1] == RAISED and not self._return_exceptions:
            raise row[2].with_traceback(None)
        return row[2]

    def __getitem__(self, index: int | slice | str) -> Any:
        """Return an item, several, or one item of the metadata of each request."""
        if isinstance(index, str) or self._sizes is None:
            return super().__getitem__(index)
        return self.get()[index]

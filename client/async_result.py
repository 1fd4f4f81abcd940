"""Results to come: `AsyncResult` of one request, `AsyncGroup` of several."""

from __future__ import annotations

from array import array
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
from functools import partial
from itertools import chain
from math import inf
from time import monotonic
from typing import Any, ClassVar

from ctrlhub.client.metadata import Metadata
from ctrlhub.client.requests import About, Stirred
from ctrlhub.client.result_base import Home
from ctrlhub.client.rows import (
    OK,
    RAISED,
    Row,
    TaskCancelled,
    failed,
    is_cancelled,
    is_ok,
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

    __slots__ = ("_cells", "_join", "_news", "_parts", "_runs", "_settled", "_stamps")

    _part: ClassVar[type[AsyncResult]] = AsyncResult
    """What `split` makes."""

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
        self._parts: tuple[AsyncResult, ...] | None = None
        self._news: deque[int] | None = None
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
        if self._sync is None:
            return None
        if self._news is not None:
            self._news.append(index)
        return self

    def _stir(self) -> None:
        parts, news = self._parts, self._news
        while parts is not None and news:
            self._settle_part(parts, news.popleft())
        super()._stir()

    def _numbers(self) -> Sequence[int]:
        return list(chain.from_iterable(self._runs))

    def _rows(self) -> Sequence[Row | None]:
        return self._cells

    def _is_single(self) -> bool:
        return False

    def _mark(self) -> tuple[Any, ...] | None:
        # What is joined here is not known where it would be an argument.
        return super()._mark() if self._join is None or self._is_single() else None

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
        if row[1] >= 0:
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
            self._cells[index] = self._opened(index, row)

    def _opened(self, index: int, row: Row) -> Row:
        """Return a row that is there, opened."""
        return opened(row)

    def _outcome(self) -> tuple[Any, BaseException | None]:
        cells = self._cells
        if not all(row is not None and row[1] < 0 for row in cells):
            self._open_once(lambda: self._open_some(range(len(cells))))
        rows = [self._row(index) for index in range(len(cells))]
        errors = [e for i, row in enumerate(rows) if row[1] == RAISED for e in self._errors(i, row)]
        if errors and not self._may_hold(errors):
            return None, self._error(errors)
        values = [row[2] for row in rows]
        if self._join is None:
            return values, None
        try:
            return self._join(values), None
        except Exception as error:  # of user code: it is what asking for the value raises
            return None, error

    def _open_some(self, places: range) -> None:
        cells = self._cells
        for index in places:
            row = cells[index]
            if row is None or row[1] < 0:
                continue
            try:
                if row[1] == OK and type(row[2]) is bytes:  # nothing to be told apart
                    cells[index] = opened(row)
                else:
                    cells[index] = self._opened(index, row)
            except (ImportError, CtrlHubError):  # told when this one is asked for
                continue

    def _result_within(self, timeout: float | None) -> tuple[Any, BaseException | None]:
        __tracebackhide__ = True
        self._open_within(timeout)
        return self._outcome()

    def _open_within(self, timeout: float | None) -> None:
        """Wait for all, and open what has come while the rest is on its way."""
        __tracebackhide__ = True
        until = inf if timeout is None or timeout < 0 else monotonic() + timeout
        place, missing = 0, self._first_missing
        while place < len(self._cells):
            left = None if until == inf else max(0.0, until - monotonic())
            if not self._await(partial(self._has, place), left):
                raise self._late(timeout)
            here = missing(place)
            self._open_once(partial(self._open_some, range(place, here)))
            place = here

    def _has(self, index: int) -> bool:
        return self._cells[index] is not None

    def _first_missing(self, place: int) -> int:
        """Return the first index from `place` on whose row has not come."""
        try:
            return self._cells.index(None, place)
        except ValueError:
            return len(self._cells)

    def _errors(self, index: int, row: Row) -> list[BaseException]:
        """Return what a request raised, as it is to be seen."""
        return [row[2]]

    def _may_hold(self, errors: list[BaseException]) -> bool:
        return False

    def _error(self, errors: list[BaseException]) -> BaseException:
        if len(self) == 1 or all(isinstance(error, TaskCancelled) for error in errors):
            return errors[0]
        what = f"{len(errors)} of {len(self)} calls of {self._about.what} failed"
        return CompositeError(what, errors)

    def _all(self, timeout: float | None) -> Any:
        __tracebackhide__ = True
        self._open_within(timeout)
        values = [self._row(index)[2] for index in range(len(self._cells))]
        return values if self._join is None else self._join(values)

    def __iter__(self) -> Iterator[Any]:
        """Yield the values in order, each as soon as it is there."""
        for index in range(len(self._cells)):
            yield self._value(index)

    def _value(self, index: int) -> Any:
        __tracebackhide__ = True
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

    # ------------------------------------------------------------ in asyncio

    def __aiter__(self) -> AsyncIterator[Any]:
        """Yield the values, as a plain iteration does, without blocking the event loop."""
        return self._as_they_come()

    def _places(self) -> int:
        return len(self._cells)

    def _has_step(self, place: int) -> bool:
        return self._has(place)

    def _step(self, place: int) -> Iterable[Any]:
        return [self._value(place)]

    # ------------------------------------------------------------ one by one, and together

    def split(self) -> tuple[AsyncResult, ...]:
        """Return a result for each request; the same ones each time."""
        if self._parts is None:
            self._news = deque()
            self._synced()  # from here on what comes is told to us
            numbers = self._numbers()
            parts = tuple(self._part(self._home, n, b"", self._about) for n in numbers)
            for part in parts:
                part._submitted = self._submitted
            self._parts = parts
            for index, row in enumerate(self._cells):
                if row is not None:
                    self._settle_part(self._parts, index)
        return self._parts

    def _settle_part(self, parts: Sequence[AsyncResult], index: int) -> None:
        part, row = parts[index], self._cells[index]
        if row is not None and not part.done():
            part._settle(row, self._stamps[index])
            part._stir()


def join(*results: AsyncResult) -> AsyncResult:
    """Make one result of several, in order; what `AsyncResult.split` parts.

    Raises
    ------
    ValueError
        There are none.
    """
    if not results:
        raise ValueError("nothing to join: give at least one result")
    if len(results) == 1:
        return results[0]
    parts = [part for result in results for part in result.split()]
    group = AsyncGroup(results[0]._home, results[0]._about)
    group._submitted = min(part._submitted for part in parts)
    for part in parts:
        group._extend(part._number, 1)
    for index, part in enumerate(parts):
        part.add_done_callback(partial(_take_part, group, index))
    return group


def _take_part(group: AsyncGroup, index: int, part: AsyncResult) -> None:
    row = part._rows()[0]
    assert row is not None
    stirred = group._take(index, row, part._stamp(0))
    if stirred is not None:
        stirred._stir()

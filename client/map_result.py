"""The results to come of a map."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ctrlhub.client.async_result import AsyncGroup
from ctrlhub.client.partition import BLOCK, is_sliced, join
from ctrlhub.client.requests import About, Stirred
from ctrlhub.client.result_arguments import mark_of
from ctrlhub.client.result_base import Home
from ctrlhub.client.rows import RAISED, Row, TaskCancelled
from ctrlhub.wire.each_row import name_item
from ctrlhub.wire.errors import CompositeError


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

    public_name = "AsyncMapResult"

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

    def _mark(self) -> tuple[Any, ...] | None:
        chunks = self._sizes is not None
        return mark_of(self._numbers(), self._rows(), single=False, chunks=chunks)

    def _take(self, index: int, row: Row, now: float) -> Stirred | None:
        if self._arrivals is not None:
            self._arrivals.append(index)
        return super()._take(index, row, now)

    def _raised(self, index: int, error: BaseException) -> BaseException:
        if self._sizes is None and not isinstance(error, TaskCancelled):  # else it has its name
            name_item(error, index)
        return error

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

    def _has_step(self, place: int) -> bool:
        return self._has(place) if self._arrivals is None else len(self._arrivals) > place

    def _step(self, place: int) -> list[Any]:
        index = place if self._arrivals is None else self._arrivals[place]
        return self._items(index, self._value(index))

    def _forget(self, place: int) -> None:
        """Let go of the value of a step; only for whoever has this result alone."""
        index = place if self._arrivals is None else self._arrivals[place]
        row = self._cells[index]
        assert row is not None
        self._cells[index] = (*row[:2], None, *row[3:])

    def _order(self) -> Iterator[int]:
        arrivals = self._arrivals
        if arrivals is None:
            yield from range(len(self._cells))
            return
        for place in range(len(self._cells)):
            self._await(lambda place=place: len(arrivals) > place, None)  # type: ignore[misc]
            yield arrivals[place]

    def _value(self, index: int) -> Any:
        __tracebackhide__ = True
        self._await(lambda: self._cells[index] is not None, None)
        row = self._row(index)
        if row[1] != RAISED:
            return row[2]
        error = self._raised(index, row[2])
        if not self._return_exceptions:
            raise error.with_traceback(None)
        return error

    def __getitem__(self, index: int | slice | str) -> Any:
        """Return an item, several, or one item of the metadata of each request."""
        if isinstance(index, str) or self._sizes is None:
            return super().__getitem__(index)
        return self.get()[index]


class AsyncJoinedResult(AsyncMapResult):
    """The results to come of calls that each give a part of a sequence.

    Parameters
    ----------
    home, about, first, count, ordered, return_exceptions
        As for `AsyncMapResult`.
    dist
        How the sequence was parted.
    """

    __slots__ = ("_dist",)

    def __init__(
        self,
        home: Home,
        about: About,
        first: int = 0,
        count: int = 0,
        *,
        ordered: bool = True,
        return_exceptions: bool = False,
        dist: str = BLOCK,
    ) -> None:
        super().__init__(
            home, about, first, count, ordered=ordered, return_exceptions=return_exceptions
        )
        self._dist = dist
        self._join = lambda parts: join(parts, dist)

    def _raised(self, index: int, error: BaseException) -> BaseException:
        return error

    def _mark(self) -> None:
        """Refuse: its parts are to be joined here."""

    def _items(self, index: int, value: Any) -> Any:
        return value if is_sliced(value) else [value]

    def __iter__(self) -> Iterator[Any]:
        """Yield the items: of blocks each as soon as it is there, else once all are."""
        return super().__iter__() if self._dist == BLOCK else iter(self.get())

    def __getitem__(self, index: int | slice | str) -> Any:
        """Return an item, several, or one item of the metadata of each request."""
        return self._of_each(index) if isinstance(index, str) else self.get()[index]

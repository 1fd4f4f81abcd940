"""The results to come of a map."""

from __future__ import annotations

from bisect import bisect_right
from collections import deque
from collections.abc import Collection, Iterable, Iterator
from itertools import accumulate
from typing import Any

from ctrlhub.client.async_result import AsyncGroup
from ctrlhub.client.chunk_requests import Pieces
from ctrlhub.client.partition import BLOCK, is_sliced, join
from ctrlhub.client.requests import About, Stirred
from ctrlhub.client.result_arguments import mark_of
from ctrlhub.client.result_base import Home
from ctrlhub.client.rows import RAISED, Row, TaskCancelled, items_of
from ctrlhub.wire.each_row import Items, name_item
from ctrlhub.wire.errors import CompositeError
from ctrlhub.wire.ids import Ranges, merged


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

    __slots__ = ("_alone", "_arrivals", "_partly", "_return_exceptions", "_sizes")

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
        self._partly: dict[int, Items] = {}  # by index of the request, where some of its items raised
        self._alone: dict[int, Pieces] = {}  # those whose items are run one by one

    def _mark(self) -> tuple[Any, ...] | None:
        chunks = self._sizes is not None
        return mark_of(self._numbers(), self._rows(), single=False, chunks=chunks)

    def _run_singly(self, index: int, pieces: Pieces) -> None:
        self._alone[index] = pieces

    def _waiting(self) -> Ranges:
        """Return the ids of what has not ended, also of items that are run alone."""
        alone = tuple(self._alone.values())
        return merged([*super()._waiting(), *(each for one in alone for each in one.waiting)])

    def _take(self, index: int, row: Row, now: float) -> Stirred | None:
        if self._alone:
            self._alone.pop(index, None)
        if self._arrivals is not None:
            self._arrivals.append(index)
        return super()._take(index, row, now)

    def _opened(self, index: int, row: Row) -> Row:
        items = None if self._sizes is None else items_of(row)
        if items is None or not items.raised:
            row = super()._opened(index, row)
            if row[1] == RAISED and self._sizes is None and not isinstance(row[2], TaskCancelled):
                name_item(row[2], index)  # in chunks it has its name
            return row
        self._partly[index] = items
        return (row[0], RAISED, items.errors[0], *row[3:])

    def _errors(self, index: int, row: Row) -> list[BaseException]:
        if index in self._partly:
            return self._partly[index].errors
        return super()._errors(index, row)

    def _may_hold(self, errors: list[BaseException]) -> bool:
        return self._return_exceptions

    def _error(self, errors: list[BaseException]) -> BaseException:
        if len(errors) > 1 and all(each is errors[0] for each in errors):
            return errors[0]  # what has ended them all: this client was closed, say
        error = super()._error(errors)
        if error is errors[0] and not isinstance(error, TaskCancelled):
            return CompositeError(f"the call of {self._about.what} failed", errors)
        return error

    def _items(self, index: int, value: Any) -> list[Any]:
        """Return the items of one request, which gave a value or raised one."""
        if self._sizes is None:
            return [value]
        if index in self._partly:
            return self._partly[index]
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
        alone = sum(pieces.settled for pieces in tuple(self._alone.values()))
        return alone + sum(size for size, row in zip(self._sizes, self._cells, strict=True) if row)

    def get_dict(
        self, timeout: float | None = None, return_exceptions: bool | None = None
    ) -> dict[int, Any]:
        """Return the values by engine; of requests with several items, lists of them.

        Parameters
        ----------
        timeout, return_exceptions
            As for `get`.

        Raises
        ------
        ValueError
            Several requests ran on the same engine.
        """
        if self._sizes is None:
            return super().get_dict(timeout, return_exceptions)
        values, ends = self.get(timeout, return_exceptions), [0, *accumulate(self._sizes)]
        engines = [row[3] for row in self._cells if row is not None]
        if len(set(engines)) != len(engines):
            raise ValueError("several results are of the same engine: use get()")
        return {engine: values[ends[k] : ends[k + 1]] for k, engine in enumerate(engines)}

    def __iter__(self) -> Iterator[Any]:
        """Yield the items, in order or as they come."""
        for index in self._order():
            yield from self._step_of(index)

    def _has_step(self, place: int) -> bool:
        return self._has(place) if self._arrivals is None else len(self._arrivals) > place

    def _step(self, place: int) -> Iterable[Any]:
        return self._step_of(place if self._arrivals is None else self._arrivals[place])

    def _step_of(self, index: int) -> Iterator[Any]:
        """Return an iterator over the items of a request, which raises in its turn what they raised."""
        items, raised = self._parted(index)
        return _one_by_one(deque(items), () if self._return_exceptions else raised)

    def _parted(self, index: int) -> tuple[list[Any], Collection[int]]:
        """Wait for the items of a request; return them, and the places of those that raised."""
        __tracebackhide__ = True
        self._await(lambda: self._cells[index] is not None, None)
        row = self._row(index)
        if row[1] != RAISED:
            return self._items(index, row[2]), ()
        error = self._errors(index, row)[0]
        items = self._items(index, error)
        partly = self._partly.get(index)
        return items, range(len(items)) if partly is None else partly.raised

    def _forget(self, place: int) -> None:
        """Let go of the value of a step; only for whoever has this result alone."""
        index = place if self._arrivals is None else self._arrivals[place]
        row = self._cells[index]
        assert row is not None
        self._cells[index] = (*row[:2], None, *row[3:])
        self._partly.pop(index, None)

    def _order(self) -> Iterator[int]:
        arrivals = self._arrivals
        if arrivals is None:
            yield from range(len(self._cells))
            return
        for place in range(len(self._cells)):
            self._await(lambda place=place: len(arrivals) > place, None)  # type: ignore[misc]
            yield arrivals[place]

    def _value(self, index: int, place: int = 0) -> Any:
        """Return an item of a request, once it is there."""
        __tracebackhide__ = True
        items, raised = self._parted(index)
        if place in raised and not self._return_exceptions:
            raise items[place].with_traceback(None)
        return items[place]

    def __getitem__(self, index: int | slice | str) -> Any:
        """Return an item, several, or one item of the metadata of each request."""
        if self._sizes is None or isinstance(index, str):
            return super().__getitem__(index)
        firsts = [0, *accumulate(self._sizes)]

        def item(at: int) -> Any:
            request = bisect_right(firsts, at) - 1
            return self._value(request, at - firsts[request])

        chosen = range(firsts[-1])[index]
        return [item(at) for at in chosen] if isinstance(chosen, range) else item(chosen)


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

    def _errors(self, index: int, row: Row) -> list[BaseException]:
        return [row[2]]

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


def _one_by_one(items: deque[Any], raised: Collection[int]) -> Iterator[Any]:
    """Yield items, and let go of them: what was yielded is the caller's alone."""
    for place in range(len(items)):
        if place in raised:
            raise items[0].with_traceback(None)
        yield items.popleft()

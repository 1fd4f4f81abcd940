"""Results as arguments of calls.

The values of those to come go from the hub to the engine, not by way of here. Those that are here go
along with the call: the hub keeps what was fetched for a while only, and nothing very large.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pickle import PickleBuffer
from threading import local
from typing import Any

from ctrlhub.client.rows import VALUE, Pieces, Row, is_ok, opened
from ctrlhub.wire.errors import SerializationError
from ctrlhub.wire.ids import Ranges, to_ranges
from ctrlhub.wire.segments import Segment
from ctrlhub.wire.serialize import dumps
from ctrlhub.wire.supplied import items_in, items_of, value_in, value_of, values_in, values_of


class Collected:
    """The requests whose results were found among arguments.

    Attributes
    ----------
    results : dict
        These results, each once.
    """

    def __init__(self) -> None:
        self._numbers: dict[int, None] = {}
        self.results: dict[Any, None] = {}

    def __bool__(self) -> bool:
        return bool(self._numbers)

    def add(self, numbers: Sequence[int]) -> None:
        """Take note of some."""
        self._numbers.update(dict.fromkeys(numbers))

    @property
    def requests(self) -> Ranges:
        """All of them."""
        return to_ranges(sorted(self._numbers))


class _Current(local):
    collected: Collected | None = None


_current = _Current()


@contextmanager
def collecting() -> Iterator[Collected]:
    """Let results be pickled in this thread, and collect them."""
    before, _current.collected = _current.collected, Collected()
    try:
        yield _current.collected
    finally:
        _current.collected = before


def take_note(result: Any) -> None:
    """Take note of a result that was found among arguments."""
    if _current.collected is not None:
        _current.collected.results[result] = None


class Mark:
    """What stands for the result of a request where there is none.

    Parameters
    ----------
    request
        The request.
    """

    def __init__(self, request: int) -> None:
        self._request = request

    def __reduce__(self) -> tuple[Any, ...]:
        mark = mark_of((self._request,), (None,), single=True, chunks=False)
        if mark is None:
            raise TypeError("a mark is for arguments of tasks")
        return mark


def mark_of(
    numbers: Sequence[int], rows: Sequence[Row | None], *, single: bool, chunks: bool
) -> tuple[Any, ...] | None:
    """Return what is pickled in the place of a result; None where results are not arguments.

    Parameters
    ----------
    numbers
        Its requests.
    rows
        What has come of them.
    single
        Whether it is the value of the one there is, and not a list.
    chunks
        Whether each of their values is a list of items.
    """
    if _current.collected is None:
        return None
    here = _values_here(rows)
    if here is not None:
        if single:
            return value_in, here
        return (items_in if chunks else values_in), (here,)
    _current.collected.add(numbers)
    if single:
        return value_of, (numbers[0],)
    return (items_of if chunks else values_of), (tuple(numbers),)


def _values_here(rows: Sequence[Row | None]) -> tuple[Any, ...] | None:
    """Return the values of requests, serialized; None if not all of them are here."""
    if not all(row is not None and is_ok(row) for row in rows):
        return None
    try:
        return tuple(_serialized(row) for row in rows if row is not None)
    except SerializationError:  # opened here, it is not what it was where it was made: the hub's, then
        return None


def _serialized(row: Row) -> Any:
    here = opened(row) if type(row[2]) is Pieces else row
    payload = dumps(here[2]) if here[1] == VALUE else here[2]
    if isinstance(payload, tuple | list):
        return tuple(PickleBuffer(p.view() if type(p) is Segment else p) for p in payload)
    return PickleBuffer(payload)

"""One call for many items."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import islice
from typing import Any

from ctrlhub.client.partition import cut, is_sliced


def over_chunk(function: Callable[..., Any]) -> Callable[..., list[Any]]:
    """Return a function of columns of arguments that calls `function` with each row of them.

    It travels by value and refers to nothing else of this package, so that engines need not import
    it, and a function of the user's inside it finds the engine's names.
    """

    def call_each(*columns: Any) -> list[Any]:
        return [function(*row) for row in zip(*columns)]  # noqa: B905 - they are of one length

    return call_each


def columns_of(sequences: Sequence[Iterable[Any]]) -> list[Any]:
    """Return the columns of a map: of one length, that of the shortest, which can be sliced.

    Items are those of an iteration: of a frame of pandas the names of its columns.
    """
    if all(is_sliced(seq) and not hasattr(seq, "columns") for seq in sequences):
        return tables_of(sequences)
    rows = list(zip(*sequences))  # noqa: B905 - they end with the shortest
    return [list(column) for column in zip(*rows, strict=True)] or [[] for _ in sequences]


def tables_of(sequences: Sequence[Iterable[Any]]) -> list[Any]:
    """Return sequences of one length, that of the shortest, which can be sliced."""
    tables: list[Any] = [seq if is_sliced(seq) else list(seq) for seq in sequences]
    length = min(map(len, tables))
    return [cut(table, length) for table in tables]


def chunked(rows: Iterable[tuple[Any, ...]], size: int) -> Iterable[tuple[list[Any], ...]]:
    """Yield chunks of rows as columns."""
    iterator = iter(rows)
    while chunk := list(islice(iterator, size)):
        yield tuple(list(column) for column in zip(*chunk, strict=True))

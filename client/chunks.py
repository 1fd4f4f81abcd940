"""Sequences of arguments, as columns of many rows."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Any

from ctrlhub.client.partition import cut, is_sliced


def columns_of(sequences: Sequence[Iterable[Any]]) -> list[Any]:
    """Return the columns of a map: of one length, that of the shortest, which can be sliced.

    Items are those of an iteration: of a frame of pandas the names of its columns.
    """
    if all(is_sliced(seq) and not hasattr(seq, "columns") for seq in sequences):
        length = min(map(len, sequences))  # type: ignore[arg-type]
        return [cut(seq, length) for seq in sequences]
    rows = list(zip(*sequences))  # noqa: B905 - they end with the shortest
    return [list(column) for column in zip(*rows, strict=True)] or [[] for _ in sequences]


def tables_of(sequences: Sequence[Iterable[Any]]) -> list[Any]:
    """Return sequences as what can be sliced: their parts go to a function as they are.

    Raises
    ------
    ValueError
        They are not of one length.
    """
    tables: list[Any] = [seq if is_sliced(seq) else list(seq) for seq in sequences]
    lengths = [len(table) for table in tables]
    if len(set(lengths)) > 1:
        raise ValueError(
            f"the sequences of a parallel function must be of one length, and have {lengths} items: "
            "make them so, or use map(), which ends with the shortest"
        )
    return tables


def chunked(rows: Iterable[tuple[Any, ...]], size: int) -> Iterator[tuple[Any, ...]]:
    """Yield chunks of rows: the place of the first row, and the columns."""
    iterator, first = iter(rows), 0
    while chunk := list(islice(iterator, size)):
        yield first, *(list(column) for column in zip(*chunk, strict=True))
        first += len(chunk)

"""Sequences to parts, one for each engine, and back.

``'b'`` deals in blocks of consecutive items, ``'r'`` like cards, one by one. Arrays of NumPy, and
frames, series and indexes of pandas, are recognised without importing these: where they are not
imported, nothing is one.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from itertools import chain, pairwise, zip_longest
from typing import Any

BLOCK, ROUND_ROBIN = "b", "r"
"""The ways to deal. Seed: IPython.kernel 0.10, maps `basic` and `rr`."""

_NOTHING = object()
_SLICED = (list, tuple, range, str, bytes, bytearray)


def check_dist(dist: str) -> None:
    """Refuse what is not a way to deal."""
    if dist not in (BLOCK, ROUND_ROBIN):
        raise ValueError(f"dist must be 'b' (blocks) or 'r' (round robin), not {dist!r}")


def split(seq: Iterable[Any], parts: int, dist: str = BLOCK) -> list[Any]:
    """Split a sequence.

    Parameters
    ----------
    seq
        What to split. Lists, tuples, ranges, text, bytes, arrays and what pandas has (by rows) give
        parts of their own type; anything else that can be iterated over gives lists.
    parts
        How many parts; the longest has at most one item more than the shortest.
    dist
        How to deal: ``'b'`` or ``'r'``.
    """
    check_dist(dist)
    if parts < 1:
        raise ValueError(f"cannot split into {parts} parts")
    if not is_sliced(seq):
        seq = list(seq)
    items = _by_place(seq)
    if dist == ROUND_ROBIN:
        return [items[first::parts] for first in range(parts)]
    size, longer = divmod(len(seq), parts)  # type: ignore[arg-type]
    ends = [size * number + min(number, longer) for number in range(parts + 1)]
    return [items[a:b] for a, b in pairwise(ends)]


def only_item(part: Any) -> Any:
    """Return the item of a part that has one."""
    return _by_place(part)[0]


def cut(seq: Any, length: int) -> Any:
    """Return the first items of what can be sliced."""
    return seq if len(seq) <= length else _by_place(seq)[:length]


def _by_place(seq: Any) -> Any:
    """Return what is indexed by place: frames and series are indexed by labels themselves."""
    return getattr(seq, "iloc", seq)


def join(parts: Sequence[Any], dist: str = BLOCK) -> Any:
    """Join what `split` made.

    Parts that are no sequences (a flattened scatter leaves the items themselves) give the list of
    them. Ranges give a list.
    """
    check_dist(dist)
    parts = [list(part) if isinstance(part, range) else part for part in parts]
    if not parts:
        return []
    if all(is_array(part) and part.ndim for part in parts):
        return _joined_arrays(parts, dist)
    if all(is_pandas(part) for part in parts):
        return _joined_pandas(parts, dist)
    kind = type(parts[0])
    if kind not in _SLICED or any(type(part) is not kind for part in parts):
        return parts
    items: Iterable[Any]
    if dist == ROUND_ROBIN:
        rounds = zip_longest(*parts, fillvalue=_NOTHING)
        items = (item for each in rounds for item in each if item is not _NOTHING)
    else:
        items = chain.from_iterable(parts)
    return "".join(items) if kind is str else kind(items)


def is_sliced(value: object) -> bool:
    """Say whether slices of a value are of its own kind, so that `join` could join them."""
    return (
        isinstance(value, _SLICED)
        or is_pandas(value)
        or (is_array(value) and bool(value.ndim))  # type: ignore[attr-defined]
    )


def is_pandas(value: object) -> bool:
    """Say whether a value is a frame, a series or an index of pandas."""
    pandas = sys.modules.get("pandas")
    if pandas is None:
        return False
    return isinstance(value, pandas.DataFrame | pandas.Series | pandas.Index)


def is_array(value: object) -> bool:
    """Say whether a value is an array of NumPy."""
    numpy = sys.modules.get("numpy")
    return numpy is not None and isinstance(value, numpy.ndarray)


def _joined_arrays(parts: Sequence[Any], dist: str) -> Any:
    import numpy

    whole = numpy.concatenate(parts)
    return whole if dist == BLOCK else whole[_dealt(parts)]


def _joined_pandas(parts: Sequence[Any], dist: str) -> Any:
    pandas: Any = sys.modules["pandas"]
    if isinstance(parts[0], pandas.Index):
        whole = parts[0].append(list(parts[1:]))
        return whole if dist == BLOCK else whole[_dealt(parts)]
    whole = pandas.concat(parts)
    return whole if dist == BLOCK else whole.iloc[_dealt(parts)]


def _dealt(parts: Sequence[Any]) -> Any:
    """Return the places of items dealt in turn, where all parts stand one behind the other."""
    import numpy

    rounds = numpy.concatenate([numpy.arange(len(part)) for part in parts])
    hands = numpy.concatenate([numpy.full(len(part), i) for i, part in enumerate(parts)])
    return numpy.lexsort((hands, rounds))

"""Sequences to parts, one for each engine, and back.

``'b'`` deals in blocks of consecutive items, ``'r'`` like cards, one by one. Arrays of NumPy are
recognised without importing it: where it is not imported, nothing is one.
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
        What to split. Lists, tuples, ranges, text, bytes and arrays give parts of their own type;
        anything else that can be iterated over gives lists.
    parts
        How many parts; the longest has at most one item more than the shortest.
    dist
        How to deal: ``'b'`` or ``'r'``.
    """
    check_dist(dist)
    if parts < 1:
        raise ValueError(f"cannot split into {parts} parts")
    if not isinstance(seq, _SLICED) and not is_array(seq):
        seq = list(seq)
    if dist == ROUND_ROBIN:
        return [seq[first::parts] for first in range(parts)]  # type: ignore[index]
    size, longer = divmod(len(seq), parts)  # type: ignore[arg-type]
    ends = [size * number + min(number, longer) for number in range(parts + 1)]
    return [seq[a:b] for a, b in pairwise(ends)]  # type: ignore[index]


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


def is_sequence(value: object) -> bool:
    """Say whether a value is a part that `join` would join to others."""
    return type(value) in _SLICED or (is_array(value) and bool(value.ndim))  # type: ignore[attr-defined]


def is_array(value: object) -> bool:
    """Say whether a value is an array of NumPy."""
    numpy = sys.modules.get("numpy")
    return numpy is not None and isinstance(value, numpy.ndarray)


def _joined_arrays(parts: Sequence[Any], dist: str) -> Any:
    import numpy

    whole = numpy.concatenate(parts)
    if dist == BLOCK:
        return whole
    rounds = numpy.concatenate([numpy.arange(len(part)) for part in parts])
    hands = numpy.concatenate([numpy.full(len(part), i) for i, part in enumerate(parts)])
    return whole[numpy.lexsort((hands, rounds))]

"""Request ids and ranges of them.

A request (a task, or one command to one engine) is named by an integer: the session's number from
the hub and the client's own counter in it. Text forms exist only at the surface of the client API.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from ctrlhub.wire.limits import COUNTER_BITS

Ranges = tuple[tuple[int, int], ...]
"""Ids as inclusive ranges ``((first, last), ...)``: acknowledgements of a batch are one pair."""


def request_id(session: int, counter: int) -> int:
    """Return the id of a session's request number `counter`."""
    return session << COUNTER_BITS | counter


def session_of(request: int) -> int:
    """Return the number of the session that made a request."""
    return request >> COUNTER_BITS


def to_ranges(ids: Iterable[int]) -> Ranges:
    """Fold ids, in the order given, into inclusive ranges (consecutive ids share one)."""
    ranges: list[tuple[int, int]] = []
    first = last = None
    for number in ids:
        if last is not None and number == last + 1:
            last = number
            continue
        if first is not None and last is not None:
            ranges.append((first, last))
        first = last = number
    if first is not None and last is not None:
        ranges.append((first, last))
    return tuple(ranges)


def from_ranges(ranges: Ranges) -> Iterator[int]:
    """Yield every id of the ranges.

    The caller bounds the ranges first when they come from the wire: see :func:`count`.
    """
    for first, last in ranges:
        yield from range(first, last + 1)


def count(ranges: Ranges) -> int:
    """Return how many ids the ranges hold."""
    return sum(last - first + 1 for first, last in ranges)

"""Request ids and ranges of them.

A request (a task, or one command to one engine) is named by an integer: the session's number from
the hub and the client's own counter in it. Text forms exist only at the surface of the client API.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Collection, Iterable, Iterator
from itertools import pairwise

from ctrlhub.wire.limits import COUNTER_BITS, MAX_SESSION

Ranges = tuple[tuple[int, int], ...]
"""Ids as inclusive ranges ``((first, last), ...)``: acknowledgements of a batch are one pair."""

_COUNTER = (1 << COUNTER_BITS) - 1


def request_id(session: int, counter: int) -> int:
    """Return the id of a session's request number `counter`."""
    return session << COUNTER_BITS | counter


def session_of(request: int) -> int:
    """Return the number of the session that made a request."""
    return request >> COUNTER_BITS


def counter_of(request: int) -> int:
    """Return the number of a request among those of its session."""
    return request & _COUNTER


def text_of(request: int) -> str:
    """Write a request id as people see it: session and counter."""
    return f"{session_of(request)}-{counter_of(request)}"


def number_of(text: str) -> int:
    """Read what `text_of` wrote.

    Raises
    ------
    ValueError
        It is something else.
    """
    session, dash, counter = text.partition("-")
    if not (dash and session.isdecimal() and counter.isdecimal()):
        raise ValueError(f"{text!r:.80} is not the id of a request, such as '7-42'")
    if len(session) > 7 or len(counter) > 13 or int(session) > MAX_SESSION or int(counter) > _COUNTER:
        raise ValueError(f"{text!r:.80} is not the id of a request: no session has such a number")
    return request_id(int(session), int(counter))


def to_ranges(ids: Iterable[int]) -> Ranges:
    """Fold ids, in the order given, into inclusive ranges (consecutive ids share one)."""
    if type(ids) is list and len(ids) == 1:
        return ((ids[0], ids[0]),)
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


def merged(ranges: Iterable[tuple[int, int]]) -> Ranges:
    """Return the same ids as ascending ranges with gaps between them."""
    found: list[tuple[int, int]] = []
    for first, last in sorted(ranges):
        if found and first <= found[-1][1] + 1:
            found[-1] = found[-1][0], max(last, found[-1][1])
        else:
            found.append((first, last))
    return tuple(found)


def select(ranges: Ranges, present: Collection[int]) -> list[int]:
    """Return the ids of the ranges that are present, each once, however large the ranges claim to be.

    Peers make ranges: they may overlap, come in any order, and hold more numbers than there are ids.
    """
    if len(ranges) > 1 and any(a[1] >= b[0] for a, b in pairwise(ranges)):
        ranges = merged(ranges)
    if count(ranges) <= 2 * len(present) + 16:
        return [n for first, last in ranges for n in range(first, last + 1) if n in present]
    firsts = [first for first, _ in ranges]
    found = []
    for n in present:
        place = bisect_right(firsts, n) - 1
        if place >= 0 and n <= ranges[place][1]:
            found.append(n)
    return found


def within(ranges: Ranges) -> Callable[[int], bool]:
    """Return what tells whether an id is in ranges, however many they are."""
    ordered = merged(ranges)
    firsts = [first for first, _ in ordered]

    def is_within(number: int) -> bool:
        place = bisect_right(firsts, number) - 1
        return place >= 0 and number <= ordered[place][1]

    return is_within

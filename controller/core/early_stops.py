"""Wishes to stop what has not come yet: they travel on another stream, and may overtake it. No I/O."""

from __future__ import annotations

from collections.abc import Container, Iterable
from itertools import islice

from ctrlhub.wire.ids import Ranges, from_ranges, request_id, session_of

MOST_EARLY = 65_536
"""So many are kept, the oldest are forgotten first: their client asks again."""


class EarlyStops:
    """The requests that are to be stopped as they come."""

    __slots__ = ("_numbers",)

    def __init__(self) -> None:
        self._numbers: dict[int, None] = {}

    def __bool__(self) -> bool:
        return bool(self._numbers)

    def expect(self, requests: Ranges, session: int, known: Container[int]) -> None:
        """Keep those of a client's requests that are not known yet."""
        numbers = self._numbers
        lowest, beyond = request_id(session, 0), request_id(session + 1, 0)
        own = tuple((max(first, lowest), min(last, beyond - 1)) for first, last in requests)
        for number in islice(from_ranges(own), MOST_EARLY):
            if number not in known:
                numbers[number] = None
        for number in list(islice(numbers, max(0, len(numbers) - MOST_EARLY))):
            del numbers[number]

    def take(self, requests: Iterable[int]) -> list[int]:
        """Return those of some requests, which have come, that are to be stopped."""
        numbers = self._numbers
        found = [number for number in requests if number in numbers]
        for number in found:
            del numbers[number]
        return found

    def session_ended(self, session: int) -> None:
        """Keep nothing for a client that is gone."""
        self.take([number for number in self._numbers if session_of(number) == session])

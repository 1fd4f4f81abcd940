"""The anteroom: where peers wait whose keys were accepted, while others enter. No I/O.

A peer that hears that its key is accepted makes three connections under it, of which each is a millisecond
of arithmetic between it and the hub. Thousands that did so at once would all be at it for longer than a
handshake may last, and begin anew, for ever. So each hears it when it is its turn, and those who enter are
few enough to be in within moments.
"""

from __future__ import annotations

from typing import Generic, TypeVar

MOST_ENTERING = 64
"""So many peers enter at once."""

ENTRY = 2.0
"""Seconds after which one that has not entered yet keeps nobody waiting any more."""

MOST_WAITING = 8000
"""So many wait; beyond that the first of them enters. Fewer than keys that are kept without a session."""

Place = TypeVar("Place")


class Anteroom(Generic[Place]):
    """Who enters, and who waits, by key.

    A place is where a peer is told that it may enter.
    """

    def __init__(self) -> None:
        # Until when others wait for each, and where it was told so; None where it was told again.
        self._entering: dict[str, tuple[float, Place | None]] = {}
        self._waiting: dict[str, Place] = {}

    def come(self, key: str, place: Place, now: float) -> list[tuple[str, Place]]:
        """Let a peer come in, or come again; return those whom to tell that they may enter."""
        if key in self._entering:  # what it was told is lost
            self._entering[key] = self._entering[key][0], None
            return [(key, place)]
        self._waiting[key] = place  # who asks again keeps its turn
        return self.look(now)

    def entered(self, key: str) -> None:
        """Take note that a peer is in, or will not come."""
        self._entering.pop(key, None)
        self._waiting.pop(key, None)

    def gone(self, place: Place) -> None:
        """Take note that nobody was there to be told: one that has ended keeps nobody waiting.

        One that was told twice has left its place, perhaps, since it heard so the first time.
        """
        for key in [key for key, (_, told_at) in self._entering.items() if told_at == place]:
            del self._entering[key]

    @property
    def due(self) -> float | None:
        """When to look; None for not at all."""
        if not self._waiting:
            return None
        return next(iter(self._entering.values()))[0] if len(self._entering) >= MOST_ENTERING else 0.0

    def look(self, now: float) -> list[tuple[str, Place]]:
        """Return those whose turn it is."""
        entering, waiting = self._entering, self._waiting
        told: list[tuple[str, Place]] = []
        while waiting:
            if len(entering) >= MOST_ENTERING:
                first = next(iter(entering))
                if entering[first][0] > now and len(waiting) <= MOST_WAITING:
                    break
                del entering[first]
            key = next(iter(waiting))
            place = waiting.pop(key)
            told.append((key, place))
            entering[key] = now + ENTRY, place
        return told

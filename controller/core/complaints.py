"""What is refused: counted for all, and said once of each peer and reason, not too often. No I/O.

Whoever sends nonsense without end, or under ever other names, must neither fill the log nor the memory.
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass

MOST_KNOWN = 1024
"""Of so many peers and reasons it is known that they were named; the oldest is forgotten for another."""

BURST = 20
"""So many lines may come at once."""

PERIOD = 3.0
"""After them one line comes in so many seconds."""


@dataclass(frozen=True, slots=True)
class Line:
    """What is to be said of one refusal, besides what it is."""

    total: int
    """How many there were, this one included."""
    unsaid: int
    """How many of them were not named since the line before."""


class Complaints:
    """Counts refusals, and says which of them are worth a line in the log.

    Attributes
    ----------
    total : int
        How many there were.
    """

    __slots__ = ("_filled", "_known", "_room", "_unsaid", "total")

    def __init__(self) -> None:
        self.total = 0
        self._known: dict[Hashable, None] = {}
        self._unsaid = 0
        self._room = float(BURST)
        self._filled = 0.0

    def note(self, who: Hashable, why: str, now: float) -> Line | None:
        """Count the refusal of a peer for a reason; return what to say of it, None for nothing."""
        self.total += 1
        key = who, why
        if key in self._known or not self._may_speak(now):
            self._unsaid += 1
            return None
        self._known[key] = None
        if len(self._known) > MOST_KNOWN:
            del self._known[next(iter(self._known))]
        line = Line(self.total, self._unsaid)
        self._unsaid = 0
        return line

    def _may_speak(self, now: float) -> bool:
        self._room = min(BURST, self._room + max(0.0, now - self._filled) / PERIOD)
        self._filled = now
        if self._room < 1:
            return False
        self._room -= 1
        return True

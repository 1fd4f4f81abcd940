"""That an engine is to finish, until when, and who wants it. No I/O."""

from __future__ import annotations

from dataclasses import dataclass

from ctrlhub.wire.messages import Retire, Shutdown

NO_LIMIT = float("inf")
"""Until when an engine may take as long as it takes."""

SAME = 0.5
"""A time that is so little (seconds) shorter is the same, said again."""


@dataclass(frozen=True, slots=True)
class Drain:
    """Why an engine takes nothing new, and until when what it runs may go on.

    Attributes
    ----------
    reason
        Who wants it, in words.
    until
        When what runs is to be given back (the hub's clock, seconds); None leaves it the few seconds
        that an engine has of its own.
    """

    reason: str
    until: float | None = NO_LIMIT

    def hastens(self, former: Drain | None) -> bool:
        """Tell whether this leaves an engine less time than it had been given."""
        if former is None:
            return True
        if former.until is None:
            return False
        return self.until is None or self.until < former.until - SAME

    def within(self, now: float) -> float:
        """Return how long it may take (seconds), as it is said on the wire."""
        return -1.0 if self.until is None else max(0.0, self.until - now)

    def for_engine(self, now: float) -> Shutdown:
        """Return what its engine is told."""
        return Shutdown(self.reason, self.within(now))

    def for_nanny(self, key: str, incarnation: bytes, now: float) -> Retire:
        """Return what its nanny is told."""
        return Retire(key, incarnation, self.reason, self.within(now))

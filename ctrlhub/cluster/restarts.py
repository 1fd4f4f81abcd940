"""When to start a process again that keeps dying: soon, then ever later. No I/O, no clock."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(slots=True)
class Restarts:
    """The restarts of one process.

    Parameters
    ----------
    first, longest
        The first delay, and the one that doubling ends at (seconds).
    steady
        A process that lived for so long (seconds) is well again: its next death is a first one.
    """

    first: float = 0.1
    longest: float = 15.0
    steady: float = 30.0
    deaths: int = field(default=0, init=False)
    """How often the process died in a row."""

    def died(self, started: float, now: float) -> float:
        """Note a death of the process started at `started`; give the moment of its restart."""
        if now - started >= self.steady:
            self.deaths = 0
        # Bounded, so that a year of deaths cannot overflow.
        delay = min(self.longest, self.first * 2.0 ** min(self.deaths, 32))
        self.deaths += 1
        return now + delay

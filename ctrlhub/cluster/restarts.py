"""When to start a process again that has died: at once; one that keeps dying ever later. No I/O, no clock."""

from __future__ import annotations

from dataclasses import dataclass, field

NANNY_STEADY = 5.0
"""A nanny that lived for so long (seconds) was well: that it works is not known."""


@dataclass(slots=True)
class Restarts:
    """The restarts of one process.

    Parameters
    ----------
    first, longest
        The first delay, and the one that doubling ends at (seconds).
    steady
        A process that worked for so long (seconds) was well: its death is a first one, and another is
        started at once.
    steadier
        The same for one that ended by itself, and says so by its exit code.
    attempts
        After so many deaths in a row it is given up: with the delays above after about three minutes.
    """

    first: float = 0.1
    longest: float = 15.0
    steady: float = 1.0
    steadier: float = 60.0
    attempts: int = 18
    deaths: int = field(default=0, init=False)
    """How often the process died in a row."""

    def died(self, worked: float, now: float, *, failed: bool = False) -> float | None:
        """Note a death; give the moment of the restart, or None if the process is given up.

        Parameters
        ----------
        worked
            For how long (seconds) the process had worked.
        now
            The time (seconds).
        failed
            It ended by itself, or could not even be started.
        """
        if worked >= (self.steadier if failed else self.steady):
            self.deaths = 0
        self.deaths += 1
        if self.deaths > self.attempts:
            return None
        if self.deaths == 1:
            return now
        return now + min(self.longest, self.first * 2.0 ** (self.deaths - 2))

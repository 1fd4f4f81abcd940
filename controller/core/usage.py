"""What engines use of their hosts, as they or their nannies tell. No I/O."""

from __future__ import annotations

from dataclasses import dataclass

STALE = 15.0
"""What was told longer ago (seconds) says nothing of now."""

LEAST = 0.1
"""What was used is told of no shorter a time (seconds): clocks of processors are coarse."""


@dataclass(slots=True)
class Usage:
    """What one engine uses, its child processes included.

    Attributes
    ----------
    cpu_seconds
        How many seconds of a core it has used since it was first told of; None before. It never falls,
        also where child processes have ended whose time nobody has waited for, nor where another process
        came in its place.
    cores
        How many cores it used of late; None before that is known.
    rss
        How many bytes of memory it has; None while that is unknown.
    heard
        When it was told of last (seconds).
    """

    cpu_seconds: float | None = None
    cores: float | None = None
    rss: int | None = None
    heard: float = 0.0
    _told: float = 0.0
    _at: float = 0.0

    def tell(self, cpu: float, rss: int, now: float) -> None:
        """Take what a process has used up to now: seconds of a core (negative: unknown), and bytes."""
        self.heard = now
        self.rss = rss if rss >= 0 else None
        if not 0 <= cpu < float("inf"):
            return
        if self.cpu_seconds is None:
            self.cpu_seconds, self._told, self._at = cpu, cpu, now
            return
        if now - self._at < LEAST:
            return
        used = max(0.0, cpu - self._told)
        self.cpu_seconds += used
        self.cores = used / (now - self._at)
        self._told, self._at = cpu, now

    def of_late(self, now: float) -> tuple[float | None, int | None]:
        """Return cores and memory, as far as that is known of now."""
        return (None, None) if now - self.heard > STALE else (self.cores, self.rss)

    def renew(self) -> None:
        """Take note that another process is in its place, which has used nothing yet."""
        self.cores = self.rss = None
        self._told = 0.0

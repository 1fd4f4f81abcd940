"""When a widget looks at what it shows. No threads, no clock: time is an argument, in seconds."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(slots=True)
class Pace:
    """While somebody sees it, each `interval`; else only when something has happened.

    Parameters
    ----------
    interval
        Seconds from one look to the next.
    """

    interval: float
    _views: int = field(default=0, init=False)
    _is_due: bool = field(default=False, init=False)
    _is_over: bool = field(default=False, init=False)
    _looked: float | None = field(default=None, init=False)

    @property
    def is_over(self) -> bool:
        """Whether there will be no look any more."""
        return self._is_over

    def shown(self, views: int) -> None:
        """Take note how many places show it; one more wants to see it as it is now."""
        if views > self._views:
            self._is_due = True
        self._views = max(0, views)

    def nudge(self) -> None:
        """Have one look soon: something has happened."""
        self._is_due = True

    def end(self) -> None:
        """Have no look any more."""
        self._is_over = True

    def looking(self, now: float) -> None:
        """Take note that a look begins: what happens from now on is worth another."""
        self._is_due = False
        self._looked = now

    def wait(self, now: float) -> float | None:
        """Return the seconds until the next look; None for as long as nobody wants one."""
        if self._is_over:
            return None
        if self._is_due:
            return 0.0
        if self._views == 0:
            return None
        return 0.0 if self._looked is None else max(0.0, self._looked + self.interval - now)

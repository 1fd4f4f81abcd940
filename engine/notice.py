"""When a nanny's engines are to finish, and when that is over. No I/O."""

from __future__ import annotations

NEVER = float("inf")

MARGIN = 2.0
"""So long (seconds) before its job's end a nanny must have ended: what it stops takes a moment."""

NEAR = 5.0
"""Who is told to stop so near the end of its job (in drain times) is told because of that."""

ALONE = 3.0
"""So long (seconds) a hub is waited for that is away while engines finish: it may be started again."""

LOOK = 0.5
"""How often (seconds) to look meanwhile whether there is one."""


class Notice:
    """The notice that a nanny gives to its engines, and its own end.

    Parameters
    ----------
    drain
        How long (seconds) engines may take.
    until
        When (Unix time) the nanny must have ended; None for never.
    unix, now
        What time it is, in Unix time and on the nanny's clock (seconds).

    Attributes
    ----------
    is_given : bool
        Whether engines were told.
    """

    def __init__(self, drain: float, until: float | None, unix: float, now: float) -> None:
        self._drain = drain
        self._end = NEVER if until is None else now + (until - unix) - MARGIN
        self._over = NEVER
        self._alone_since = NEVER
        self.is_given = False

    def due(self, now: float) -> float:
        """Tell when to look again."""
        if self.is_given:
            return min(self._over, now + LOOK)
        return self._end - self._drain

    def is_in_vain(self, has_hub: bool, now: float) -> bool:
        """Tell whether engines finish for nobody: there is no hub to tell them, and to take results."""
        self._alone_since = NEVER if has_hub else min(self._alone_since, now)
        return self.is_given and now >= self._alone_since + ALONE

    def is_to_be_given(self, now: float) -> bool:
        """Tell whether the end is so near that engines have to finish."""
        return not self.is_given and now >= self._end - self._drain

    def give(self, now: float) -> float:
        """Give notice; return when the time of the engines is over."""
        self.is_given = True
        over = now + self._drain
        if now >= self._end - NEAR * self._drain:  # a scheduler's warning: all that is left is theirs
            over = self._end
        self._over = max(now, min(self._end, over))
        return self._over

    def is_over(self, now: float) -> bool:
        """Tell whether the time of the engines is over."""
        return self.is_given and now >= self._over

"""Whether to order engines again whose jobs fail: ever later, and not for ever. No I/O, no clock."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from ctrlhub.cluster.restarts import Restarts

STEADY = 60.0
"""What ran for so long (seconds) was well."""
LONGEST = 120.0
"""The longest pause (seconds) between two orders."""
ATTEMPTS = 6
"""After so many failures in a row nothing more is ordered."""


def _restarts() -> Restarts:
    return Restarts(first=1.0, longest=LONGEST, steady=STEADY, steadier=STEADY, attempts=ATTEMPTS)


@dataclass(slots=True)
class Failing:
    """What has failed of a set.

    Attributes
    ----------
    why : str
        Why the last one did, until there are engines enough; empty where none has.
    """

    why: str = field(default="", init=False)
    _restarts: Restarts = field(default_factory=_restarts, init=False)
    _known: set[str] = field(default_factory=set, init=False)
    _due: float = field(default=-math.inf, init=False)

    def failed(self, which: str, worked: float, why: str, now: float) -> None:
        """Take note that something has failed, once.

        Parameters
        ----------
        which
            What nothing else is called.
        worked
            For how long (seconds) it had been there.
        why
            Why.
        now
            The time (seconds).
        """
        if which in self._known:
            return
        self._known.add(which)
        due = self._restarts.died(worked, now, failed=True)
        self._due = math.inf if due is None else due
        self.why = why if due is not None else f"given up, it failed {self._restarts.deaths} times in a row: {why}"

    def may_order(self, now: float) -> bool:
        """Say whether it is time to order others."""
        return now >= self._due

    def enough(self) -> None:
        """Take note that there are as many engines as are wanted."""
        if not math.isinf(self._due) or self._due < 0:
            self.why = ""

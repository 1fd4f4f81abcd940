"""One child that is started again when it dies: what a supervisor and a `Cluster` share."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, field

from ctrlhub.cluster.child import Child
from ctrlhub.cluster.restarts import Restarts
from ctrlhub.wire.errors import CtrlHubError

_log = logging.getLogger(__name__)


def lived(child: Child, now: float) -> float:
    """Return for how long (seconds) a child has lived."""
    return now - child.started


@dataclass(slots=True)
class Supervised:
    """One child that is started again when it dies: at once, or if it keeps dying later each time.

    Parameters
    ----------
    child
        The running child.
    again
        Starts another in its place.
    restarts
        When to.
    worked
        Says for how long (seconds) a child that has died had worked.
    """

    child: Child
    again: Callable[[], Child]
    restarts: Restarts = field(default_factory=Restarts)
    worked: Callable[[Child, float], float] = lived
    due: float | None = field(default=None, init=False)
    """When it will be started again; None while it runs, or has ended for good."""
    is_over: bool = field(default=False, init=False)
    """It ended on purpose, with exit code 0, or was given up."""
    given_up: str = field(default="", init=False)
    """Why no other is started any more, if it kept dying."""

    def turn(self, now: float) -> bool:
        """Look at the child, and do what is due; say whether a new one was started."""
        if self.is_over:
            return False
        if self.due is None:
            self._look(now)
        if self.due is None or now < self.due:
            return False
        try:
            self.child = self.again()
        except (OSError, CtrlHubError) as error:
            # No process to be had, or a full disk: that passes, and the rest goes on meanwhile.
            self._died(0.0, now, f"cannot be started again: {error}", failed=True)
            return False
        self.due = None
        _log.warning("started the %s again, pid %d", self.child.name, self.child.pid)
        return True

    def _look(self, now: float) -> None:
        code = self.child.ended()
        if code is None:
            return
        self.child.cut_lifeline()
        if code == 0:
            _log.info("the %s has ended", self.child.name)
            self.is_over = True
            return
        how = f"(pid {self.child.pid}) {self.child.how_it_ended()}, see {self.child.log}"
        # From 128 on it is a signal that it has obeyed: another is to take its place.
        self._died(self.worked(self.child, now), now, how, failed=0 < code < 128)

    def _died(self, worked: float, now: float, how: str, *, failed: bool) -> None:
        name = self.child.name
        self.due = self.restarts.died(worked, now, failed=failed)
        if self.due is None:
            deaths = self.restarts.attempts
            self.given_up = (
                f"the {name} is given up: it died {deaths + 1} times in a row without having worked; "
                f"the last one {how}"
            )
            self.is_over = True
            _log.error("%s", self.given_up)
            return
        _log.error("the %s %s; starting another in %.1f s", name, how, self.due - now)

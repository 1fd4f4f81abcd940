"""One child that is started again when it dies: what a supervisor and a `Cluster` share."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, field

from ctrlhub.cluster.child import Child
from ctrlhub.cluster.restarts import Restarts
from ctrlhub.controller.exits import EXIT_AWAY, EXIT_UNUSABLE
from ctrlhub.wire.errors import CtrlHubError
from ctrlhub.wire.trouble import may_pass

_log = logging.getLogger(__name__)


WAIT = 0.1, 3.0
"""The first and the longest pause (seconds) between two starts of one that cannot start for now."""
LOOK = 1.0
"""So often (seconds) it is looked at meanwhile."""


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
        Says for how long (seconds) a child had worked.
    why
        Says why one could not start that has said so by its exit code.
    """

    child: Child
    again: Callable[[], Child]
    restarts: Restarts = field(default_factory=Restarts)
    worked: Callable[[Child, float], float] = lived
    why: Callable[[Child], str] = Child.how_it_ended
    due: float | None = field(default=None, init=False)
    """When it will be started again; None while it runs, or has ended for good."""
    is_over: bool = field(default=False, init=False)
    """It ended on purpose, with exit code 0, or was given up."""
    given_up: str = field(default="", init=False)
    """Why no other is started any more, if it kept dying, or none could start."""
    waits: str = field(default="", init=False)
    """Why it cannot start now, if that may pass."""
    _pause: float = field(default=0.0, init=False)

    def wakes(self, now: float) -> float | None:
        """Return when to look again, beside at the end of a child; None if that is all."""
        if self.due is not None or not self.waits or self.is_over:
            return self.due
        return now + LOOK

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
            if may_pass(error):
                self._wait(f"{error}", now)
            else:
                self._died(0.0, now, f"cannot be started again: {error}", failed=True)
            return False
        self.due = None
        if not self.waits:
            _log.warning("started the %s again, pid %d", self.child.name, self.child.pid)
        return True

    def _look(self, now: float) -> None:
        code = self.child.ended()
        if code is None:
            if self.waits and self.worked(self.child, now) > 0.0:
                self.waits, self._pause = "", 0.0
                _log.warning("the %s has started again, pid %d", self.child.name, self.child.pid)
            return
        self.child.cut_lifeline()
        if code == 0:
            _log.info("the %s has ended", self.child.name)
            self.is_over = True
        elif code == EXIT_AWAY:
            self._wait(self.why(self.child), now)
        elif code == EXIT_UNUSABLE:
            self._give_up(f"the {self.child.name} is given up: {self.why(self.child)}")
        else:
            self.waits = ""
            how = f"(pid {self.child.pid}) {self.child.how_it_ended()}, see {self.child.log}"
            # From 128 on it is a signal that it has obeyed: another is to take its place.
            self._died(self.worked(self.child, now), now, how, failed=0 < code < 128)

    def _wait(self, why: str, now: float) -> None:
        """Try again for as long as it takes: it is no fault of the child's."""
        first, longest = WAIT
        self._pause = min(longest, 2.0 * self._pause) if self._pause else first
        self.due = now + self._pause
        if why != self.waits:
            _log.error("the %s cannot start now: %s; trying again until it can", self.child.name, why)
        self.waits = why

    def _died(self, worked: float, now: float, how: str, *, failed: bool) -> None:
        name = self.child.name
        self.due = self.restarts.died(worked, now, failed=failed)
        if self.due is None:
            deaths = self.restarts.attempts
            self._give_up(
                f"the {name} is given up: it died {deaths + 1} times in a row without having worked; "
                f"the last one {how}"
            )
            return
        _log.error("the %s %s; starting another in %.1f s", name, how, self.due - now)

    def _give_up(self, why: str) -> None:
        self.given_up = why
        self.is_over = True
        _log.error("%s", why)

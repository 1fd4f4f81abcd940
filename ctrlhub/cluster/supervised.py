"""One child that is started again when it dies: what a supervisor and a `Cluster` share."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, field

from ctrlhub.cluster.child import Child
from ctrlhub.cluster.restarts import Restarts
from ctrlhub.wire.errors import CtrlHubError

_log = logging.getLogger(__name__)


@dataclass(slots=True)
class Supervised:
    """One child that is started again when it dies, later each time.

    Parameters
    ----------
    child
        The running child.
    again
        Starts another in its place.
    restarts
        When to.
    """

    child: Child
    again: Callable[[], Child]
    restarts: Restarts = field(default_factory=Restarts)
    due: float | None = field(default=None, init=False)
    """When it will be started again; None while it runs, or has ended for good."""
    is_over: bool = field(default=False, init=False)
    """It ended on purpose, with exit code 0."""

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
            self.due = self.restarts.died(now, now)
            _log.error(
                "the %s cannot be started again: %s; trying again in %.1f s",
                self.child.name,
                error,
                self.due - now,
            )
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
        self.due = self.restarts.died(self.child.started, now)
        _log.error(
            "the %s (pid %d) %s, see %s; starting another in %.1f s",
            self.child.name,
            self.child.pid,
            self.child.how_it_ended(),
            self.child.log,
            self.due - now,
        )

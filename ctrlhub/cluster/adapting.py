"""A thread that looks at the queue, and has as many engines started or drained as `Scaling` says."""

from __future__ import annotations

import logging
import threading
import time

from ctrlhub.cluster.engine_sets import EngineSets
from ctrlhub.cluster.errors import StartFailed
from ctrlhub.cluster.failing import Failing
from ctrlhub.cluster.scaling import Bounds, Load, Scaling
from ctrlhub.wire.errors import ControllerStopped, CtrlHubError, SessionClosed

_log = logging.getLogger(__name__)


def checked_interval(interval: float) -> float:
    """Return a number of seconds between two looks.

    Raises
    ------
    ValueError
        It is none.
    """
    if not 0 < interval < float("inf"):
        raise ValueError(f"interval is a number of seconds, not {interval!r}")
    return interval


class Adapter:
    """Follows the queue until it is stopped, or the cluster ends.

    Parameters
    ----------
    sets
        The sets of the cluster.
    engine_set
        The one that becomes larger and smaller.
    bounds
        Between what.
    interval
        Seconds between two looks at the queue.

    Attributes
    ----------
    wanted : int or None
        How many engines it wanted last.
    trouble : str
        Why it could not have them; empty if it could.
    """

    def __init__(self, sets: EngineSets, engine_set: str, bounds: Bounds, interval: float) -> None:
        self.bounds = bounds
        self.engine_set = engine_set
        self.wanted: int | None = None
        self.trouble = ""
        self._sets = sets
        self._scaling = Scaling(bounds)
        self._failing = Failing()
        self._interval = checked_interval(interval)
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="ctrlhub-adapt", daemon=True)
        self._thread.start()

    @property
    def running(self) -> bool:
        """Whether it still follows the queue."""
        return self._thread.is_alive() and not self._over.is_set()

    def stop(self) -> None:
        """Do nothing any more; what was begun is done when this returns."""
        self._over.set()
        if threading.current_thread() is not self._thread:
            self._thread.join()

    def __repr__(self) -> str:
        what = f"{self.bounds.minimum} to {self.bounds.maximum} engines of {self.engine_set!r}"
        wants = "" if self.wanted is None else f", wants {self.wanted}"
        return f"<Adapter: {what}{wants}{': ' + self.trouble if self.trouble else ''}>"

    def _run(self) -> None:
        while not self._over.is_set():
            try:
                self._turn()
                self.trouble = self._failing.why
            except (SessionClosed, ControllerStopped) as error:
                self.trouble = f"{error}"
                return
            except Exception as error:
                # The hub may be being restarted, a scheduler may not answer: that passes. Whatever
                # else it is, nobody would hear of it if this thread ended.
                what = f"{error}" if isinstance(error, CtrlHubError) else f"{error!r}"
                if what != self.trouble:
                    known = isinstance(error, CtrlHubError | OSError)
                    _log.warning(
                        "engines are not adapted to the queue: %s", what, exc_info=None if known else error
                    )
                self.trouble = what
                if self._is_over():
                    return
            self._over.wait(self._interval)

    def _is_over(self) -> bool:
        """Say whether there is no cluster any more; one that is attached to may come back."""
        try:
            return self._sets.client().closed
        except CtrlHubError:
            return False

    def _may_order(self) -> bool:
        """Say whether to order engines now: where their jobs fail ever later, and not for ever."""
        now, failing = time.monotonic(), self._failing
        for part, state in self._sets.failed(self.engine_set):
            what = StartFailed(f"{part.described()} has failed: {state.reason or 'no reason is known'}", state.log)
            failing.failed(part.spec.cookie, time.time() - part.spec.created, f"{what}", now)
            if f"{what}" not in self.trouble:
                _log.warning("engines are not adapted to the queue: %s", failing.why)
        return failing.may_order(now)

    def _turn(self) -> None:
        sets = self._sets
        counts = sets.client().interface("tasks").counts()
        engines = sets.engines()
        load = Load(
            queued=counts["queued"],
            running=counts["running"],
            ended=counts["done"] + counts["failed"],
            engines=len(engines),
            busy=sum(bool(each.get("running") or each.get("queued")) for each in engines),
            coming=sets.coming(self.engine_set),
        )
        self.wanted = self._scaling.wanted(load, time.monotonic())
        more = self.wanted - load.engines - load.coming
        if self._over.is_set():
            return
        if more <= 0 and not load.coming:
            self._failing.enough()
        if more > 0:
            if not self._may_order():
                return
            _log.info("%d engines more, for %d tasks", more, load.queued + load.running)
            mine = len(sets.engines(self.engine_set)) + load.coming
            sets.grow(self.engine_set, more)
            sets.note_wanted(self.engine_set, mine + more)
        elif more < 0:
            mine = len(sets.engines(self.engine_set)) + load.coming
            if fewer := min(mine, -more):
                _log.info("%d engines fewer, for %d tasks", fewer, load.queued + load.running)
                sets.shrink(self.engine_set, fewer, block=False, timeout=None)
                sets.note_wanted(self.engine_set, mine - fewer)

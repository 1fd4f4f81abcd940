"""How many engines a queue of tasks is worth. No I/O, no clock: time is an argument, in seconds.

Theory of operation
-------------------
What waits and runs is so many tasks, of so many seconds each as far as tasks have ended: together they
are worth as many engines as are needed to have them done within a target duration, and no more than
there are tasks. While none has ended it is not known how long they take, and each is worth an engine.

More engines are wanted at once. Fewer are wanted when for a while there was no moment that was worth
more: a queue that runs dry for a breath, or comes in bursts, costs no engines that are needed again.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

HALF_LIFE = 30.0
"""After so many seconds what was learnt of the length of tasks counts half."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """Between what, and how fast, a number of engines follows the queue.

    Parameters
    ----------
    minimum, maximum
        The fewest and the most engines.
    target_duration
        Seconds within which what waits is to be done.
    idle
        Seconds for which engines must have been too many before they go.
    """

    minimum: int = 0
    maximum: int = 1
    target_duration: float = 5.0
    idle: float = 10.0

    def __post_init__(self) -> None:
        for name in ("minimum", "maximum"):
            if type(getattr(self, name)) is not int:
                raise TypeError(f"{name} is a number of engines, not {getattr(self, name)!r}")
        if not 0 <= self.minimum <= self.maximum or self.maximum < 1:
            raise ValueError(
                f"engines adapt between 0 <= minimum <= maximum, at least 1, not "
                f"{self.minimum} and {self.maximum}"
            )
        if not (0 < self.target_duration < math.inf and 0 <= self.idle < math.inf):
            raise ValueError("target_duration and idle are seconds, the former more than 0")

    def clamp(self, count: int) -> int:
        """Return the number that is allowed and nearest."""
        return min(self.maximum, max(self.minimum, count))


@dataclass(frozen=True, slots=True)
class Load:
    """What there is to do, and who does it.

    Parameters
    ----------
    queued, running
        Tasks that wait, and that engines have begun or have next.
    ended
        Tasks that have ended, ever.
    engines, busy
        The engines that are there, and those of them that have anything to do.
    coming
        Engines that were ordered and are not there yet.
    """

    queued: int
    running: int
    ended: int
    engines: int
    busy: int
    coming: int = 0


@dataclass(slots=True)
class Scaling:
    """Follows the load.

    Parameters
    ----------
    bounds
        Between what.
    """

    bounds: Bounds
    _worked: float = field(default=0.0, init=False)
    _ended: float = field(default=0.0, init=False)
    _last: tuple[float, Load] | None = field(default=None, init=False)
    _needs: deque[tuple[float, int]] = field(default_factory=deque, init=False)

    @property
    def task_seconds(self) -> float | None:
        """How long a task takes, as far as it is known."""
        return self._worked / self._ended if self._ended > 0 else None

    def wanted(self, load: Load, now: float) -> int:
        """Take note of a load, and return how many engines there should be, those on the way included."""
        self._learn(load, now)
        need = self.bounds.clamp(self._need(load))
        highest = self._highest(need, now)
        have = load.engines + load.coming
        if need >= have:
            return need
        return self.bounds.clamp(min(have, highest))

    def _learn(self, load: Load, now: float) -> None:
        if self._last is not None:
            then, before = self._last
            passed = max(0.0, now - then)
            kept = 0.5 ** (passed / HALF_LIFE)
            self._worked = self._worked * kept + before.busy * passed
            self._ended = self._ended * kept + max(0, load.ended - before.ended)
        self._last = now, load

    def _need(self, load: Load) -> int:
        tasks = load.queued + load.running
        if tasks == 0:
            return load.busy  # with something else than tasks
        each = self.task_seconds
        if each is None:
            return max(tasks, load.busy)
        in_time = math.ceil(min(tasks * each / self.bounds.target_duration, float(tasks)))
        return max(1, in_time, min(load.busy, tasks))

    def _highest(self, need: int, now: float) -> int:
        """Return the most that was needed lately; without a whole `idle` of knowledge, any number."""
        needs = self._needs
        needs.append((now, need))
        # The one that reaches into the window from before it counts for its beginning.
        while len(needs) > 1 and needs[1][0] <= now - self.bounds.idle:
            needs.popleft()
        known = now - needs[0][0] >= self.bounds.idle
        return max(need for _, need in needs) if known else self.bounds.maximum


def least_busy(engines: Iterable[Mapping[str, Any]], count: int) -> list[int]:
    """Choose the engines that lose least if they go: who has little to do, of these the latest ids."""
    ranked = sorted(
        engines, key=lambda each: (each.get("running", 0) + each.get("queued", 0), -each["id"])
    )
    return sorted(each["id"] for each in ranked[: max(0, count)])

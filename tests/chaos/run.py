"""Carrying out a plan: the only loop of the chaos suite."""

from __future__ import annotations

import heapq
import time
from bisect import bisect_right
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.chaos.faults import FAULTS
from tests.chaos.plan import Kind, Plan
from tests.chaos.site import NODES, Site, Size
from tests.chaos.verdict import Struck, Verdict, judge
from tests.support.nodes import Nodes, can_have_nodes

LOOK = 0.005
"""Seconds between two looks."""

SETTLING = 120.0
"""Seconds after the last fault within which everything has ended, or never will."""


class Chaos:
    """A plan that is carried out on a site.

    Parameters
    ----------
    plan
        What happens.
    site
        To whom.
    """

    def __init__(self, plan: Plan, site: Site) -> None:
        self._site = site
        self._began = time.monotonic()
        self._end = self._began + plan.seconds
        self._due = deque(plan.strikes)
        self._undo: list[tuple[float, int, Struck]] = []
        self.struck: list[Struck] = []
        self.spared: list[Kind] = []
        """Faults that found nobody before the end."""

    def run(self) -> bool:
        """Carry it out; say whether everything ended afterwards."""
        while time.monotonic() < self._end + SETTLING:
            self._turn(time.monotonic())
            if self._site.is_over and not self._undo and time.monotonic() >= self._end:
                return True
            time.sleep(LOOK)
        return False

    def _turn(self, now: float) -> None:
        self._site.look()
        while self._undo and self._undo[0][0] <= now:
            struck = heapq.heappop(self._undo)[2]
            FAULTS[struck.kind].undo(self._site, struck)
            struck.until = time.monotonic()
        waiting = []
        while self._due and self._began + self._due[0].at <= now:
            strike = self._due.popleft()
            struck_now = FAULTS[strike.kind].strike(self._site, strike)
            if struck_now is None:
                if now >= self._end:
                    self.spared.append(strike.kind)
                else:
                    waiting.append(strike)  # there is nobody yet
                continue
            self.struck.append(struck_now)
            if strike.lasts:
                due = time.monotonic() + strike.lasts
                heapq.heappush(self._undo, (due, len(self.struck), struck_now))
        self._due.extendleft(reversed(waiting))

    def verdict(self) -> Verdict:
        """Return what the records say."""
        starts = sorted(self._site.hub_starts)
        for struck in self.struck:
            k = bisect_right(starts, (struck.at, 0))
            if struck.kind is Kind.KILL_HUB and k < len(starts):
                struck.again = starts[k][0]
        return judge(self._site.records(), self._site.runs(), self.struck)


@contextmanager
def _network() -> Iterator[Nodes | None]:
    if not can_have_nodes():
        yield None
        return
    with Nodes(NODES) as nodes:
        yield nodes


def run(plan: Plan, size: Size, directory: Path) -> tuple[Chaos, Verdict, bool]:
    """Carry out a plan on a site of its own; say what came of it, and whether everything ended."""
    with _network() as nodes:
        site = Site(directory, size, plan.seed, plan.seconds, nodes)
        try:
            chaos = Chaos(plan, site)
            settled = chaos.run()
            return chaos, chaos.verdict(), settled
        finally:
            site.close()

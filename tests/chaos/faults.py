"""The faults: what is done to a site, and undone."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Protocol, TypeVar

from tests.chaos.plan import Kind, Strike
from tests.chaos.site import DESK, FAR, HUB, Site
from tests.chaos.verdict import Struck

T = TypeVar("T")


class Fault(Protocol):
    """Something that can be done to a site."""

    def strike(self, site: Site, strike: Strike) -> Struck | None:
        """Do it; None when there is nobody to strike yet."""

    def undo(self, site: Site, struck: Struck) -> None:
        """Let what was struck go on."""


def _chosen(strike: Strike, those: Sequence[T]) -> T:
    return those[min(int(strike.pick * len(those)), len(those) - 1)]


@dataclass(frozen=True, slots=True)
class Kill:
    """SIGKILL to one of some processes."""

    those: Callable[[Site], Sequence[int]]

    def strike(self, site: Site, strike: Strike) -> Struck | None:
        """Kill one."""
        return _signal(site, strike, self.those, signal.SIGKILL)

    def undo(self, site: Site, struck: Struck) -> None:
        """Whoever looks after it starts another."""


@dataclass(frozen=True, slots=True)
class Stop:
    """SIGSTOP to one of some processes, and SIGCONT."""

    those: Callable[[Site], Sequence[int]]

    def strike(self, site: Site, strike: Strike) -> Struck | None:
        """Stop one."""
        return _signal(site, strike, self.those, signal.SIGSTOP)

    def undo(self, site: Site, struck: Struck) -> None:
        """Let it go on, unless it was killed meanwhile."""
        with suppress(ProcessLookupError):
            os.kill(struck.pid, signal.SIGCONT)


class Cut:
    """A node's plug is pulled."""

    def __init__(self) -> None:
        self._nodes: dict[int, str] = {}

    def strike(self, site: Site, strike: Strike) -> Struck | None:
        """Pull one that is in."""
        free = [node for node in (HUB, FAR, DESK) if node not in self._nodes.values()]
        if site.nodes is None or not free:
            return None
        struck = Struck(strike.kind, time.monotonic())
        self._nodes[id(struck)] = _chosen(strike, free)
        site.nodes.cut(self._nodes[id(struck)])
        return struck

    def undo(self, site: Site, struck: Struck) -> None:
        """Put it back."""
        assert site.nodes is not None
        site.nodes.heal(self._nodes.pop(id(struck)))


class Restart:
    """A client has an engine restarted."""

    def strike(self, site: Site, strike: Strike) -> Struck | None:
        """Ask for it."""
        site.restart_engine(strike.pick)
        return Struck(strike.kind, time.monotonic())

    def undo(self, site: Site, struck: Struck) -> None:
        """The nanny does."""


def _signal(
    site: Site, strike: Strike, those: Callable[[Site], Sequence[int]], number: signal.Signals
) -> Struck | None:
    found = those(site)
    if not found:
        return None
    pid = _chosen(strike, found)
    struck = Struck(strike.kind, time.monotonic(), pid)
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return None
    return struck


FAULTS: Mapping[Kind, Fault] = {
    Kind.KILL_HUB: Kill(Site.hubs),
    Kind.STOP_HUB: Stop(Site.hubs),
    Kind.KILL_ENGINE: Kill(Site.engines),
    Kind.STOP_ENGINE: Stop(Site.engines),
    Kind.RESTART_ENGINE: Restart(),
    Kind.KILL_NANNY: Kill(Site.nannies),
    Kind.STOP_NANNY: Stop(Site.nannies),
    Kind.KILL_CLIENT: Kill(Site.clients),
    Kind.STOP_CLIENT: Stop(Site.clients),
    Kind.CUT: Cut(),
}

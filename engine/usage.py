"""What an engine's process uses of its host, with the processes that it has started.

On Linux anybody may look, so the nanny does, also while user code lets nothing else run; elsewhere each
engine asks for itself how long it has worked. Nothing here needs a library.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from mmap import PAGESIZE
from pathlib import Path

from ctrlhub.wire.messages import UsageRow

PERIOD = 1.9
"""How often (seconds) it is told, at most: with every second beat."""

MOST_PROCESSES = 64
"""So many child processes of an engine are looked at; those that they have started are among them."""

UNKNOWN = -1

PROC = Path("/proc")

Measure = Callable[[int], tuple[float, int] | None]
"""Return how long (seconds) a process and its children have worked, and what memory (bytes) they have."""


def can_look(proc: Path = PROC) -> bool:
    """Tell whether this system says of each process what it uses."""
    return sys.platform == "linux" and (proc / "self" / "stat").exists()


def usage_of(pid: int, proc: Path = PROC) -> tuple[float, int] | None:
    """Look at a process and its children; None if it is not there any more."""
    found = [_read(pid, proc), *(_read(child, proc) for child in _children(pid, proc))]
    if found[0] is None:
        return None
    there = [each for each in found if each is not None]
    return sum(worked for worked, _ in there) / _ticks(), sum(pages for _, pages in there) * PAGESIZE


def _ticks() -> int:
    """Return how many ticks the kernel counts in a second."""
    ask = getattr(os, "sysconf", None)  # which is nowhere that has no /proc
    return 100 if ask is None else int(ask("SC_CLK_TCK"))


def _read(pid: int, proc: Path) -> tuple[int, int] | None:
    """Return the ticks that a process and what it has waited for have worked, and its pages."""
    try:
        stat = (proc / str(pid) / "stat").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return None
    # The command's name stands in brackets and may itself contain some.
    fields = stat.rpartition(b")")[2].split()
    return sum(map(int, fields[11:15])), int(fields[21])


def _children(pid: int, proc: Path) -> Iterator[int]:
    """Yield the processes that the main threads of a process and its children have started, so many."""
    left, seen = [pid], 0
    while left:
        each = left.pop()
        with suppress(FileNotFoundError, ProcessLookupError):
            children = (proc / str(each) / "task" / str(each) / "children").read_bytes().split()
            for child in map(int, children[: MOST_PROCESSES - seen]):
                seen += 1
                left.append(child)
                yield child


def own_usage(pid: int) -> tuple[float, int] | None:
    """Ask for oneself, where that is all one can do: how much memory there is now is not told."""
    if sys.platform == "win32":
        return time.process_time(), UNKNOWN
    import resource

    who = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    used = [resource.getrusage(each) for each in who]
    return sum(each.ru_utime + each.ru_stime for each in used), UNKNOWN


class Meter:
    """Looks at engines, now and then.

    Parameters
    ----------
    engines
        Returns the keys and processes of the engines that are to be looked at.
    measure
        Looks at one.
    clock
        Gives the time in seconds.
    """

    def __init__(
        self,
        engines: Callable[[], Iterable[tuple[str, int]]],
        measure: Measure | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._engines = engines
        self._measure = measure or (usage_of if can_look() else own_usage)
        self._clock = clock
        self._due = 0.0

    def rows(self) -> Sequence[UsageRow]:
        """Return what is to be told with a beat: nothing, if it was told a moment ago."""
        now = self._clock()
        if now < self._due:
            return ()
        self._due = now + PERIOD
        looked = [(key, self._measure(pid)) for key, pid in self._engines()]
        return tuple((key, *found) for key, found in looked if found is not None)

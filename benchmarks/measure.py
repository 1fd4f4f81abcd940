"""Clocks, processes, memory, and what others took of the machine (Linux)."""

from __future__ import annotations

import contextlib
import ctypes
import os
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import psutil

MB = 1e6
_TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")
_PR_SET_CHILD_SUBREAPER = 36
#: The machine is quiet while others use less than this, in cores ...
_QUIET_CORES = 0.15
#: ... over this many seconds.
_LISTEN_S = 0.7
#: Memory given back by another process shows within this many seconds of its answer.
_SETTLING_S = 0.5


# The machine and who uses it


class Foreign:
    """What other processes, and the host by stealing, took of the machine since this was made.

    All CPU time spent is compared with that of this process and its descendants. Ask while they
    live: the time of a process counts later only if its parent waited for it, and not all do.
    """

    def __init__(self) -> None:
        self._began = time.monotonic()
        self._busy = _busy_seconds()
        self._own = _own_seconds()

    def cores(self) -> float:
        """Cores used by others, on average."""
        foreign = _busy_seconds() - self._busy - (_own_seconds() - self._own)
        return max(0.0, foreign) / max(1e-9, time.monotonic() - self._began)


def _busy_seconds() -> float:
    """CPU seconds used on all cores since the start of the machine: all but idle and iowait."""
    with open("/proc/stat") as stat:
        fields = [int(f) for f in stat.readline().split()[1:9]]
    user, nice, system, _idle, _iowait, irq, softirq, steal = fields
    return (user + nice + system + irq + softirq + steal) / _TICKS_PER_SECOND


def _own_seconds() -> float:
    """CPU seconds of this process, its descendants, and those that they have waited for."""
    total = 0.0
    for process in tree([os.getpid()]):
        with contextlib.suppress(psutil.NoSuchProcess):
            times = process.cpu_times()
            total += times.user + times.system + times.children_user + times.children_system
    return total


def wait_until_quiet(patience_s: float) -> None:
    """Return once others leave the machine alone, or after ``patience_s`` seconds all the same."""
    deadline = time.monotonic() + patience_s
    while time.monotonic() < deadline:
        foreign = Foreign()
        time.sleep(_LISTEN_S)
        if foreign.cores() < _QUIET_CORES:
            return


# Processes


def adopt_orphans() -> None:
    """Become the parent of every descendant whose own parent ends, so that none escapes."""
    ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def end_descendants(spared: Iterable[int] = ()) -> int:
    """Kill and wait for every descendant of this process but those ``spared``; return how many."""
    spared = set(spared)
    ended = 0
    while left := [p for p in psutil.Process().children(recursive=True) if p.pid not in spared]:
        for process in left:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        psutil.wait_procs(left, timeout=2)
        ended += len(left)
    return ended


def tree(pids: Iterable[int]) -> list[psutil.Process]:
    """Return these processes and all their descendants, as far as they are alive."""
    found: dict[int, psutil.Process] = {}
    for pid in pids:
        with contextlib.suppress(psutil.NoSuchProcess):
            root = psutil.Process(pid)
            found |= {p.pid: p for p in (root, *root.children(recursive=True))}
    return list(found.values())


def cpu_seconds(processes: Iterable[psutil.Process]) -> float:
    """CPU seconds the processes have used so far."""
    return sum(t.user + t.system for t in (p.cpu_times() for p in processes))


class CpuMeter:
    """CPU time of some processes since the meter was made."""

    def __init__(self, processes: Iterable[psutil.Process]) -> None:
        self._processes = list(processes)
        self._start = cpu_seconds(self._processes)

    def __bool__(self) -> bool:
        return bool(self._processes)

    def seconds(self) -> float:
        """CPU seconds used meanwhile."""
        return cpu_seconds(self._processes) - self._start


# Memory


def rss_mb(processes: Iterable[psutil.Process]) -> float:
    """Resident memory; what processes share counts for each."""
    return sum(p.memory_info().rss for p in processes) / MB


def pss_mb(processes: Iterable[psutil.Process]) -> float:
    """Resident memory; what processes share counts in parts that add up to one."""
    return sum(p.memory_full_info().pss for p in processes) / MB


def settled_rss_mb(processes: Sequence[psutil.Process], seconds: float = _SETTLING_S) -> float:
    """Return the least resident memory seen within a while, in which memory is given back."""
    deadline = time.monotonic() + seconds
    least = rss_mb(processes)
    while time.monotonic() < deadline:
        time.sleep(seconds / 10)
        least = min(least, rss_mb(processes))
    return least


class PeakMeter:
    """By how much some processes' memory went up, at its highest, since the meter was made."""

    def __init__(self, processes: Iterable[psutil.Process]) -> None:
        self._pids = [p.pid for p in processes]
        for pid in self._pids:
            Path(f"/proc/{pid}/clear_refs").write_text("5")  # resets the high-water mark
        self._start = self._high_water_mb()

    def growth_mb(self) -> float:
        """Megabytes above the start."""
        return self._high_water_mb() - self._start

    def _high_water_mb(self) -> float:
        return sum(_status_kib(pid, "VmHWM") for pid in self._pids) * 1024 / MB


def _status_kib(pid: int, field: str) -> int:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(field + ":"):
            return int(line.split()[1])
    raise LookupError(f"/proc/{pid}/status has no {field}")


# Statistics


def percentile(values: Iterable[float], percent: float) -> float:
    """Return the value that ``percent`` of the values do not exceed (nearest rank)."""
    ordered = sorted(values)
    return ordered[round(percent / 100 * (len(ordered) - 1))]


@contextlib.contextmanager
def timed(into: list[float]) -> Iterator[None]:
    """Append the seconds the block took."""
    began = time.perf_counter()
    yield
    into.append(time.perf_counter() - began)

"""What the system allows this user: descriptors, processes, memory, and the cores that there are."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from ctrlhub.cli.checks.finding import Finding, ok, size, warning, wrong
from ctrlhub.link.control_groups import own_groups

BASE, EACH = 256, 8
"""So many descriptors a hub needs, and so many for each engine or client."""

SPARE_PROCESSES = 64
"""So many processes and threads beside those of engines should be allowed."""

LEAST_SHM = 64 << 20
"""What Docker gives a container; libraries that use it (not ctrl-hub) fail in strange ways then."""


def limits(engines: int, max_memory: int | None) -> Iterator[Finding]:
    """Look at the limits.

    Parameters
    ----------
    engines
        How many engines are to run here.
    max_memory
        How much memory the hub may take by its configuration; None leaves that to it.
    """
    if sys.platform == "win32":
        return
    import resource

    yield descriptors(resource.getrlimit(resource.RLIMIT_NOFILE), engines, resource.RLIM_INFINITY)
    if hasattr(resource, "RLIMIT_NPROC"):
        soft, _ = resource.getrlimit(resource.RLIMIT_NPROC)
        most = None if soft == resource.RLIM_INFINITY or os.geteuid() == 0 else soft
        yield processes(least(most, *spare_pids()), engines)
    from ctrlhub.controller.memory_bound import memory_of_host

    yield memory(memory_of_host(), available(), max_memory)
    yield shared_memory(hasattr(os, "memfd_create"))
    with suppress(OSError):
        there = os.statvfs("/dev/shm")
        yield shm(there.f_frsize * there.f_blocks)


def descriptors(limit: tuple[int, int], engines: int, infinity: int) -> Finding:
    """Judge how many files may be open: the hub raises its own limit as far as it may."""
    soft, hard = (None if each == infinity else each for each in limit)
    needed = BASE + EACH * engines
    shown = f"{soft or 'any'} open files, at most {hard or 'any'}"
    if hard is not None and hard < needed:
        return wrong(
            "open files",
            shown,
            f"{engines} engines need {needed}: raise the hard limit (`ulimit -Hn`, /etc/security/limits.conf, or "
            "LimitNOFILE= of systemd)",
        )
    return ok("open files", shown)


def least(*numbers: int | None) -> int | None:
    """Return the least of those that are given."""
    known = [number for number in numbers if number is not None]
    return min(known) if known else None


def spare_pids(root: Path = Path("/")) -> Iterator[int]:
    """Yield how many more processes each control group of this process allows."""
    for group in own_groups("pids", root):
        for directory in group.upwards():
            with suppress(OSError, ValueError):  # there is no such file, or it says "max"
                most = int((directory / "pids.max").read_text())
                yield max(0, most - int((directory / "pids.current").read_text()))


def processes(most: int | None, engines: int) -> Finding:
    """Judge how many more processes and threads there may be."""
    if most is None:
        return ok("processes", "as many as there is room for")
    needed = SPARE_PROCESSES + 4 * engines
    if most < needed:
        return warning("processes", f"{most} more", f"{engines} engines with their threads may need {needed}: raise `ulimit -u`, or pids.max of the control group")
    return ok("processes", f"{most} more")


def available() -> int | None:
    """Return how much memory is free now (bytes), where the system says so."""
    with suppress(OSError, ValueError):
        for line in Path("/proc/meminfo").read_text().splitlines():
            name, _, amount = line.partition(":")
            if name == "MemAvailable":
                return int(amount.split()[0]) << 10
    return None


def memory(most: int, free: int | None, max_memory: int | None) -> Finding:
    """Judge the memory that there is, and what the hub may take of it."""
    shown = f"{size(most)} in all" + (f", {size(free)} free" if free is not None else "")
    if max_memory is not None and max_memory > most:
        return wrong("memory", f"{shown}; the hub may take {size(max_memory)}", "set hub.max_memory (--max-memory) to less than there is")
    if free is not None and free < 256 << 20:
        return warning("memory", shown, "little is free: fewer engines, or a host with more")
    return ok("memory", shown)


def shared_memory(has_memory_files: bool) -> Finding:
    """Judge whether processes of one host can share arrays."""
    if has_memory_files:
        return ok("shared memory", "arrays are shared between the processes of a host")
    return warning("shared memory", "there are no memory files (memfd) here", "large arrays are copied between processes; Linux has them")


def shm(total: int) -> Finding:
    """Judge the file system for shared memory, which other libraries use."""
    if total <= LEAST_SHM:
        return warning("/dev/shm", size(total), "ctrl-hub does not use it, but joblib's and PyTorch's workers may: `docker run --shm-size=1g`")
    return ok("/dev/shm", size(total))

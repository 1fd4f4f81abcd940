"""The hub's memory goes back to the system once a flood of requests is over.

Of a million tasks, a few thousand small objects are left (history, counters, timers), and lie wherever
there was a gap when they came. Python's own allocator gives back a mebibyte at a time, and only where
nothing is left in it, so it would keep a third of all, or more. That of glibc gives back any page, when
it is asked to. So hubs are started with that one (`allocator`), which costs them about a microsecond
for each task, and ask it when they have little to do.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from time import process_time
from typing import Protocol

INTERVAL = 1.0
"""How often to look, in seconds."""

IDLE = 0.1
"""A process that takes less than this share of a core has time for it."""

WORTH = 8 * 1024 * 1024
"""So many bytes that may be given back are worth to be looked through."""


def allocator() -> dict[str, str]:
    """Return what has to be in the environment of a hub for it to give back its memory."""
    if "PYTHONMALLOC" in os.environ or not _has_glibc():
        return {}
    return {"PYTHONMALLOC": "malloc"}


class Memory(Protocol):
    """The memory of a process."""

    def size(self) -> int:
        """Return how much the process has of its own, in bytes."""

    def used(self) -> int:
        """Return how much of it is in use, in bytes."""

    def release(self) -> None:
        """Give back what is not."""


class Heap:
    """Gives memory back when there is much, and the process has time for it.

    Parameters
    ----------
    memory
        That of the process; None where it cannot be given back.
    settle
        Called before: lets what is in use lie together.
    worked
        Says how long the process has worked, in seconds.
    """

    def __init__(
        self,
        memory: Memory | None,
        settle: Callable[[], None],
        worked: Callable[[], float] = process_time,
    ) -> None:
        self._memory = memory
        self._settle = settle
        self._worked = worked
        self._looked = self._before = 0.0
        self._least = sys.maxsize
        self._left = 0
        self._has_holes = False

    def freed(self) -> None:
        """Take note that there is much to be given back, which does not show in how much is in use.

        ZeroMQ's queues are in use as a whole, though most of their pages were never written to.
        """
        self._has_holes = True

    def look(self, now: float) -> None:
        """Give memory back if it is time to."""
        elapsed = now - self._looked
        memory = self._memory
        if memory is None or elapsed < INTERVAL:
            return
        before, self._before = self._before, self._worked()
        self._looked = now
        size = memory.size()
        self._least = min(self._least, size)
        if size < self._least + WORTH or self._before - before >= IDLE * elapsed:
            return
        spare = size - memory.used()
        if spare >= self._left + WORTH or self._has_holes:
            self._settle()
            memory.release()
            self._has_holes = False
            spare = memory.size() - memory.used()
        self._left = spare  # which lies between what is in use


_MALLINFO = (
    "arena", "ordblks", "smblks", "hblks", "hblkhd", "usmblks", "fsmblks", "uordblks", "fordblks", "keepcost",
)  # fmt: skip


class GlibcMemory:
    """The memory of this process, where it comes from glibc."""

    def size(self) -> int:
        """Return how much the process has of its own, in bytes."""
        _, resident, shared, *_ = Path("/proc/self/statm").read_text().split()
        return (int(resident) - int(shared)) * os.sysconf("SC_PAGE_SIZE")

    def used(self) -> int:
        """Return how much of it is in use, in bytes."""
        import ctypes  # for which most hubs have no need

        class Info(ctypes.Structure):
            _fields_ = tuple((name, ctypes.c_size_t) for name in _MALLINFO)

        ask = ctypes.CDLL(None).mallinfo2
        ask.restype = Info
        info = ask()
        return int(info.uordblks + info.hblkhd)

    def release(self) -> None:
        """Give back what is not."""
        import ctypes
        import gc

        gc.collect()  # which also lets go of the tuples and numbers that Python keeps for later
        ctypes.CDLL(None).malloc_trim(0)


def memory_here() -> Memory | None:
    """Return the memory of this process, if it was started so that it can give it back."""
    return GlibcMemory() if os.environ.get("PYTHONMALLOC") == "malloc" and _has_glibc() else None


def _has_glibc() -> bool:
    """Tell whether the C library is glibc, and not so old that it cannot say what is in use."""
    if "linux-gnu" not in getattr(sys.implementation, "_multiarch", ""):
        return False
    version = os.confstr("CS_GNU_LIBC_VERSION") or ""  # such as "glibc 2.36"
    return [int(n) for n in version.rpartition(" ")[2].split(".") if n.isdigit()] >= [2, 33]

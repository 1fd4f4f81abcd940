"""Whether the hub has memory for further requests.

What waits to be run is in the hub's memory, besides the store, and may be large. The system would kill
a hub that takes too much, and the next one, which restores it all. So from some size on it takes no
requests until there is less of what it has.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import Any

from ctrlhub.controller.heap import Memory
from ctrlhub.link.control_groups import own_groups

INTERVAL = 0.5
"""How often to look, in seconds."""

SHARE = 2
"""By default a hub may take one part in so many of the memory that there is."""


class MemoryBound:
    """Tells when the memory that the hub may take is taken.

    Parameters
    ----------
    memory
        That of the process; None where nothing is known of it.
    most
        How much it may take, in bytes.

    Attributes
    ----------
    trouble : str
        Why no further request can be taken; empty where one can.
    """

    def __init__(self, memory: Memory | None, most: int) -> None:
        self.trouble = ""
        self._memory = memory
        self._most = most
        self._looked = 0.0

    def look(self, now: float) -> None:
        """See how much is taken."""
        if self._memory is None or now - self._looked < INTERVAL:
            return
        self._looked = now
        taken = self._memory.size()
        if taken > self._most:  # of which some may be waiting to be given back
            taken = min(taken, self._memory.used())
        self.trouble = "" if taken <= self._most else (
            f"the hub has {taken >> 20} MiB of requests and results in memory, and takes no more until "
            f"there are fewer (max_memory, {self._most >> 20} MiB)"
        )  # fmt: skip


def _memory() -> int:
    ask = getattr(os, "sysconf", None)
    if ask is not None:
        return int(ask("SC_PHYS_PAGES") * ask("SC_PAGE_SIZE"))
    return _memory_of_windows()


def _memory_of_windows() -> int:
    import ctypes

    class Status(ctypes.Structure):
        _fields_ = (
            ("length", ctypes.c_uint32),
            ("load", ctypes.c_uint32),
            *((name, ctypes.c_uint64) for name in ("total", "free", "swap", "swap_free", "all", "all_free", "rest")),
        )

    status = Status(length=ctypes.sizeof(Status))
    library: Any = ctypes
    library.windll.kernel32.GlobalMemoryStatusEx(ctypes.byref(status))
    return int(status.total)


def memory_of_host(root: Path = Path("/")) -> int:
    """Return how much memory this process may have at most: its host's, or its control group's."""
    found = [_memory()]
    for group in own_groups("memory", root):
        name = "memory.limit_in_bytes" if group.is_old else "memory.max"
        for directory in group.upwards():
            with suppress(OSError, ValueError):  # there is no such file, or it says "max"
                found.append(int((directory / name).read_text()))
    return min(found)

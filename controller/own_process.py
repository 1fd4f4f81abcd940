"""What the hub's own process takes: memory and time, looked at now and then."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from mmap import PAGESIZE
from pathlib import Path
from time import process_time

from ctrlhub.controller.core.telemetry import Vitals

INTERVAL = 1.0
"""How often to look, in seconds."""

STATM = Path("/proc/self/statm")


def resident(statm: Path = STATM) -> int:
    """Return how many bytes of memory this process has; 0 where that cannot be told."""
    with suppress(OSError, ValueError, IndexError):
        return int(statm.read_bytes().split()[1]) * PAGESIZE
    return 0


class OwnProcess:
    """Looks at the process, and tells its vitals.

    Parameters
    ----------
    vitals
        Whom to tell.
    memory, worked
        Say how many bytes of memory the process has, and how long (seconds) it has worked.
    """

    def __init__(
        self,
        vitals: Vitals,
        memory: Callable[[], int] = resident,
        worked: Callable[[], float] = process_time,
    ) -> None:
        self._vitals = vitals
        self._memory = memory
        self._worked = worked
        self._due = 0.0

    def look(self, now: float) -> None:
        """Look if it is time to."""
        if now >= self._due:
            self._due = now + INTERVAL
            self._vitals.rss, self._vitals.cpu = self._memory(), self._worked()

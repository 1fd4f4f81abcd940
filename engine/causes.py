"""Why a process ended, in words, as far as the system knows."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path


def describe_exit(status: int, oom: OomWatch) -> str:
    """Describe a wait status: ``killed by signal 9 (SIGKILL)``, ``exit code 3``."""
    code = os.waitstatus_to_exitcode(status)
    if code >= 0:
        return f"exit code {code}"
    try:
        name = signal.Signals(-code).name
    except ValueError:  # a real-time signal
        name = "no name"
    text = f"killed by signal {-code} ({name})"
    if -code == signal.SIGKILL and oom.has_struck():
        return f"{text}: out of memory"
    return text


def is_running(pid: int, parent: int, proc: Path = Path("/proc")) -> bool:
    """Tell whether a process runs: is there, is a child of `parent`, and is not stopped.

    Where the system does not say, a child that has not been reported dead is taken to run.
    """
    try:
        stat = (proc / str(pid) / "stat").read_text()
    except FileNotFoundError:
        return not proc.joinpath("self").exists()
    except ProcessLookupError:
        return False
    # The command's name stands in brackets and may itself contain some.
    state, found = stat.rpartition(")")[2].split()[:2]
    return int(found) == parent and state not in "TtZX"


class OomWatch:
    """Tells whether the kernel has killed a process for want of memory since it was last asked.

    It looks at the counter of the own control group if there is one, else at the system's; both
    count other processes too, so this only says why a SIGKILL came that nobody else explains.
    """

    def __init__(self, root: Path = Path("/")) -> None:
        self._counter = _counter(root)
        self._seen = self._read()

    def has_struck(self) -> bool:
        """Tell whether there was a kill since the last call."""
        before, self._seen = self._seen, self._read()
        return self._seen > before

    def _read(self) -> int:
        if self._counter is None:
            return 0
        with suppress(OSError, ValueError):
            for line in self._counter.read_text().splitlines():
                name, _, value = line.partition(" ")
                if name == "oom_kill":
                    return int(value)
        return 0


def _counter(root: Path) -> Path | None:
    for path in (*_group_files(root), root / "proc/vmstat"):
        with suppress(OSError):
            if "oom_kill " in path.read_text():
                return path
    return None


def _group_files(root: Path) -> Iterator[Path]:
    """Yield where the control group of this process may count, in both versions of such groups."""
    try:
        lines = (root / "proc/self/cgroup").read_text().splitlines()
    except OSError:
        return
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if "memory" in controllers.split(","):
            yield root / "sys/fs/cgroup/memory" / path.lstrip("/") / "memory.oom_control"
        elif not controllers:
            yield root / "sys/fs/cgroup" / path.lstrip("/") / "memory.events"

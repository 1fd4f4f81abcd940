"""Why a process ended, in words, as far as the system knows."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from ctrlhub.link.control_groups import own_groups
from ctrlhub.wire.killing import KILL

TERMINATED = 128 + signal.SIGTERM
"""The exit code of an engine that has obeyed somebody's SIGTERM."""

MOMENT = 1.0
"""How long (seconds) between two looks at the counter. A kill explains the end of an engine if it lies
back no further than the look before the last."""


def describe_exit(status: int, oom: OomWatch, asked: int = 0) -> str:
    """Describe a wait status: ``killed by signal 9 (SIGKILL)``, ``exit code 3``.

    Parameters
    ----------
    status
        The wait status.
    oom
        Tells whether memory has run out.
    asked
        The signal that somebody asked to be sent; it needs no other explanation.
    """
    code = os.waitstatus_to_exitcode(status)
    if code == TERMINATED:
        return f"ended by signal {int(signal.SIGTERM)} (SIGTERM)"
    if code >= 0:
        return f"exit code {code}"
    try:
        name = signal.Signals(-code).name
    except ValueError:  # a real-time signal
        name = "no name"
    text = f"killed by signal {-code} ({name})"
    if -code == asked:
        return f"{text}, as a client asked"
    if -code == KILL:
        return text + oom.explanation()
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
    """Tells whether the kernel has just killed a process for want of memory.

    It looks at the counter of the own control group if there is one, else at the system's. Both
    count other processes too, so that only a kill of the last moment counts, and only where a
    SIGKILL has no other explanation; the system's counter is no more than a hint.

    Attributes
    ----------
    due : float
        When to `look` again: what the counter had before that is not of the moment.
    """

    def __init__(self, root: Path = Path("/")) -> None:
        self._counter, self._is_own = _counter(root)
        self._before = self._seen = self._read()
        self.due = 0.0 if self._counter is not None else float("inf")

    def look(self, now: float) -> None:
        """Take note of the kills so far; those of the last moment may be told a little later."""
        self._before, self._seen = self._seen, self._read()
        self.due = now + MOMENT

    def explanation(self) -> str:
        """Return what a SIGKILL may be due to, as the end of a sentence; empty if memory was left."""
        before, now = self._before, self._read()
        self._before = self._seen = now
        if now <= before:
            return ""
        if self._is_own:
            return ": out of memory"
        return ", perhaps out of memory: the kernel killed a process for want of it at that moment"

    def _read(self) -> int:
        if self._counter is None:
            return 0
        with suppress(OSError, ValueError):
            for line in self._counter.read_text().splitlines():
                name, _, value = line.partition(" ")
                if name == "oom_kill":
                    return int(value)
        return 0


def _counter(root: Path) -> tuple[Path | None, bool]:
    """Return the counter to look at, and whether it is that of the own control group."""
    system = root / "proc/vmstat"
    for path in (*_group_files(root), system):
        with suppress(OSError):
            if "oom_kill " in path.read_text():
                return path, path is not system
    return None, False


def _group_files(root: Path) -> Iterator[Path]:
    """Yield where the control group of this process may count, in both versions of such groups."""
    for group in own_groups("memory", root):
        yield group.directory / ("memory.oom_control" if group.is_old else "memory.events")

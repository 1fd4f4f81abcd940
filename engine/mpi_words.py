"""What ``mpiexec`` says: whose it is, and what a job of it died of."""

from __future__ import annotations

import re
import signal
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass

VERSION_PATIENCE = 10.0
"""Seconds that mpiexec has to say which it is."""

_ON_SIGNAL = re.compile(r"process rank (\d+) with PID \d+ on node (\S+) exited on\s+signal (\d+)")
_ON_CODE = re.compile(r"Process name: \[\[\d+,\d+\],(\d+)\]\s+Exit code:\s+(\d+)")
_ABORTED = re.compile(r"MPI_ABORT was invoked on rank (\d+).*?with errorcode (-?\d+)", re.DOTALL)
_HYDRA = re.compile(r"BAD TERMINATION.*?RANK (\d+).*?EXIT CODE: (\d+)|RANK (\d+) PID \d+.*?KILLED BY SIGNAL: (\d+)", re.DOTALL)
_SLURM = re.compile(r"task (\d+): (?:Exited with exit code (\d+)|(Killed|Segmentation fault|Aborted|Terminated))")
_SLURM_SIGNALS = {
    "Killed": signal.SIGKILL, "Segmentation fault": signal.SIGSEGV, "Aborted": signal.SIGABRT, "Terminated": signal.SIGTERM,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Culprit:
    """The rank that a job died of.

    Parameters
    ----------
    rank
        Its number; -1 where nobody says.
    cause
        How it ended, in words.
    code
        Its exit code; -1 where it had none.
    """

    rank: int
    cause: str
    code: int = -1

    @property
    def story(self) -> str:
        """Which rank it was, and how it ended."""
        return self.cause if self.rank < 0 else f"rank {self.rank}: {self.cause}"


def culprit_of(text: str, code: int) -> Culprit:
    """Read what a job died of.

    Parameters
    ----------
    text
        The end of what mpiexec has written.
    code
        Its own exit code; the negative number of the signal that killed it.
    """
    if (found := _ON_SIGNAL.search(text)) is not None:
        return Culprit(int(found[1]), _by_signal(int(found[3])))
    if (found := _ABORTED.search(text)) is not None:
        return Culprit(int(found[1]), f"it called MPI_Abort with error code {found[2]}")
    if (found := _ON_CODE.search(text)) is not None:
        return _by_code(int(found[1]), int(found[2]))
    if (found := _HYDRA.search(text)) is not None:
        if found[3] is not None:
            return Culprit(int(found[3]), _by_signal(int(found[4])))
        return _by_code(int(found[1]), int(found[2]))
    if (found := _SLURM.search(text)) is not None:
        if found[2] is not None:
            return _by_code(int(found[1]), int(found[2]))
        return Culprit(int(found[1]), _by_signal(_SLURM_SIGNALS[found[3]]))
    if code < 0:
        return Culprit(-1, f"mpiexec was {_by_signal(-code)}")
    return Culprit(-1, f"mpiexec ended with exit code {code}", code)


def _by_code(rank: int, code: int) -> Culprit:
    if code > 128 and code - 128 in {int(each) for each in signal.Signals}:
        return Culprit(rank, _by_signal(code - 128), code)
    return Culprit(rank, f"exit code {code}", code)


def _by_signal(number: int) -> str:
    try:
        name = signal.Signals(number).name
    except ValueError:
        name = "no name"
    return f"killed by signal {number} ({name})"


def forwarding(command: Sequence[str], names: Sequence[str]) -> list[str]:
    """Return the arguments by which a command hands variables on to ranks on other hosts, by name.

    Open MPI has to be told; others hand on all.
    """
    if not is_open_mpi(command[0]):
        return []
    return [word for name in names if name not in command for word in ("-x", name)]


def is_open_mpi(program: str) -> bool:
    """Ask a program whether it belongs to Open MPI."""
    try:
        said = subprocess.run(
            [program, "--version"], capture_output=True, timeout=VERSION_PATIENCE, check=False,
            stdin=subprocess.DEVNULL,
        ).stdout  # fmt: skip
    except (OSError, subprocess.TimeoutExpired):
        return False
    return b"Open MPI" in said or b"OpenRTE" in said

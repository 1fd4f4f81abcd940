"""Processes of this host that are not our children: whether they live, and how to end them.

A pid alone names a process only while that lives. Together with the moment of its birth it names one
for good, so that nobody else's process is ended in the place of a dead one of ours.
"""

from __future__ import annotations

import os
import signal
import time
from dataclasses import dataclass

from ctrlhub.wire.killing import KILL
from ctrlhub.wire.liveness import pid_exists

_POLL = 0.01
_START_TIME = 19
"""Which of the fields behind the name in ``/proc/<pid>/stat`` is the start time."""


@dataclass(frozen=True, slots=True)
class KnownProcess:
    """A process, by pid and birth.

    Parameters
    ----------
    pid
        Its process id.
    birth
        When it began, in the system's own terms; "" where the system does not say.
    """

    pid: int
    birth: str

    @classmethod
    def find(cls, pid: int) -> KnownProcess:
        """Describe the process that has this pid now."""
        return cls(pid, _stat(pid)[1])

    def is_alive(self) -> bool:
        """Say whether it runs; a process that has ended and was not waited for does not."""
        state, birth = _stat(self.pid)
        return state not in ("", "Z", "X") and birth == self.birth

    def send(self, number: signal.Signals) -> None:
        """Send it a signal; harmless when it has ended."""
        if self.is_alive():
            try:
                os.kill(self.pid, number)
            except ProcessLookupError:
                return

    def wait(self, patience: float) -> bool:
        """Wait for its end, for at most `patience` seconds; say whether it came."""
        deadline = time.monotonic() + patience
        while self.is_alive():
            if time.monotonic() >= deadline:
                return False
            time.sleep(_POLL)
        return True

    def end(self, patience: float, by: signal.Signals = signal.SIGTERM) -> bool:
        """End it: by a signal, after `patience` seconds by SIGKILL; say whether it has ended."""
        self.send(by)
        if self.wait(patience):
            return True
        self.send(KILL)
        return self.wait(patience)


def _stat(pid: int) -> tuple[str, str]:
    """Give state and birth of a process: ("", "") where there is none."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            text = file.read()
    except OSError:
        if os.path.exists("/proc/self/stat"):
            return "", ""
        return ("?" if pid_exists(pid) else ""), ""
    # The name stands in parentheses and may hold anything, parentheses included.
    fields = text[text.rindex(b")") + 2 :].split()
    return fields[0].decode(), fields[_START_TIME].decode()

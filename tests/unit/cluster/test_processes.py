"""Processes that are not our children."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest

from ctrlhub.cluster.processes import KnownProcess, pid_exists


@pytest.fixture
def child() -> Iterator[subprocess.Popen[bytes]]:
    """A process that ends when its input does."""
    with subprocess.Popen(
        [sys.executable, "-c", "import sys; sys.stdin.read()"], stdin=subprocess.PIPE
    ) as process:
        yield process
        process.kill()


def test_a_running_process_is_alive(child: subprocess.Popen[bytes]) -> None:
    """The process found is the one that runs."""
    assert KnownProcess.find(child.pid).is_alive()
    assert pid_exists(child.pid)


def test_an_ended_process_is_not(child: subprocess.Popen[bytes]) -> None:
    """One that has ended is dead, even while nobody has waited for it."""
    known = KnownProcess.find(child.pid)
    child.kill()
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)

    assert not known.is_alive()


def test_another_process_with_its_pid_is_another(child: subprocess.Popen[bytes]) -> None:
    """A pid that is used again names a stranger, who gets no signal of ours."""
    former = KnownProcess(child.pid, birth="0")

    assert not former.is_alive()
    assert former.end(patience=0.0)
    assert child.poll() is None


def test_end_ends(child: subprocess.Popen[bytes]) -> None:
    """SIGTERM is enough for most."""
    child_process = KnownProcess.find(child.pid)

    child_process.send(signal.SIGTERM)

    assert child.wait() == -signal.SIGTERM
    assert child_process.end(patience=0.0)


def test_waiting_ends_with_patience(child: subprocess.Popen[bytes]) -> None:
    """A process that does not end is not waited for longer than said."""
    assert not KnownProcess.find(child.pid).wait(patience=0.0)

"""The lock of a profile among real processes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ctrlhub.wire.errors import AlreadyRunning
from ctrlhub.wire.lock import HubLock

Start = Callable[[str], "subprocess.Popen[str]"]

PRELUDE = """
import os, sys
from pathlib import Path
from ctrlhub.wire.errors import AlreadyRunning
from ctrlhub.wire.lock import HubLock
lock = HubLock(Path(sys.argv[1]))
"""

HOLD = """
lock.acquire()
print("held", flush=True)
sys.stdin.read()
"""

HOLD_AND_FORK = """
lock.acquire()
if not os.fork():
    print(os.getpid(), flush=True)
sys.stdin.read()
"""

RACE = """
print("ready", flush=True)
sys.stdin.readline()
try:
    lock.acquire()
    print("held", flush=True)
except AlreadyRunning as error:
    print(error.pid, flush=True)
sys.stdin.read()
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """The file of a lock that nobody has taken yet."""
    return tmp_path / "lock"


@pytest.fixture
def start(path: Path) -> Iterator[Start]:
    """Start a process that runs a script with ``lock``; each ends when its input does."""
    started: list[subprocess.Popen[str]] = []

    def run(script: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-c", PRELUDE + script, str(path)]
        pipe = subprocess.PIPE
        process = subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True)
        started.append(process)
        return process

    yield run
    for process in started:
        process.kill()
        with process:  # closes its pipes and waits for it
            pass


def line(process: subprocess.Popen[str]) -> str:
    """Wait for the next line that a process prints."""
    assert process.stdout is not None
    return process.stdout.readline().strip()


def test_a_running_holder_is_known_and_keeps_others_out(path: Path, start: Start) -> None:
    """Another process learns the pid, and cannot take the lock."""
    process = start(HOLD)
    assert line(process) == "held"

    assert HubLock(path).holder() == process.pid
    with pytest.raises(AlreadyRunning, match=f"pid {process.pid}"):
        HubLock(path).acquire()


def test_the_lock_of_a_killed_process_is_free(path: Path, start: Start) -> None:
    """A `kill -9` leaves the file and its pid behind, and no lock."""
    process = start(HOLD)
    assert line(process) == "held"
    process.send_signal(signal.SIGKILL)
    process.wait()

    assert HubLock(path).holder() is None
    with HubLock(path) as lock:
        assert lock.holder() == os.getpid()


def test_a_forked_child_does_not_keep_it(path: Path, start: Start) -> None:
    """The lock ends with the process that took it, though a child of it lives on."""
    process = start(HOLD_AND_FORK)
    child = int(line(process))
    process.send_signal(signal.SIGKILL)
    process.wait()

    os.kill(child, 0)  # it lives
    with HubLock(path) as lock:
        assert lock.holder() == os.getpid()
    os.kill(child, 0)


def test_one_of_many_gets_it(start: Start) -> None:
    """Of processes that start at once one holds the lock, and the others say which."""
    racers = [start(RACE) for _ in range(6)]
    assert [line(racer) for racer in racers] == ["ready"] * 6
    for racer in racers:
        assert racer.stdin is not None
        racer.stdin.write("go\n")
        racer.stdin.flush()
    said = [line(racer) for racer in racers]

    assert said.count("held") == 1
    winner = racers[said.index("held")]
    assert set(said) == {"held", str(winner.pid)}


def test_being_looked_at_keeps_nobody_out(path: Path) -> None:
    """`ctrl-hub status` in a loop is never mistaken for a hub."""
    done = threading.Event()
    failures: list[BaseException] = []

    def look() -> None:
        try:
            while not done.is_set():
                HubLock(path).holder()
        except BaseException as error:
            failures.append(error)

    lookers = [threading.Thread(target=look) for _ in range(3)]
    for looker in lookers:
        looker.start()
    try:
        for _ in range(500):
            with HubLock(path):
                pass
    finally:
        done.set()
        for looker in lookers:
            looker.join()
    assert failures == []

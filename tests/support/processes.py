"""Real processes in tests: running the command, finding what is left, waiting for conditions."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import psutil

STATE_VARIABLE = "CTRLHUB_STATE_DIR"
PATIENCE = 60.0
"""Seconds after which a condition that has not come about never will."""

T = TypeVar("T")


def until(condition: Callable[[], T], what: str, patience: float = PATIENCE) -> T:
    """Wait until a condition holds, and return what it returned; fail when it never does."""
    deadline = time.monotonic() + patience
    while not (found := condition()):
        if time.monotonic() >= deadline:
            raise AssertionError(f"not within {patience:g} s: {what}")
        time.sleep(0.01)
    return found


def is_alive(pid: int) -> bool:
    """Say whether a process runs; one that nobody waited for does not."""
    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def processes_with(state: Path) -> dict[int, str]:
    """Find the processes, others than this one, that were told to keep their state there."""
    found = {}
    for process in psutil.process_iter():
        if process.pid == os.getpid():
            continue
        try:
            if process.environ().get(STATE_VARIABLE) == str(state) and is_alive(process.pid):
                found[process.pid] = " ".join(process.cmdline())
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue
    return found


def kill_all(state: Path) -> None:
    """Kill what a failed test left running."""
    for pid in processes_with(state):
        try:
            psutil.Process(pid).kill()
        except psutil.NoSuchProcess:
            continue


@dataclass
class Command:
    """The ``ctrl-hub`` command, on a state directory of its own."""

    state: Path
    started: list[subprocess.Popen[str]] = field(default_factory=list)

    @property
    def environment(self) -> dict[str, str]:
        """What its processes find in their environment."""
        return {**os.environ, STATE_VARIABLE: str(self.state)}

    def run(self, *arguments: str, timeout: float = 60.0) -> subprocess.CompletedProcess[str]:
        """Run it, and wait for its end."""
        return subprocess.run(
            [sys.executable, "-m", "ctrlhub", *arguments],
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """Run it in the foreground; wait until it says that it is ready."""
        process = self.launch("start", *arguments)
        assert process.stdout is not None
        lines = []
        for line in process.stdout:
            lines.append(line)
            if line == "ready\n":
                return process
        raise AssertionError(f"not ready: {lines}, {process.wait()}")

    def launch(self, *arguments: str) -> subprocess.Popen[str]:
        """Run it and do not wait."""
        process = subprocess.Popen(
            [sys.executable, "-m", "ctrlhub", *arguments],
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.started.append(process)
        return process

    def status(self, *arguments: str) -> dict[str, Any]:
        """Ask for the status of a running cluster."""
        result = self.run("status", "--json", *arguments)
        assert result.returncode == 0, result.stderr
        status: dict[str, Any] = json.loads(result.stdout)
        return status

    def left(self) -> dict[int, str]:
        """Find what runs."""
        return processes_with(self.state)

    def files(self) -> set[str]:
        """Name the files of all profiles, locks, keys, ports, stores and logs left out."""
        stays = ("lock", "lock.gate", "keys.json", "listening.json")
        return {
            str(path.relative_to(self.state))
            for path in self.state.rglob("*")
            if path.is_file() and not path.name.endswith(stays) and path.parent.name not in ("logs", "store")
        }

    def close(self) -> None:
        """End what a failed test left running."""
        kill_all(self.state)
        for process in self.started:
            process.kill()
            process.communicate()

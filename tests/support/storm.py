"""Thousands of engines that come to one hub at once: crowds in processes of their own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from threading import Thread
from typing import Any, Literal

MOST = 800
"""So many engines of a crowd fit into the file descriptors that a process usually may have."""


class Storm:
    """Crowds that are ready to join a hub; as a context, they leave in the end.

    Parameters
    ----------
    connection
        The hub's connection file for engines.
    count
        How many engines.
    prefer
        How they reach the hub.
    most
        How many of them share a process.
    log
        Where what goes wrong is written.
    """

    def __init__(
        self, connection: Path, count: int, prefer: Literal["ipc", "tcp"], log: Path, most: int = MOST
    ) -> None:
        self.count = count
        sizes = [min(most, count - begun) for begun in range(0, count, most)]
        self._log = log
        with open(log, "ab") as errors:
            self._crowds = [self._launch(connection, size, prefer, errors) for size in sizes]
        self._last: dict[int, dict[str, Any]] = {}
        self._readers = [Thread(target=self._read, args=(each,)) for each in self._crowds]
        for crowd in self._crowds:
            assert crowd.stdout is not None
            assert "ready" in json.loads(crowd.stdout.readline())

    @staticmethod
    def _launch(connection: Path, size: int, prefer: str, errors: Any) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "tests.support.crowd", str(connection), str(size), prefer]
        return subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            cwd=Path(__file__).parents[2],
        )

    def _read(self, crowd: subprocess.Popen[str]) -> None:
        assert crowd.stdout is not None
        for line in crowd.stdout:
            self._last[crowd.pid] = json.loads(line)

    def __enter__(self) -> Storm:
        return self

    def __exit__(self, *exception: object) -> None:
        self.end()

    def begin(self) -> None:
        """Have all of them join, now."""
        for reader in self._readers:
            reader.start()
        for crowd in self._crowds:
            assert crowd.stdin is not None
            crowd.stdin.write("\n")
            crowd.stdin.flush()

    def total(self, what: str) -> int:
        """Return a number of `Tally`, of all crowds."""
        return sum(each[what] for each in list(self._last.values()))

    def least(self, what: str) -> int:
        """Return the smallest number of `Tally`, of all crowds."""
        return min(each[what] for each in list(self._last.values()))

    def refused(self) -> set[str]:
        """Return why some were not let in."""
        return {why for each in list(self._last.values()) for why in each["refused"]}

    @property
    def have_all_joined(self) -> bool:
        """Whether all are registered."""
        assert all(crowd.poll() is None for crowd in self._crowds), self._log.read_text()[-2000:]
        return len(self._last) == len(self._crowds) and self.total("joined") == self.count

    def end(self) -> None:
        """Have all of them say goodbye."""
        for crowd in self._crowds:
            assert crowd.stdin is not None
            crowd.stdin.close()
        for crowd in self._crowds:
            crowd.wait()
        for reader in self._readers:
            if reader.ident is not None:
                reader.join()
        for crowd in self._crowds:
            assert crowd.stdout is not None
            crowd.stdout.close()


def proportional_memory(pid: int) -> int:
    """Return the proportional set size of a process, in bytes."""
    with open(f"/proc/{pid}/smaps_rollup") as file:
        [line] = [line for line in file if line.startswith("Pss:")]
    return int(line.split()[1]) * 1024


def cpu_seconds(pid: int) -> float:
    """Return how long a process has computed."""
    with open(f"/proc/{pid}/stat") as file:
        fields = file.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / float(os.sysconf("SC_CLK_TCK"))

"""A flood of output costs nobody memory: not the engine, not the hub, not the client."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from ctrlhub import Cluster
from tests.support.hubs import hub_of
from tests.support.processes import until
from tests.support.state import own_state

WAIT = 100.0
ALLOWED = 48 * 1024 * 1024
"""How much (bytes) a process may grow; what is printed is 100 MB."""

FLOOD = """
import pathlib
for n in range(1000):
    print("x" * 100_000)
    pathlib.Path({path!r}).write_text(str(n + 1))
"""

READER = """
import ctrlhub, sys
client = ctrlhub.Client(profile=sys.argv[2])
result = client[0].execute(sys.argv[1])
print("sent", flush=True)
result.get()
print(len(result.stdout), flush=True)
"""


def resident(pid: int) -> int:
    """Return the memory (bytes) of a process."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.partition("VmRSS:")[2].split()[0]) * 1024


def growth(*pids: int) -> Callable[[], list[int]]:
    """Return what tells by how much processes have grown since now."""
    before = [resident(pid) for pid in pids]
    return lambda: [resident(pid) - size for pid, size in zip(pids, before, strict=True)]


@pytest.mark.slow
def test_a_flood_of_output_is_bounded_everywhere(tmp_path: Path) -> None:
    """100 MB in one cell: the result has what there is room for, and says so."""
    with own_state(tmp_path / "state"), Cluster(n=1) as client:
        engine: int = client[0].apply_sync(os.getpid)
        grown = growth(engine, hub_of(client), os.getpid())

        result = client[0].execute(FLOOD.format(path=str(tmp_path / "count")))
        result.get(WAIT)

        assert "more characters were printed" in result.stdout[-200:]
        assert max(grown()) < ALLOWED
        assert client[0].apply_sync(sum, [1, 2]) == 3


@pytest.mark.slow
def test_a_client_that_does_not_read_costs_nobody_memory(tmp_path: Path) -> None:
    """It is stopped while its cell prints, and finds the result when it goes on."""
    count = tmp_path / "count"
    with own_state(tmp_path / "state"), Cluster(n=1, profile="flood") as client:
        engine: int = client[0].apply_sync(os.getpid)
        reader = subprocess.Popen(
            [sys.executable, "-c", READER, FLOOD.format(path=str(count)), "flood"],
            stdout=subprocess.PIPE,
            text=True,
        )
        assert reader.stdout is not None
        assert reader.stdout.readline() == "sent\n"
        until(count.exists, "the flood has begun")
        reader.send_signal(signal.SIGSTOP)
        grown = growth(engine, hub_of(client))
        until(lambda: count.read_text() == "1000", "the flood is over", WAIT)

        assert max(grown()) < ALLOWED
        reader.send_signal(signal.SIGCONT)
        assert int(reader.stdout.readline()) > 1_000_000
        assert reader.wait(WAIT) == 0
        reader.stdout.close()

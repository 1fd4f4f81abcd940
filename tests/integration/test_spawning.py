"""A nanny whose engines are processes of their own making, as on Windows and macOS."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator

import psutil
import pytest

from ctrlhub import Client, Cluster, EngineError, RemoteError
from ctrlhub.engine.config import NannyConfig
from ctrlhub.wire.places import Profile
from tests.support.processes import is_alive, until
from tests.support.state import own_state


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Profile]:
    """A hub without engines."""
    with own_state(tmp_path_factory.mktemp("state")), Cluster(n=0, profile="spawning"):
        yield Profile.named("spawning")


@pytest.fixture(scope="module")
def nanny(hub: Profile) -> Iterator[subprocess.Popen[bytes]]:
    """A nanny of two engines, which it spawns."""
    nanny = start_nanny(hub)
    yield nanny
    assert nanny.stdin is not None
    nanny.stdin.close()
    assert nanny.wait(60) == 0


def start_nanny(hub: Profile) -> subprocess.Popen[bytes]:
    """Start one."""
    config = NannyConfig(str(hub.connection_engine), 2, str(hub.logs), spawns=True)
    nanny = subprocess.Popen([sys.executable, "-m", "ctrlhub.engine"], stdin=subprocess.PIPE)
    assert nanny.stdin is not None
    nanny.stdin.write(config.to_json().encode() + b"\n")
    nanny.stdin.flush()
    return nanny


@pytest.fixture
def client(nanny: subprocess.Popen[bytes]) -> Iterator[Client]:
    """A client, when both engines are there."""
    with Client(profile="spawning", timeout=60) as client:
        client.wait_for_engines(2, timeout=60)
        yield client


def pids(client: Client) -> list[int]:
    """Return the engines' processes."""
    return [int(pid) for pid in client[:].apply_sync(os.getpid)]


def test_they_are_engines_like_any(client: Client, nanny: subprocess.Popen[bytes]) -> None:
    """They are the nanny's own children, with programs of their own; they compute, print, and keep names."""
    for pid in pids(client):
        process = psutil.Process(pid)
        assert process.ppid() == nanny.pid
        assert "ctrlhub.engine.spawned" in process.cmdline()
    assert client.load_balanced_view().map_sync(pow, range(6), [2] * 6) == [n * n for n in range(6)]
    result = client[0].execute("import os; os.system('echo from below'); print('from above')")
    result.get()
    assert "from above" in result.stdout
    assert "from below" in result.stdout
    client[:].push({"kept": 5}, block=True)
    assert client[:].pull("kept", block=True) == [5, 5]


def test_what_runs_is_interrupted(client: Client) -> None:
    """By the hub's word, in the main thread."""
    result = client[0].execute("import time\nwhile True: time.sleep(60)")
    until(lambda: client.status()["engines"][0]["running"] == 1, "it runs")
    client.interrupt(0)
    with pytest.raises(RemoteError, match="KeyboardInterrupt"):
        result.get(60)
    assert client[0].apply_sync(int, "4") == 4


def test_one_that_is_killed_is_replaced(client: Client) -> None:
    """Its command fails with the cause, and the next one has its id."""
    before = pids(client)
    result = client[1].execute("import os, signal; os.kill(os.getpid(), signal.SIGKILL)")
    with pytest.raises(EngineError, match="SIGKILL"):
        result.get(60)
    until(lambda: client.ids == [0, 1], "another is there")
    after = pids(client)
    assert after[0] == before[0]
    assert after[1] != before[1]


def test_a_restart(client: Client) -> None:
    """On order: asked to go, and another comes in its place."""
    before = pids(client)
    client.restart(1)
    until(lambda: client.ids == [0, 1] and pids(client)[1] != before[1], "it is another")
    assert pids(client)[0] == before[0]


def test_they_end_with_their_nanny(hub: Profile, client: Client) -> None:
    """Killed, it takes its engines with it, and what they have started: their lifelines end."""
    other = start_nanny(hub)
    client.wait_for_engines(4, timeout=60)
    children = [p.pid for p in psutil.Process(other.pid).children()]
    assert len(children) == 2
    sleeper = "import subprocess; sleeper = subprocess.Popen(['sleep', '600']).pid"
    client[[2, 3]].execute(sleeper, block=True)
    sleepers = [int(pid) for pid in client[[2, 3]].pull("sleeper", block=True)]
    os.kill(other.pid, signal.SIGKILL)
    other.wait()
    assert other.stdin is not None
    other.stdin.close()
    for pid in (*children, *sleepers):
        until(lambda pid=pid: not is_alive(pid), f"process {pid} has ended")

"""Guarantee 6: peers that do not read, that say nothing, and that are many, cost the others nothing."""

from __future__ import annotations

import os
import resource
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import psutil
import pytest

from ctrlhub import Client, Cluster
from ctrlhub.wire.connection import ConnectionInfo
from ctrlhub.wire.messages import Stream
from ctrlhub.wire.places import Profile
from tests.support.bystander import Bystander
from tests.support.intruder import OPEN, READY, dial
from tests.support.processes import until
from tests.support.state import own_state

PROFILE = "slow-peers"
MB = 1024 * 1024

RESULTS, RESULT_BYTES = 150, 400_000

STOPPED = f"""
import sys
from ctrlhub import Client
from ctrlhub.cluster.local import routed
from ctrlhub.wire.connection import ConnectionInfo
from ctrlhub.wire.places import Profile

def large(number):
    import os
    return os.urandom({RESULT_BYTES})

info = ConnectionInfo.load(Profile.named("{PROFILE}").connection_client)
with Client(routed(info, sys.argv[1])) as client:
    view = client.load_balanced_view()
    results = [view.apply_async(large, number) for number in range({RESULTS})]
    results[0].get(60)
    print("begun", flush=True)
    print(sum(len(result.get(120)) for result in results), flush=True)
"""
"""A client whose results are large; it is stopped after the first."""

IDLE = 10_000


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A cluster that listens on ipc and TCP."""
    with own_state(tmp_path_factory.mktemp("state")):
        cluster = Cluster(n=2, profile=PROFILE, listen="127.0.0.1")
        with cluster:
            yield cluster


@pytest.fixture
def bystander(cluster: Cluster) -> Iterator[Bystander]:
    """A client that goes about its business, before, meanwhile and afterwards."""
    bystander = Bystander(cluster.connect_client_sync())
    try:
        bystander.goes_on()
        yield bystander
        bystander.goes_on()
    finally:
        bystander.close()


@contextmanager
def stopped(pid: int) -> Iterator[None]:
    """Stop a process meanwhile."""
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


@pytest.mark.parametrize("way", ["ipc", "tcp"])
def test_a_client_that_is_stopped(cluster: Cluster, bystander: Bystander, way: str) -> None:
    """What waits for it is held once, and delivered when it goes on; the others notice nothing."""
    hub = psutil.Process(cluster.pids["hub"])
    before = hub.memory_info().rss
    with subprocess.Popen(
        [sys.executable, "-c", STOPPED, way], stdout=subprocess.PIPE, text=True
    ) as reader:
        assert reader.stdout is not None
        assert reader.stdout.readline() == "begun\n"
        with stopped(reader.pid):
            client: Client = bystander.client
            until(lambda: client.status()["tasks"]["running"] == 0, "all of it has run")
            bystander.goes_on(5)
            assert hub.memory_info().rss < before + RESULTS * RESULT_BYTES + 64 * MB
        assert int(reader.stdout.readline()) == RESULTS * RESULT_BYTES
        assert reader.wait(60) == 0


def test_an_engine_that_is_stopped(cluster: Cluster) -> None:
    """What is given to it waits, and is bounded; others are served, the status names it, and it goes on."""
    client = cluster.client
    hub, pid = psutil.Process(cluster.pids["hub"]), client[0].apply_sync(os.getpid)
    before = hub.memory_info().rss
    with stopped(pid):
        given = [client[0].apply_async(len, bytes(MB)) for _ in range(60)]
        until(lambda: client.queue_status(0)[0]["queue"] == 60, "all of it is at the hub")
        until(lambda: client.status()["engines"][0]["state"] == "suspect", "it is said")
        assert client[1].apply_sync(int, "7") == 7
        assert client.load_balanced_view([1]).map_sync(abs, range(50)) == list(range(50))
        assert hub.memory_info().rss < before + (60 + 64) * MB
    assert [result.get(60) for result in given] == [MB] * 60


def test_ten_thousand_idle_connections(cluster: Cluster, bystander: Bystander) -> None:
    """They take descriptors, and nothing else; when they have gone, the descriptors are back."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    hub = psutil.Process(cluster.pids["hub"])
    if min(hard, hub.rlimit(psutil.RLIMIT_NOFILE)[0]) < IDLE + 3000:
        pytest.skip(f"needs {IDLE + 3000} file descriptors: raise the hard limit (ulimit -Hn)")
    address = ConnectionInfo.load(Profile.named(PROFILE).connection_client).ipc[Stream.TASK]
    descriptors = hub.num_fds()
    lines: list[socket.socket] = []
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, IDLE + 2000), hard))
    try:
        while len(lines) < IDLE:
            lines += [dial(address) for _ in range(500)]
            for line in lines[-500:]:
                line.send(OPEN)
                line.send(READY)
            let_in = descriptors + len(lines) - 100
            until(lambda let_in=let_in: hub.num_fds() >= let_in, "they are let in")  # type: ignore[misc]
        bystander.goes_on(5)
        assert cluster.client[:].apply_sync(int, "7") == [7, 7]
    finally:
        for line in lines:
            line.close()
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    until(lambda: hub.num_fds() <= descriptors + 50, "they are gone")

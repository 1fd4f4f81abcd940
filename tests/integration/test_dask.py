"""A Dask cluster on the engines."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from ctrlhub import Client, Cluster, EngineError, InvalidEngineID
from tests.support.processes import until
from tests.support.state import own_state

pytest.importorskip("distributed")

ENGINES = 2
WAIT = 60.0


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    """A client of a cluster of this module's own."""
    with own_state(tmp_path_factory.mktemp("state")), Cluster(n=ENGINES) as client:
        yield client


@pytest.fixture(autouse=True)
def ended(client: Client) -> Iterator[None]:
    """No test leaves a Dask cluster behind."""
    yield
    client.stop_dask()


def pids(client: Client) -> set[int]:
    """Return the engines' processes."""
    return set(client[:].apply_sync(os.getpid))


def test_workers_are_engines(client: Client) -> None:
    """Dask's tasks run in the engines' processes, which go on working as engines."""
    before = pids(client)
    dask = client.become_dask()
    futures = dask.map(lambda n: (n * n, os.getpid()), range(50), pure=False)
    found = dask.gather(futures)
    assert [square for square, _ in found] == [n * n for n in range(50)]
    assert {pid for _, pid in found} <= before
    assert set(dask.run(os.getpid).values()) == before
    client[:].push({"a": 6}, block=True)
    assert client[:].pull("a", block=True) == [6] * ENGINES
    assert client.load_balanced_view().map_sync(abs, range(-5, 0)) == [5, 4, 3, 2, 1]
    assert list(dask.nthreads().values()) == [1] * ENGINES


def test_only_its_own_can_connect(client: Client) -> None:
    """Connections are encrypted, and nothing listens to other hosts."""
    import distributed

    dask = client.become_dask()
    addresses = [dask.scheduler.address, *dask.scheduler_info()["workers"]]
    assert all(address.startswith("tls://127.0.0.1:") for address in addresses)
    stranger = distributed.Security.temporary()
    with pytest.raises(OSError, match=r"Timed out|failed|certificate"):
        distributed.Client(dask.scheduler.address, security=stranger, timeout=1)


def test_again_and_again(client: Client) -> None:
    """Asked again it is the same cluster; further engines join; after a stop it is another."""
    dask = client.become_dask(targets=[0], nthreads=2)
    assert list(dask.nthreads().values()) == [2]
    assert client.become_dask() is dask
    assert len(dask.nthreads()) == ENGINES
    client.stop_dask([1])
    until(lambda: len(dask.scheduler_info()["workers"]) == 1, "a worker has left")
    client.stop_dask()
    assert dask.status == "closed"
    client.stop_dask()
    other = client.become_distributed()
    assert other is not dask
    assert other.submit(pow, 2, 3).result(WAIT) == 8
    other.close()
    third = client.become_dask()
    assert third.submit(pow, 2, 3).result(WAIT) == 8
    client.stop_distributed()


def test_engines_that_come_later(client: Client) -> None:
    """They join, unless only some were asked for; restarted ones join in any case."""
    dask = client.become_dask(targets=[0])
    client.restart()
    until(lambda: len(dask.scheduler_info()["workers"]) == 1, "one has joined again", WAIT)
    assert client.become_dask() is dask
    client.restart()
    until(lambda: {*dask.run(os.getpid).values()} == pids(client), "both have joined again", WAIT)
    client.stop_dask([1])
    until(lambda: len(dask.scheduler_info()["workers"]) == 1, "one has left", WAIT)


def test_an_engine_that_dies(client: Client) -> None:
    """Its tasks run elsewhere; the one in its place joins by itself."""
    dask = client.become_dask()
    before = client[0].apply_sync(os.getpid)
    with pytest.raises(EngineError):
        client[0].apply_sync(os.kill, before, signal.SIGKILL)
    assert dask.submit(pow, 2, 3).result(WAIT) == 8
    client.wait_for_engines(ENGINES, timeout=WAIT)
    until(lambda: {*dask.run(os.getpid).values()} == pids(client), "another has joined", WAIT)
    assert len(client.become_dask().nthreads()) == ENGINES


def test_scheduler_arguments(client: Client) -> None:
    """They reach Dask's scheduler; engines that are not there are an error."""
    with pytest.raises(InvalidEngineID):
        client.become_dask(targets=[99])
    dask = client.become_dask(scheduler_args={"allowed_failures": 7})
    assert dask.cluster.scheduler.allowed_failures == 7


def test_a_nanny(client: Client) -> None:
    """Workers can be children of the engines."""
    dask = client.become_dask(targets=[0], nanny=True)
    assert dask.submit(os.getppid, pure=False).result(WAIT) not in (os.getpid(), 1)
    assert dask.submit(os.getpid, pure=False).result(WAIT) not in pids(client)


def test_without_dask(client: Client, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The error says what to install."""
    import sys

    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(ImportError, match=r"ctrl-hub\[dask\]"):
        client.become_dask()

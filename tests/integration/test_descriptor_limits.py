"""Processes whose file descriptors have run out: what can work does, what cannot says why."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from ctrlhub import Client, Cluster, LimitExceeded
from tests.support.processes import until

WAIT = 60.0
LARGE = 10_000_000


@pytest.fixture
def own(state: Path) -> Iterator[Client]:
    """A client of one engine of this test alone."""
    with Cluster(n=1) as client:
        yield client


def exhaust(size: int) -> bytes:
    """Take all descriptors, keep them, and return much."""
    import builtins
    import resource

    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (256, hard))
    kept: list[object] = []
    builtins.kept = kept  # type: ignore[attr-defined]
    try:
        while True:
            kept.append(open("/dev/null"))  # noqa: SIM115
    except OSError:
        return bytes(size)


def exhaust_and_fail() -> None:
    """Take all descriptors, and do not notice."""
    import resource

    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (256, hard))
    kept: list[object] = []
    while True:
        kept.append(open("/dev/null"))  # noqa: SIM115


def release() -> None:
    """Give them back."""
    import builtins

    builtins.kept.clear()  # type: ignore[attr-defined]


def test_an_engine_outlives_code_that_takes_all_descriptors(own: Client) -> None:
    """The request fails with Python's own error."""
    engine = own[0].apply_sync(os.getpid)
    with pytest.raises(OSError, match="Too many open files"):
        own[0].apply_sync(exhaust_and_fail)

    assert own[0].apply_sync(os.getpid) == engine


@pytest.mark.parametrize("size", [100, 100_000, LARGE])
def test_an_engine_without_descriptors_does_what_needs_none(own: Client, size: int) -> None:
    """It takes and gives data of any size, prints, fails, runs tasks; what cannot work says why."""
    engine = own[0].apply_sync(os.getpid)
    assert len(own[0].apply_async(exhaust, size).get(WAIT)) == size

    assert own[0].apply_async(len, bytes(LARGE)).get(WAIT) == LARGE
    assert own[0].apply_async(bytes, LARGE).get(WAIT) == bytes(LARGE)
    printed = own[0].apply_async(print, "hello")
    printed.get(WAIT)
    assert printed.stdout == "hello\n"
    with pytest.raises(ZeroDivisionError):
        own[0].apply_async(lambda: 1 / 0).get(WAIT)
    assert own.load_balanced_view().map(abs, range(100)).get(WAIT) == list(range(100))
    with pytest.raises(OSError, match="Too many open files"):
        own[0].apply_async(lambda: __import__("this")).get(WAIT)

    own[0].apply_async(release).get(WAIT)
    assert own[0].apply_async(lambda: __import__("wave").__name__).get(WAIT) == "wave"
    assert own[0].apply_sync(os.getpid) == engine


def test_a_client_without_descriptors_works_on(state: Path) -> None:
    """Whether what it sends and gets is small or large."""
    code = f"""
import os, resource
from ctrlhub import Client, Cluster
_, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
with Cluster(n=1) as client:
    client[0].apply_sync(abs, 1)
    resource.setrlimit(resource.RLIMIT_NOFILE, (256, hard))
    kept = []
    try:
        while True:
            kept.append(open("/dev/null"))
    except OSError:
        pass
    for size in (100, 100_000, {LARGE}):
        assert client[0].apply_async(bytes, size).get({WAIT}) == bytes(size)
        assert client[0].apply_async(len, bytes(size)).get({WAIT}) == size
    assert client.load_balanced_view().map(abs, range(100)).get({WAIT}) == list(range(100))
    kept.clear()
print("done")
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=3 * WAIT, check=False
    )

    assert done.stdout == "done\n", done.stderr


def test_a_hub_at_its_limit_refuses_peers_and_lives(state: Path) -> None:
    """Those that are here are served; once some have gone, others may come."""
    cluster = Cluster(n=1)
    with cluster as own:
        _fill_and_empty(cluster, own)


def _fill_and_empty(cluster: Cluster, own: Client) -> None:
    hub = cluster.pids["hub"]
    opened = Path(f"/proc/{hub}/fd")
    _, hard = resource.prlimit(hub, resource.RLIMIT_NOFILE)
    used = len(os.listdir(opened))
    resource.prlimit(hub, resource.RLIMIT_NOFILE, (used + 50, hard))
    others: list[Client] = []

    def connect_many() -> None:
        for _ in range(50):
            others.append(cluster.connect_client_sync())

    with pytest.raises(LimitExceeded, match="file descriptors"):
        connect_many()
    assert others

    assert own[0].apply_async(bytes, LARGE).get(WAIT) == bytes(LARGE)
    assert others[0][0].apply_async(abs, -1).get(WAIT) == 1
    for other in others:
        other.close()
    until(lambda: len(os.listdir(opened)) <= used, "connections are closed")
    with cluster.connect_client_sync() as late:
        assert late[0].apply_async(abs, -1).get(WAIT) == 1

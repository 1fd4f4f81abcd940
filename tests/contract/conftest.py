"""One behavioural suite, run on every transport.

``memory`` is hub and engines in threads of this process; ``ipc``, ``tcp`` and ``http`` are real
processes, the latter two reached over TCP with CURVE, and through the hub's gateway. What threads cannot do is skipped there and says so:
`needs_processes`.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any, Protocol

import pytest

from ctrlhub import Client, Cluster
from tests.support.http_cluster import HttpCluster
from tests.support.memory_cluster import UNHURRIED, MemoryCluster
from tests.support.processes import until
from tests.support.state import own_state
from tests.support.work import Work

ENGINES = 3


class AnyCluster(Protocol):
    """What the suite needs of a cluster."""

    def start(self) -> Client:
        """Start everything; return a client."""

    def connect_client_sync(self, **options: Any) -> Client:
        """Connect another client."""

    def stop(self) -> None:
        """End everything."""


def make_cluster(transport: str, n: int) -> AnyCluster:
    """Make a cluster whose peers talk to the hub in a certain way."""
    if transport == "memory":
        return MemoryCluster(n)
    if transport == "http":
        return HttpCluster(n, **UNHURRIED)
    if transport == "ipc":
        return Cluster(n=n, **UNHURRIED)
    return Cluster(n=n, listen="127.0.0.1", prefer="tcp", **UNHURRIED)


@pytest.fixture(scope="package", params=["memory", "ipc", "tcp", "http"])
def transport(request: pytest.FixtureRequest) -> str:
    """The way to the hub."""
    name: str = request.param
    return name


@pytest.fixture
def needs_processes(transport: str) -> None:
    """Skip where engines are threads of this process."""
    if transport == "memory":
        pytest.skip("engines are threads here, which share modules, signals and fate")


@pytest.fixture(scope="package")
def cluster(transport: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[AnyCluster]:
    """Hub and engines for the whole suite; every test leaves them idle."""
    with own_state(tmp_path_factory.mktemp("state")):
        cluster = make_cluster(transport, ENGINES)
        cluster.start()
        try:
            yield cluster
        finally:
            cluster.stop()


@pytest.fixture(scope="package")
def observer(cluster: AnyCluster) -> Iterator[Client]:
    """A client that only looks on."""
    with cluster.connect_client_sync() as client:
        yield client


@pytest.fixture
def client(cluster: AnyCluster, observer: Client) -> Iterator[Client]:
    """This test's client. When it is over nothing is queued or running, and no engine is lost."""
    with cluster.connect_client_sync() as client:
        yield client
    until(lambda: is_idle(observer), "everything that the test began has ended")
    observer[:].clear(block=True)


@pytest.fixture
def other(cluster: AnyCluster, client: Client) -> Iterator[Client]:
    """A second client."""
    with cluster.connect_client_sync() as other:
        yield other


@pytest.fixture
def work(tmp_path: Path) -> Work:
    """Calls that begin and end when the test says so."""
    return Work(tmp_path)


@pytest.fixture
def printing(cluster: AnyCluster) -> AbstractContextManager[None]:
    """Entered while engines print: keeps apart what threads would mix."""
    return cluster.routed_output() if isinstance(cluster, MemoryCluster) else nullcontext()


def is_idle(observer: Client) -> bool:
    """Say whether all engines are there, and there is nothing to do."""
    status = observer.status()
    states = [engine["state"] for engine in status["engines"]]
    tasks = status["tasks"]
    return states == ["idle"] * ENGINES and tasks["queued"] == tasks["running"] == 0

"""Real processes, each test or module with a state directory of its own, and nothing left behind."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.support.processes import Command, until
from tests.support.state import own_state

if TYPE_CHECKING:
    from ctrlhub import Client, Cluster

ENGINES = 2


@pytest.fixture
def state(tmp_path: Path) -> Iterator[Path]:
    """A state directory for this test; no process that used it may be left at its end."""
    with own_state(tmp_path / "state") as directory:
        yield directory


@pytest.fixture
def command(state: Path) -> Iterator[Command]:
    """The ``ctrl-hub`` command, on the test's own state directory."""
    command = Command(state)
    try:
        yield command
        until(lambda: not command.left(), f"nothing left, but there is {command.left()}")
    finally:
        command.close()


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A running cluster of two engines for the tests of a module, which leave it as it was."""
    from ctrlhub import Cluster

    with own_state(tmp_path_factory.mktemp("state")):
        cluster = Cluster(n=ENGINES)
        cluster.start()
        try:
            yield cluster
        finally:
            cluster.stop()


@pytest.fixture
def client(cluster: Cluster) -> Iterator[Client]:
    """A client of the module's cluster, this test's own."""
    client = cluster.connect_client_sync()
    try:
        yield client
    finally:
        client.close()

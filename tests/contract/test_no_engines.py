"""A hub without engines."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from ctrlhub import Client, NoEnginesRegistered
from tests.contract.conftest import AnyCluster, make_cluster
from tests.support.processes import until


@pytest.fixture(scope="module")
def deserted(cluster: AnyCluster, transport: str) -> Iterator[AnyCluster]:
    """A cluster without engines, beside the one of the suite."""
    deserted = make_cluster(transport, 0)
    deserted.start().close()
    yield deserted
    deserted.stop()


@pytest.fixture
def client(deserted: AnyCluster) -> Iterator[Client]:
    """A client of it."""
    with deserted.connect_client_sync() as client:
        yield client


def test_there_are_no_ids(client: Client) -> None:
    """A client is true nevertheless."""
    assert (client.ids, len(client), list(client)) == ([], 0, [])
    assert client


@pytest.mark.parametrize("index", [0, slice(None), [0]])
def test_an_index(client: Client, index: int | slice | list[int]) -> None:
    """The error says how to start engines."""
    with pytest.raises(NoEnginesRegistered, match="ctrl-hub engine -n 4"):
        client[index]


def test_a_call_on_all(client: Client) -> None:
    """A view on all can be made; the call needs engines."""
    view = client.direct_view("all")

    with pytest.raises(NoEnginesRegistered, match="ctrl-hub engine -n 4"):
        view.apply_async(int)


def test_tasks_wait(client: Client) -> None:
    """A task needs an engine some time, not now; meanwhile it can be cancelled."""
    result = client.load_balanced_view().apply_async(int, "7")

    with pytest.raises(TimeoutError):
        result.get(timeout=0.05)
    until(lambda: client.queue_status() == {"unassigned": 1}, "the hub has it")
    assert result.cancel()
    assert client.queue_status() == {"unassigned": 0}


def test_waiting_for_one(client: Client) -> None:
    """The timeout is kept."""
    with pytest.raises(TimeoutError, match="0 of 1 engines"):
        client.wait_for_engines(timeout=0.05)

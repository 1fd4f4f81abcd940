"""REST: results that are larger than what is kept: who waits has them, and what is lost is told as that."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from ctrlhub import Client, Cluster
from ctrlhub.client.async_client import AsyncClient
from ctrlhub.client.on_behalf import keep_acceptance
from ctrlhub.client.rows import Row, is_ok
from ctrlhub.gateway.api.jobs import Batch, Job
from ctrlhub.gateway.api.kept import Kept
from ctrlhub.gateway.api.submissions import Submissions
from tests.support.rest import rest_of
from tests.support.state import own_state

LARGE = 100_000
COUNT = 20


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A cluster whose hub keeps hardly a value once its client has it."""
    with own_state(tmp_path_factory.mktemp("state")), Cluster(n=1, history_bytes=LARGE // 2) as client:
        assert client.cluster is not None
        yield client.cluster


def _large(count: int) -> Batch:
    return Batch({"label": "large"}, [Job("builtins:bytes", b"[[%d],{}]" % LARGE)] * count)


def test_who_waits_has_results_that_nobody_has_room_for(cluster: Cluster) -> None:
    """Of a map, of one request of it, and of many: each waits for its rows, not for what is kept of them."""

    async def ask() -> list[list[Row | None]]:
        async with AsyncClient(client=cluster.connect_client_sync()) as client:
            keep_acceptance(client.client)
            made = Submissions(client, Kept(2 * LARGE, 1000), lambda *what: None, lambda rows: None)
            numbers = await made.tasks([_large(COUNT)])
            settled, one, several = await asyncio.gather(
                made.settled(numbers, 60), made.fetched(numbers[0], 60), made.rows(numbers[:3], 60)
            )
            client.client.close()
        return [settled, [one], several]

    for rows, count in zip(asyncio.run(ask()), (COUNT, 1, 3), strict=True):
        assert len(rows) == count
        assert all(row is not None and is_ok(row) for row in rows)


def test_a_value_that_is_lost_is_of_a_request_that_is_done(client: Client) -> None:
    """Its state and output are told, what has become of the value too; the value itself is not found."""
    rest = rest_of(client, "view")
    made = client.load_balanced_view().apply_async(_print_and_return, LARGE)
    assert len(made.get(60)) == LARGE
    name = made.msg_id
    told = rest.get(f"tasks/{name}/result?wait=60")
    assert (told["state"], told["value"], told["stdout"]) == ("done", None, "so much\n")
    assert told["error"]["type"] == "ResultLost"
    assert rest.get(f"tasks/{name}")["state"] == rest.get(f"tasks/{name}/output")["state"] == "done"
    [in_list] = rest.get(f"results?ids={name}&wait=60")["results"]
    assert in_list == told
    answer = rest.ask("GET", f"tasks/{name}/value?wait=60")
    assert (answer.status, answer.json["error"]["code"]) == (404, "result_lost")
    assert "too large" in answer.json["error"]["message"]


def _print_and_return(size: int) -> bytes:
    print("so much")
    return bytes(size)

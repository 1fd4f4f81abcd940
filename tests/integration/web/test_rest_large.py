"""REST: results that are larger than what is kept of them: they are told as that, and large ones pass in pieces."""

from __future__ import annotations

import http.client
import os
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import psutil
import pytest

from ctrlhub import Client, Cluster
from ctrlhub.gateway.api.rest import SHELF
from ctrlhub.gateway.api.shelf_file import VALUES
from ctrlhub.wire.places import Profile, state_dir
from tests.support.processes import until
from tests.support.rest import Rest, rest_of
from tests.support.state import own_state

LARGE = 100_000
MIB = 2**20
GIGANTIC = 64 * MIB


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A cluster whose hub keeps hardly a value once its client has it."""
    with own_state(tmp_path_factory.mktemp("state")), Cluster(n=1, history_bytes=LARGE // 2) as client:
        assert client.cluster is not None
        yield client.cluster


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


@pytest.fixture
def rest(client: Client) -> Rest:
    """REST, and a function on the engine that returns as much text as it is told."""
    client[:].execute("def text(n): return 'x' * n", block=True)
    return rest_of(client)


@contextmanager
def _reading(rest: Rest, path: str) -> Iterator[http.client.HTTPResponse]:
    """Begin to read an answer."""
    where = urlsplit(rest.url)
    with closing(http.client.HTTPConnection(str(where.hostname), where.port, timeout=60)) as connection:
        connection.request("GET", f"/api/v1/{path}", headers={"Authorization": f"Bearer {rest.token}"})
        with connection.getresponse() as answer:
            yield answer


def _file(client: Client, name: str) -> Path:
    profile = Profile.named(client.profile, state_dir() / "clusters")
    return profile.directory / SHELF / VALUES / f"{name}.value"


def _on_disk(client: Client, names: list[str]) -> None:
    """Wait until large results are on disk, and the hub knows it."""

    def are() -> bool:
        return all(_file(client, name).exists() for name in names) and not any(
            each.results for each in client.sessions()
        )

    until(are, "they are on disk")


def _gateway(client: Client) -> psutil.Process:
    return psutil.Process(client.status()["hub"]["http"]["pid"])


@pytest.mark.parametrize(("function", "more"), [("text", 2), ("builtins:bytes", 0)])
def test_a_gigantic_value_passes_through_a_gateway_that_does_not_hold_it(
    client: Client, rest: Rest, function: str, more: int
) -> None:
    """JSON and bytes, as soon as it is there and once it is on disk; a reader that stands still costs nothing."""
    rest.post("tasks?wait=60", {"function": "text", "args": [MIB]})
    before = _gateway(client).memory_info().rss
    [name] = rest.post("tasks", {"function": function, "args": [GIGANTIC]}, 202)["ids"]
    for _ in range(2):
        size = most = 0
        with _reading(rest, f"tasks/{name}/value?wait=60") as answer:
            assert (answer.status, answer.headers["Content-Length"]) == (200, str(GIGANTIC + more))
            while data := answer.read(4 * MIB):
                size += len(data)
                most = max(most, _gateway(client).memory_info().rss)
        assert size == GIGANTIC + more
        assert most < before + GIGANTIC // 2
    told = rest.get(f"tasks/{name}/result")
    assert (told["state"], told["value"], told["body"]["bytes"]) == ("done", None, GIGANTIC + more)


def test_a_value_that_cannot_be_read_to_its_end_is_broken_off(client: Client, rest: Rest) -> None:
    """Who reads it sees that it is not whole; what is left of it is told as what it is afterwards."""
    [name] = rest.post("tasks", {"function": "text", "args": [GIGANTIC]}, 202)["ids"]
    _on_disk(client, [name])
    with _reading(rest, f"tasks/{name}/value") as answer:
        assert answer.read(MIB) == b'"' + b"x" * (MIB - 1)
        os.truncate(_file(client, name), 2 * MIB)
        with pytest.raises(http.client.IncompleteRead):
            answer.read()
    lost = rest.ask("GET", f"tasks/{name}/value")
    assert (lost.status, lost.json["error"]["code"]) == (404, "result_lost")
    assert rest.get(f"tasks/{name}/result")["state"] == "done"


def test_an_answer_of_many_that_cannot_be_completed_is_broken_off(client: Client, rest: Rest) -> None:
    """It has no length: what is missing is its last chunk."""
    size = 12 * MIB
    ids = rest.post("tasks", {"function": "text", "map": [[size]] * 4}, 202)["ids"]
    _on_disk(client, ids)
    with _reading(rest, f"results?ids={ids[0]}..{ids[-1]}") as answer:
        assert answer.status == 200
        assert answer.headers["Content-Length"] is None
        assert answer.read(MIB).startswith(b'{"results": [')
        os.truncate(_file(client, ids[-1]), size - MIB)
        with pytest.raises(http.client.IncompleteRead):
            answer.read()
    told = rest.get(f"results?ids={ids[0]}..{ids[-1]}")["results"]
    assert [each["value"] == "x" * size for each in told] == [True, True, True, False]
    assert (told[-1]["state"], told[-1]["error"]["type"]) == ("done", "ResultLost")


def test_what_has_not_ended_says_whether_it_runs(rest: Rest) -> None:
    """Alone, and among others: one of them has the engine."""
    ids = rest.post("tasks", {"function": "time:sleep", "map": [[60], [60]]}, 202)["ids"]

    def states() -> list[str]:
        answers = [rest.ask("GET", f"tasks/{name}/result") for name in ids]
        assert [answer.status for answer in answers] == [202, 202]
        return sorted(answer.json["state"] for answer in answers)

    until(lambda: "running" in states(), "one runs")
    together = rest.ask("GET", f"results?ids={','.join(ids)}")
    assert together.status == 202
    assert {each["state"] for each in together.json["results"]} <= {"queued", "running"}
    assert rest.post("tasks/cancel", {"ids": ids})["unknown"] == []

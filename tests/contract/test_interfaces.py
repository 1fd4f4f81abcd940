"""What the hub can be asked: its interfaces by name, and the objects that they answer with."""

from __future__ import annotations

import json
import os
import platform
import threading
from typing import Any

import pytest

import ctrlhub
from ctrlhub import (
    Client,
    HubUnavailable,
    InvalidEngineID,
    InvalidRequest,
    SerializationError,
    UnknownInterface,
)
from tests.contract.conftest import ENGINES
from tests.support.processes import until
from tests.support.work import Work

WAIT = 60.0
STREAMS = {"hub", "multiengine", "task", "iopub"}


def test_the_status_object(client: Client, transport: str) -> None:
    """Exactly what the command line prints, and plain enough for JSON."""
    status = json.loads(json.dumps(client.status()))

    assert set(status) == {"profile", "hub", "engines", "tasks", "start_hooks", "store"}
    assert isinstance(status["profile"], str)
    hub = status["hub"]
    assert set(hub) == {"pid", "started", "time", "version", "ports", "http", "refused", "max_engines", "trouble"}
    assert (hub["pid"] == os.getpid()) is (transport == "memory")
    assert hub["version"] == ctrlhub.__version__
    assert (hub["http"] is not None) is (transport == "http")
    assert set(hub["ports"]) - {"bulk"} == (STREAMS if transport == "tcp" else set())
    assert isinstance(status["engines"], list)
    for number, engine in enumerate(status["engines"]):
        assert set(engine) == {
            "id", "pid", "host", "state", "running", "queued", "failed_hooks", "resources", "engine_set",
            "cpu", "rss",
        }  # fmt: skip
        assert (engine["id"], engine["host"]) == (number, platform.node())
        assert (engine["state"], engine["running"], engine["queued"]) == ("idle", 0, 0)
    assert len(status["engines"]) == ENGINES
    assert set(status["tasks"]) == {"queued", "running", "done", "failed"}


def test_the_pids_are_those_of_the_engines(client: Client) -> None:
    """In the order of their ids."""
    pids = [engine["pid"] for engine in client.status()["engines"]]

    assert client[:].apply_sync(os.getpid) == pids


def test_the_status_counts(client: Client, work: Work) -> None:
    """Tasks that wait, run, are done and have failed; engines that are busy."""
    before = client.status()["tasks"]
    view = client.load_balanced_view()
    assert view.map_sync(abs, range(5)) == list(range(5))
    with pytest.raises(ValueError, match="x"):
        view.apply_sync(int, "x")
    after = client.status()["tasks"]
    assert (after["done"] - before["done"], after["failed"] - before["failed"]) == (5, 1)

    held = client[1].apply_async(work.held())
    behind = client[1].apply_async(int)
    work.begun("held")
    until(lambda: client.status()["engines"][1]["queued"], "the second command is there")
    engine = client.status()["engines"][1]
    assert (engine["state"], engine["running"], engine["queued"]) == ("busy", 1, 1)
    status = client.queue_status(1)[1]
    assert (status["queue"], status["tasks"]) == (2, 0)
    work.release()
    assert (held.get(WAIT), behind.get(WAIT)) == ("held", 0)


def test_the_queue_status(client: Client) -> None:
    """By engine, and what waits for any."""
    status = client.queue_status()
    assert status.pop("unassigned") == 0
    assert list(status) == list(range(ENGINES))
    assert {(one["queue"], one["tasks"]) for one in status.values()} == {(0, 0)}

    done = status[2]["completed"]
    client[2].apply_sync(abs, -1)
    some = client.queue_status([2, 0])
    assert some == {2: {**status[2], "completed": done + 1}, 0: status[0], "unassigned": 0}
    with pytest.raises(InvalidEngineID):
        client.queue_status(99)


def test_interfaces_can_be_listed(client: Client) -> None:
    """With their methods."""
    known = client.interface("query").interfaces()

    assert {"multiengine", "tasks", "query"} <= set(known)
    assert {"status", "engines_now", "queue_status", "interfaces"} <= set(known["query"])
    assert {"cancel", "counts"} <= set(known["tasks"])
    assert "abort" in known["multiengine"]
    assert {"interrupt", "restart", "shutdown", "signal"} <= set(known["control"])


def test_an_interface_by_its_name(client: Client) -> None:
    """Its methods are called with arguments by name."""
    assert client.interface("tasks").counts() == client.status()["tasks"]
    assert client.interface("query").revoke(key="nobody's") is False


def test_an_unknown_interface(client: Client) -> None:
    """The error lists those there are."""
    with pytest.raises(UnknownInterface, match=r"'nothing'.*multiengine, .*query, .*tasks"):
        client.interface("nothing").method()


@pytest.mark.parametrize("method", ["nothing", "engines", "call", "outbox", "flush"])
def test_a_method_that_is_not_exposed(client: Client, method: str) -> None:
    """Whether there is none, or it is not for clients."""
    with pytest.raises(UnknownInterface, match=r"has no method.*it has: .*status"):
        getattr(client.interface("query"), method)()


def test_a_private_method(client: Client) -> None:
    """It is none, for Python's own protocols too."""
    with pytest.raises(AttributeError):
        client.interface("query")._engines()
    with pytest.raises(UnknownInterface):
        client._connection.call("query", "__init__", {})


@pytest.mark.parametrize(
    ("method", "arguments", "text"),
    [
        ("cancel", {}, "missing a required argument: 'requests'"),
        ("cancel", {"requests": [], "more": 1}, "unexpected keyword argument 'more'"),
        ("cancel", {"requests": 7}, "pairs"),
        ("cancel", {"requests": [[1]]}, "pairs"),
        ("cancel", {"requests": [[2, 1]]}, "pairs"),
        ("cancel", {"requests": [["a", "b"]]}, "pairs"),
        ("cancel", {"requests": None}, "pairs"),
        ("cancel", {"caller": 1, "requests": []}, "caller"),
    ],
)
def test_arguments_that_do_not_fit(
    client: Client, method: str, arguments: dict[str, Any], text: str
) -> None:
    """The hub says what it wanted, and serves on."""
    with pytest.raises(InvalidRequest, match=text):
        getattr(client.interface("tasks"), method)(**arguments)
    assert client[0].apply_sync(int, "7") == 7


@pytest.mark.parametrize("targets", [["0"], [0.0], "0", 0, [True]])
def test_targets_that_are_none(client: Client, targets: Any) -> None:
    """They are refused, also by the hub."""
    with pytest.raises(InvalidRequest, match="targets"):
        client.interface("control").interrupt(targets=targets)


def test_an_engine_that_is_not_there(client: Client) -> None:
    """The hub's own word for it is the same error."""
    with pytest.raises(InvalidEngineID, match="no engine 99"):
        client.interface("control").interrupt(targets=[99])


@pytest.mark.parametrize("value", [object(), {1, 2}, 1 << 70, threading.Lock()])
def test_arguments_that_are_no_plain_data(client: Client, value: Any) -> None:
    """They are refused here: the hub never unpickles."""
    with pytest.raises(SerializationError, match="plain data"):
        client.interface("tasks").cancel(requests=value)


def test_a_call_that_is_not_answered_in_time(client: Client) -> None:
    """Every question has a deadline, and the error says how to set it."""
    with pytest.raises(HubUnavailable, match="timeout"):
        client.interface("query", timeout=0).status()
    assert client.status()["profile"]

"""Calls: small methods of interfaces, over the hub stream."""

from __future__ import annotations

from typing import Any

import pytest

from ctrlhub.controller.config import HubConfig
from ctrlhub.controller.interfaces.base import exposed
from ctrlhub.wire import messages as m
from tests.support.exchange import Exchange
from tests.support.peerage import (
    CLIENT,
    ENGINE,
    HUB,
    TASK,
    a_peer,
    exchange,
    refused,
)
from tests.support.taskqueue import teach

__all__ = ["exchange"]


class TestCalls:
    """Small methods of interfaces, over the hub stream."""

    def test_unknown_names(self, exchange: Exchange) -> None:
        """Name what there is."""
        client = a_peer(exchange, "client", CLIENT)
        answer = client.call("jobs", "status")
        assert answer.code == "unknown_interface"
        assert "control, history, logs, multiengine, output, query, sessions, start_hooks, tasks" in answer.message
        answer = client.call("query", "nothing")
        assert "status" in answer.message

    @pytest.mark.parametrize(
        "method",
        ["_engines", "__init__", "__class__", "call", "engine", "register_engine", "summary",
         "engines", "outbox", "name", "", "status.__func__"],
    )  # fmt: skip
    def test_only_exposed_methods_can_be_called(self, exchange: Exchange, method: str) -> None:
        """Neither private ones, nor inherited ones, nor attributes."""
        client = a_peer(exchange, "client", CLIENT)
        for interface in ("query", "tasks", "multiengine", "control", "start_hooks"):
            assert client.call(interface, method).code == "unknown_interface"

    @pytest.mark.parametrize("arguments", [{"bad": 1}, {"caller": 1}, {"key": 1, "more": 2}])
    def test_arguments_must_fit(self, exchange: Exchange, arguments: dict[str, Any]) -> None:
        """The text says what does not."""
        client = a_peer(exchange, "client", CLIENT)
        answer = client.call("query", "revoke", **arguments)
        assert answer.code == "invalid_request"
        assert "query.revoke" in answer.message

    def test_what_a_method_raises_reaches_the_caller(
        self, exchange: Exchange, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """And nobody else."""
        monkeypatch.setattr(exchange.tasks, "summary", lambda: 1 / 0)
        client = a_peer(exchange, "client", CLIENT)
        answer = client.call("query", "status")
        assert (answer.code, "ZeroDivisionError" in answer.message) == ("internal", True)
        assert client.say(HUB, m.Beat())[0] == m.Beat()

    @pytest.mark.parametrize("value", [object(), {1: object()}, 2**70, {"a": {1, 2}}])
    def test_a_value_that_cannot_travel(
        self, exchange: Exchange, monkeypatch: pytest.MonkeyPatch, value: Any
    ) -> None:
        """Is an error of that call; an interface of one's own must not end the hub."""

        @exposed
        def odd(caller: Any) -> Any:
            return value

        monkeypatch.setattr(exchange.tasks, "odd", odd, raising=False)
        client = a_peer(exchange, "client", CLIENT)
        assert client.call("tasks", "odd").code == "internal"

    def test_status(self, exchange: Exchange) -> None:
        """The object that the command line prints."""
        client, engine = a_peer(exchange, "client", CLIENT), a_peer(exchange, "engine", ENGINE)
        client.submit(1, 2)
        status = client.call("query", "status").value
        assert set(status) == {"profile", "hub", "engines", "tasks", "start_hooks", "store"}
        assert set(status["hub"]) == {"pid", "started", "time", "version", "ports", "http", "refused", "max_engines", "trouble"}
        assert status["engines"] == (
            {"id": 0, "pid": 4711, "host": "here", "state": "busy", "running": 1, "queued": 0,
             "failed_hooks": (), "resources": {}, "engine_set": "", "cpu": None, "rss": None},
        )
        assert status["tasks"] == {"queued": 1, "running": 1, "done": 0, "failed": 0}
        assert client.call("query", "queue_status").value == {
            "0": {"queue": 0, "completed": 0, "tasks": 1}, "unassigned": 1
        }  # fmt: skip
        assert engine.registered is not None

    def test_each_task_is_counted_once(self, exchange: Exchange) -> None:
        """What an engine has ahead of time is its own, and what waits for others is nobody's."""
        client, engine = a_peer(exchange, "client", CLIENT), a_peer(exchange, "engine", ENGINE)
        teach(client, engine)
        client.submit(1, 2, 3)
        last = [client.id(3), client.id(3)]
        client.submit(4, options={"after": [[[last], True, True, False]]})
        status = client.call("query", "queue_status").value
        assert (status["0"]["tasks"], status["unassigned"]) == (3, 1)
        tasks = client.call("query", "status").value["tasks"]
        assert (tasks["queued"], tasks["running"]) == (3, 1)

    def test_interfaces_tell_their_methods(self, exchange: Exchange) -> None:
        """So a client can be made for one that it does not know."""
        value = a_peer(exchange, "client", CLIENT).call("query", "interfaces").value
        assert set(value) == set(HubConfig().interfaces)
        assert value["tasks"] == ("cancel", "counts", "explain", "withdraw")

    def test_the_hub_can_be_stopped(self, exchange: Exchange) -> None:
        """The answer still arrives."""
        client = a_peer(exchange, "client", CLIENT)
        assert client.call("query", "shutdown_hub").code == ""
        assert len(exchange.stopped) == 1

    def test_interfaces_that_are_not_exposed(self) -> None:
        """Are not there; the others work without them."""
        exchange = Exchange(HubConfig(interfaces=("query",)))
        client = a_peer(exchange, "client", CLIENT)
        assert client.call("query", "status").value["tasks"]["queued"] == 0
        assert client.call("tasks", "counts").code == "unknown_interface"
        rows = ((client.id(1), 0, b""),)
        submit = m.SubmitTasks(((b"f", 0, 0, ""),), rows, ((b"f", b""),))
        assert refused(client.say(TASK, submit)) == "unknown_interface"

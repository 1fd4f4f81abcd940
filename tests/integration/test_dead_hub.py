"""A hub that is gone or silent: everybody hears of it, nothing hangs, and nothing is lost with it."""

from __future__ import annotations

import logging
import os
import signal
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from ctrlhub import Client, Cluster, ControllerStopped, EngineError, HubUnavailable
from ctrlhub.cli.exits import Exit
from ctrlhub.cluster.local import Prefer, routed
from ctrlhub.wire.connection import ConnectionInfo
from ctrlhub.wire.places import Profile
from tests.support.processes import Command, processes_with, until
from tests.support.rest import rest_of
from tests.support.state import hub_listens
from tests.support.work import Work

WAIT = 60.0
QUICK: dict[str, Any] = {"beat": 0.1, "suspect": 0.4, "lost": 60.0}
"""Heartbeats (seconds) by which a silence is soon noticed."""


@pytest.fixture
def cluster(state: Path) -> Iterator[Cluster]:
    """A cluster of this test's own, quick to notice silence, whose hub nobody starts again."""
    cluster = Cluster(n=1, profile="mortal", **QUICK)
    cluster.start()
    yield cluster
    cluster.stop()


@pytest.fixture
def work(tmp_path: Path) -> Work:
    """Calls that begin and end when the test says so."""
    return Work(tmp_path)


def said(caplog: pytest.LogCaptureFixture, text: str) -> bool:
    """Say whether the client's log has a text."""
    return any(text in record.getMessage() for record in caplog.records)


def test_a_hub_that_is_killed(
    command: Command, work: Work, caplog: pytest.LogCaptureFixture
) -> None:
    """Under a supervisor the client says so and keeps trying; each question ends in time."""
    supervisor = command.start("-n", "1")
    hub = command.status()["hub"]["pid"]
    with Client(timeout=1.0, join_timeout=WAIT) as client:
        held = client[0].apply_async(work.held())
        work.begun("held")
        behind = client[0].apply_async(abs, -7)

        # Stopped: it starts no other.
        supervisor.send_signal(signal.SIGSTOP)
        os.kill(hub, signal.SIGKILL)

        until(lambda: said(caplog, "the hub has not answered for"), "the client says so")
        assert said(caplog, "still trying")
        for ask in (client.status, behind.cancel, partial(client.abort, behind)):
            with pytest.raises(HubUnavailable, match=r"ctrl-hub status.*ctrl-hub start"):
                ask()
        with pytest.raises(TimeoutError):
            held.get(0.1)
        assert not held.done()
        with pytest.raises(HubUnavailable, match=r"no hub .* its supervisor goes on starting one"):
            Client(timeout=0.1)
        supervisor.send_signal(signal.SIGCONT)
        work.release()
        assert held.get(WAIT) == "held"
        # Nobody knew whether the hub had heard of it; the next one may.
        assert behind.wait(WAIT)
        assert behind.cancelled() or behind.get() == 7
    assert command.run("stop").returncode == Exit.OK


@pytest.mark.parametrize(
    "options", [{}, {"profile": "named"}, {"prefer": "tcp"}], ids=["private", "named", "tcp"]
)
def test_the_hub_of_a_cluster_that_is_killed(
    state: Path, work: Work, options: dict[str, Any]
) -> None:
    """Nobody starts it again: all that is outstanding fails at once, with how it died."""
    cluster = Cluster(n=1, **options)
    with cluster as client, cluster.connect_client_sync() as other:
        held = client[0].apply_async(work.held())
        work.begun("held")
        queued = other.load_balanced_view().apply_async(int)
        hub = cluster.pids["hub"]

        os.kill(hub, signal.SIGKILL)

        for result in (held, queued):
            with pytest.raises(
                HubUnavailable, match=rf"{hub}\) was killed by SIGKILL.*start a new"
            ):
                result.get(WAIT)
        for each in (client, other):
            until(lambda each=each: each.closed, "the client is closed")  # type: ignore[misc]
            with pytest.raises(HubUnavailable, match="SIGKILL"):
                each[0].apply_async(int)
        with pytest.raises(HubUnavailable, match="SIGKILL"):
            cluster.connect_client_sync()
        assert repr(cluster).endswith("over, its hub was killed by SIGKILL>")
        until(lambda: not processes_with(state), "its engines end, too")
    assert not [path for path in state.rglob("connection-*") if path.is_file()]


def test_the_hub_of_a_cluster_without_engines(state: Path) -> None:
    """There is no nanny to look after, but a hub."""
    cluster = Cluster(n=0)
    with cluster as client:
        waiting = client.load_balanced_view().apply_async(int)
        os.kill(cluster.pids["hub"], signal.SIGKILL)
        with pytest.raises(HubUnavailable, match="SIGKILL"):
            waiting.get(WAIT)


@pytest.mark.parametrize("prefer", ["ipc", "tcp"])
def test_other_clients_of_a_clusters_hub(state: Path, work: Work, prefer: Prefer) -> None:
    """They are not told how it died, and still see that it will not come back."""
    cluster = Cluster(n=1, prefer=prefer, **QUICK)
    with cluster:
        (file,) = state.rglob("connection-client.json")
        with Client(
            routed(ConnectionInfo.load(file), prefer), timeout=1.0, join_timeout=WAIT
        ) as client:
            held = client[0].apply_async(work.held())
            work.begun("held")
            os.kill(cluster.pids["hub"], signal.SIGKILL)
            with pytest.raises(HubUnavailable, match=r"has ended.*ctrl-hub start"):
                held.get(WAIT)
            assert client.closed


def test_clients_over_http_of_a_clusters_hub(state: Path, work: Work) -> None:
    """They see it, too, where they run on its host; its gateway ends with it."""
    with Cluster(n=1, **QUICK) as other:
        gateway = rest_of(other)
        with Client(
            gateway.url, token=gateway.token, timeout=1.0, join_timeout=WAIT
        ) as client:
            held = client[0].apply_async(work.held())
            work.begun("held")
            os.kill(other.status()["hub"]["pid"], signal.SIGKILL)
            with pytest.raises(HubUnavailable, match=r"has ended.*ctrl-hub start"):
                held.get(WAIT)
            assert client.closed


def test_a_hub_that_was_alone_and_is_killed(command: Command) -> None:
    """Its file stays where it is; who waits without a deadline is told all the same."""
    hub = command.launch("hub")
    hub_listens(Profile.named(state=command.state))
    with Client(timeout=1.0, join_timeout=WAIT) as client:
        waiting = client.load_balanced_view().apply_async(int)
        client.interface("query", timeout=WAIT).status()
        hub.kill()
        hub.wait()
        with pytest.raises(HubUnavailable, match=r"has ended.*ctrl-hub start"):
            waiting.get(WAIT)
    assert command.run("stop").returncode == Exit.OK


def test_a_hub_that_is_stopped_for_a_while(
    cluster: Cluster, work: Work, caplog: pytest.LogCaptureFixture
) -> None:
    """Silence is told, and its end; what was submitted meanwhile is done after it."""
    caplog.set_level(logging.WARNING)
    hub = cluster.pids["hub"]
    with cluster.connect_client_sync() as client:
        view = client.load_balanced_view()
        held = view.apply_async(work.held())
        work.begun("held")
        os.kill(hub, signal.SIGSTOP)
        try:
            until(lambda: said(caplog, "the hub has not answered for"), "the client says so")
            meanwhile = view.map_async(abs, range(-5, 0))
            command = client[0].push({"x": 7})
            work.release()
        finally:
            os.kill(hub, signal.SIGCONT)

        assert held.get(WAIT) == "held"
        assert meanwhile.get(WAIT) == [5, 4, 3, 2, 1]
        command.get(WAIT)
        assert client[0]["x"] == 7
        until(lambda: said(caplog, "the hub answers again"), "the client says so")


def test_a_killed_hub_that_comes_back(command: Command, work: Work) -> None:
    """Its successor gets what it had: running, queued and submitted meanwhile; engines stay."""
    command.start("-n", "2")
    with Client() as client:
        client[:].push({"x": 7}, block=True)
        engines = client[:].apply_sync(os.getpid)
        view = client.load_balanced_view()
        held = [view.apply_async(work.held(f"held-{n}")) for n in range(2)]
        for n in range(2):
            work.begun(f"held-{n}")
        queued = view.map_async(lambda n: x + n, range(50))  # type: ignore[name-defined]  # noqa: F821
        commands = client[:].pull("x")

        os.kill(command.status()["hub"]["pid"], signal.SIGKILL)
        meanwhile = [view.apply_async(abs, -n) for n in range(50)]
        for n in range(2):
            work.release(f"held-{n}")

        assert [result.get(WAIT) for result in held] == ["held-0", "held-1"]
        assert commands.get(WAIT) == [7, 7]
        assert queued.get(WAIT) == [7 + n for n in range(50)]
        assert [result.get(WAIT) for result in meanwhile] == list(range(50))
        client.wait_for_engines(2, timeout=WAIT)  # news of them travels on a stream of its own
        assert client[:].apply_sync(os.getpid) == engines
        assert client.ids == [0, 1]
    assert command.run("stop").returncode == Exit.OK


def test_a_hub_that_is_shut_down(cluster: Cluster, work: Work) -> None:
    """What is out fails with the reason; the client is closed."""
    with cluster.connect_client_sync() as client:
        held = client[0].apply_async(work.held())
        work.begun("held")
        client.shutdown(hub=True)

        with pytest.raises(ControllerStopped, match="the hub was stopped"):
            held.get(WAIT)
        until(lambda: client.closed, "the client hears of it")
        with pytest.raises(ControllerStopped, match="the hub was stopped"):
            client.load_balanced_view().apply_async(int)


def test_an_engine_that_dies_takes_no_other_task_along(cluster: Cluster, work: Work) -> None:
    """The error of its task names the cause; others run on the engine that takes its place."""
    with cluster.connect_client_sync() as client:
        deadly = client.load_balanced_view(engine_retries=0)
        fatal = deadly.apply_async(os._exit, 3)
        others = client.load_balanced_view().map_async(abs, range(20))

        with pytest.raises(EngineError, match="exit code 3") as caught:
            fatal.get(WAIT)
        assert caught.value.engine_id == 0
        assert others.get(WAIT) == list(range(20))
        held = client[0].apply_async(work.held())
        work.begun("held")
        doomed = client[0].apply_async(os._exit, 4)
        behind = client[0].apply_async(int)
        until(lambda: client.queue_status(0)[0]["queue"] == 3, "both wait")
        work.release()
        assert held.get(WAIT) == "held"
        for result in (doomed, behind):
            with pytest.raises(EngineError, match="exit code 4"):
                result.get(WAIT)


def test_a_hub_that_is_killed_and_cleaned_away(cluster: Cluster, work: Work) -> None:
    """Nobody will start it again: who waits without a deadline is told, and how to go on."""
    with Client(profile="mortal", timeout=1.0, join_timeout=WAIT) as client:
        held = client[0].apply_async(work.held())
        work.begun("held")
        os.kill(cluster.pids["hub"], signal.SIGKILL)
        work.release()
        cluster.stop()

        with pytest.raises(HubUnavailable, match=r"has ended.*ctrl-hub start"):
            held.get(WAIT)
        with pytest.raises(HubUnavailable, match="has ended"):
            client[0].apply_async(int)

"""Hub, engines and client on nodes of their own, over TCP with CURVE; cables that are pulled.

All processes see the same files and have the same boot id, as containers on one host would. Still
they take TCP, because they are told to: there is no other way between real nodes.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from ctrlhub import Client, HubUnavailable
from ctrlhub.cluster.local import routed
from ctrlhub.controller.config import HubConfig
from ctrlhub.wire.connection import ConnectionInfo
from ctrlhub.wire.places import Profile
from tests.support.journal import Journal
from tests.support.nodes import Nodes, can_have_nodes
from tests.support.processes import is_alive, until
from tests.support.state import hub_listens, own_state

HUB, TWO, ONE, DESK = "hub", "two", "one", "desk"
"""The nodes: of the hub, of two engines, of one engine, of the client."""

PROFILE = "nodes"
TIMES: dict[str, Any] = {"beat": 0.3, "suspect": 1.2, "lost": 8.0}
"""Heartbeats (seconds), so that it does not take minutes to be given up."""


class Site:
    """The running programs, each on its node."""

    def __init__(self, nodes: Nodes, logs: Path) -> None:
        self.nodes = nodes
        self._logs = logs
        self._programs: list[subprocess.Popen[bytes]] = []
        self.profile = Profile.named(PROFILE)
        self.hub = self.start_hub()
        hub_listens(self.profile)
        for node, engines in ((TWO, 2), (ONE, 1)):
            self._launch(
                node, "ctrlhub", "engine", "-n", str(engines), "--prefer", "tcp",
                "--connection", str(self.profile.connection_engine),
            )  # fmt: skip

    def start_hub(self) -> subprocess.Popen[bytes]:
        """Start a hub that listens on its node's address."""
        hub = self._launch(HUB, "ctrlhub.controller")
        config = HubConfig(profile=PROFILE, listen=self.nodes.address(HUB), **TIMES)
        assert hub.stdin is not None
        hub.stdin.write(config.to_json().encode() + b"\n")
        hub.stdin.flush()
        return hub

    def _launch(self, node: str, module: str, *arguments: str) -> subprocess.Popen[bytes]:
        with open(self._logs / f"{node}.log", "ab") as log:
            command = self.nodes.command(node, sys.executable, "-m", module, *arguments)
            process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=log, stderr=log)
        self._programs.append(process)
        return process

    def connect(self, timeout: float = 10.0) -> Client:
        """Connect a client on the desk."""
        info = ConnectionInfo.load(self.profile.connection_client)
        with self.nodes.inside(DESK):
            return Client(routed(info, "tcp"), timeout=timeout, join_timeout=60.0)

    def close(self) -> None:
        """End all programs, the hub last."""
        for process in reversed(self._programs):
            assert process.stdin is not None
            process.stdin.close()
            process.terminate()
        for process in self._programs:
            process.wait(60)


@pytest.fixture(scope="module")
def nodes(require_system_part: Callable[[str, bool], None]) -> Iterator[Nodes]:
    """Four nodes on a switch."""
    require_system_part("iproute2, and root to make network namespaces", can_have_nodes())
    with Nodes([HUB, TWO, ONE, DESK]) as nodes:
        yield nodes


@pytest.fixture(scope="module")
def site(nodes: Nodes, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A hub and three engines."""
    with own_state(tmp_path_factory.mktemp("state")):
        site = Site(nodes, tmp_path_factory.mktemp("logs"))
        try:
            yield site
        finally:
            site.close()


@pytest.fixture
def client(site: Site) -> Iterator[Client]:
    """A client, when all engines are there; after the test they are the same, with what they had."""
    with site.connect() as client:
        client.wait_for_engines(3, timeout=60)
        before = pids(client)
        client[:].push({"kept": 7}, block=True)
        yield client
        until(lambda: client.ids == [0, 1, 2], "all engines are there")
        assert pids(client) == before
        assert client[:].pull("kept", block=True) == [7, 7, 7]


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    """Where tasks note that they run."""
    return Journal(tmp_path)


def pids(client: Client) -> dict[int, int]:
    """Return the processes of the engines, by id."""
    return dict(zip(client.ids, client[:].apply_sync(os.getpid), strict=True))


def on_node(nodes: Nodes, node: str, engines: dict[int, int]) -> dict[int, int]:
    """Return those of the engines that run on a node."""
    command = nodes.command(node, "cat", "/proc/self/net/fib_trie")
    own = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    found = {}
    for number, pid in engines.items():
        if Path(f"/proc/{pid}/net/fib_trie").read_text() == own:
            found[number] = pid
    return found


def states(client: Client, numbers: dict[int, int]) -> set[str]:
    """Return what the hub thinks of engines."""
    return {e["state"] for e in client.status()["engines"] if e["id"] in numbers}


def step(number: int) -> int:
    """Work for a moment."""
    import time

    time.sleep(0.02)
    return 2 * number


def test_they_are_on_nodes_of_their_own(client: Client, site: Site) -> None:
    """Every engine reaches the hub by its address, the hub sees theirs, and nobody uses a file."""
    nodes, engines = site.nodes, pids(client)
    assert len(on_node(nodes, TWO, engines)) == 2
    assert len(on_node(nodes, ONE, engines)) == 1
    for pid in engines.values():
        assert nodes.peers_of(pid) == {nodes.address(HUB)}
    addresses = {nodes.address(node) for node in (TWO, ONE, DESK)}
    assert nodes.peers_of(site.hub.pid) == addresses
    unix = psutil.Process(site.hub.pid).net_connections("unix")
    assert {each.raddr for each in unix if each.status == psutil.CONN_ESTABLISHED} <= {""}


def test_tasks_and_arrays_travel(client: Client) -> None:
    """Commands, tasks, and 5 MB there and back."""
    import numpy as np

    array = np.arange(5_000_000 // 8, dtype=float)
    assert client.load_balanced_view().map_sync(step, range(30)) == [2 * n for n in range(30)]
    client[:].push({"array": array}, block=True)
    sums = client[:].apply_sync(lambda: array.sum())
    assert sums == [array.sum()] * 3
    there_and_back = client.load_balanced_view().apply_sync(lambda a: a + 1, array)
    np.testing.assert_array_equal(there_and_back, array + 1)
    np.testing.assert_array_equal(client[0].pull("array", block=True), array)


def test_a_short_cut_is_a_delay(client: Client, site: Site, journal: Journal) -> None:
    """Engines that cannot be heard are suspect; when they can, all goes on, and nothing is run twice."""
    away = on_node(site.nodes, TWO, pids(client))
    journal.submit(client.load_balanced_view(), journal.noting(step), range(300))
    until(lambda: len({pid for _, pid in journal.runs()}) == 3, "all engines work")

    site.nodes.cut(TWO)
    try:
        until(lambda: states(client, away) == {"suspect"}, "they are suspect")
    finally:
        site.nodes.heal(TWO)

    journal.check()
    assert [journal.result(n).get() for n in range(300)] == [2 * n for n in range(300)]
    until(lambda: states(client, away) == {"idle"}, "they are back")


def test_a_long_cut_costs_no_result(
    client: Client,
    site: Site,
    journal: Journal,
    record_testsuite_property: Callable[[str, object], None],
) -> None:
    """Their tasks are run elsewhere; when they come back what they have to say is too late."""
    away = on_node(site.nodes, TWO, pids(client))
    balanced = client.load_balanced_view()
    journal.submit(balanced, journal.held(), range(3))
    held = {journal.begun(number): number for number in range(3)}
    journal.submit(balanced, journal.noting(step), range(3, 50))

    site.nodes.cut(TWO)
    try:
        began = time.monotonic()
        until(lambda: not set(away) & set(client.ids), "they are given up")
        record_testsuite_property("seconds until a silent node is lost", time.monotonic() - began)
        journal.release()
        journal.check(again=[held[pid] for pid in away.values()])
        assert {pid for number, pid in journal.runs()[3:]}.isdisjoint(away.values())
    finally:
        site.nodes.heal(TWO)

    began = time.monotonic()
    until(lambda: client.ids == [0, 1, 2], "they are back")
    record_testsuite_property("seconds until it is back", time.monotonic() - began)
    journal.check(again=[held[pid] for pid in away.values()])
    assert all(map(is_alive, away.values()))
    tasks = client.status()["tasks"]
    assert (tasks["queued"], tasks["running"], tasks["failed"]) == (0, 0, 0)


def test_a_client_that_is_cut_off_gets_its_results(
    client: Client, site: Site, journal: Journal
) -> None:
    """It is told that the hub cannot be reached; its tasks run on, and what they gave is there."""
    with site.connect(timeout=1.0) as lonely:
        journal.submit(lonely.load_balanced_view(), journal.noting(step), range(100))
        until(lambda: journal.runs(), "they run")

        site.nodes.cut(DESK)
        try:
            with pytest.raises(HubUnavailable):
                lonely.status()
            until(lambda: len(journal.runs()) == 100, "they run without it")
        finally:
            site.nodes.heal(DESK)

        journal.check()
        assert [journal.result(n).get() for n in range(100)] == [2 * n for n in range(100)]


def test_a_connection_whose_other_end_is_gone_is_closed(client: Client, site: Site) -> None:
    """Half open, as a node leaves it that is switched off: the hub does not keep it."""
    nodes = site.nodes
    with site.connect() as lonely:
        assert lonely.ids == [0, 1, 2]
        assert nodes.address(DESK) in nodes.peers_of(site.hub.pid)
        nodes.cut(DESK)
        try:
            away = nodes.address(DESK)
            until(lambda: away not in nodes.peers_of(site.hub.pid), "its connections are closed")
        finally:
            nodes.heal(DESK)
        until(lambda: lonely.status()["tasks"]["running"] == 0, "it is back")
    until(lambda: client.ids == [0, 1, 2], "so is the other one of its node")


def test_another_hub_on_the_same_node(client: Client, site: Site, journal: Journal) -> None:
    """It listens where the killed one did; engines and clients enrol with it, and all goes on."""
    journal.submit(client.load_balanced_view(), journal.noting(step), range(200))
    until(lambda: len(journal.runs()) > 20, "they run")

    site.hub.kill()
    site.hub.wait()
    site.hub = site.start_hub()

    # Execution is at least once: a result may die with the hub.
    journal.check(again=range(200))
    assert [journal.result(n).get() for n in range(200)] == [2 * n for n in range(200)]

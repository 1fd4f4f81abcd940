"""Hubs that are reached through ssh at a gateway: by clients, nannies and engines, by themselves.

The desk has no way to the hub's node: what is sent there goes into a black hole. The gateway's sshd is
all that is open to it.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest

from ctrlhub import Client
from ctrlhub.controller.config import HubConfig
from ctrlhub.wire.connection import ConnectionInfo
from ctrlhub.wire.places import Profile
from tests.support.nodes import Nodes, can_have_nodes
from tests.support.processes import is_alive, until
from tests.support.sshd import Sshd, can_have_sshd
from tests.support.state import hub_listens, own_state

HUB, GATE, DESK = "inner", "gate", "desk"
PORT = 2222
PROFILE = "gateway"
TIMES: dict[str, Any] = {"beat": 0.3, "suspect": 1.5, "lost": 5.0, "store": "memory"}


class Site:
    """A hub on its node, an sshd on the gateway, two engines on the desk."""

    def __init__(self, nodes: Nodes, place: Path, gate: Sshd) -> None:
        self.nodes, self.place, self.gate = nodes, place, gate
        self.profile = Profile.named(PROFILE)
        self._programs: list[subprocess.Popen[bytes]] = []
        self.hub = self.launch(HUB, "ctrlhub.controller")
        config = HubConfig(profile=PROFILE, listen=nodes.address(HUB), ssh=f"root@{gate.server}", **TIMES)
        assert self.hub.stdin is not None
        self.hub.stdin.write(config.to_json().encode() + b"\n")
        self.hub.stdin.flush()
        hub_listens(self.profile)
        # As on another machine, where the hub's sockets are not.
        self.for_engines = place / "connection-engine.json"
        self.carry(ConnectionInfo.load(self.profile.connection_engine)).write(self.for_engines)
        self.nanny = self.launch(
            DESK, "ctrlhub", "engine", "-n", "2", "--connection", str(self.for_engines)
        )

    @staticmethod
    def carry(info: ConnectionInfo) -> ConnectionInfo:
        """Make of a connection file what it is on another machine."""
        return replace(info, ipc={}, boot_id="another", file=None)

    def launch(self, node: str, module: str, *arguments: str) -> subprocess.Popen[bytes]:
        """Start a program on a node."""
        with open(self.place / f"{node}.log", "ab") as log:
            command = self.nodes.command(node, sys.executable, "-m", module, *arguments)
            program = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=log, stderr=log)
        self._programs.append(program)
        return program

    def connect(self, **options: Any) -> Client:
        """Connect a client on the desk."""
        info = self.carry(ConnectionInfo.load(self.profile.connection_client))
        with self.nodes.inside(DESK):
            return Client(info, timeout=60.0, **options)

    def ssh_of(self, pid: int) -> list[int]:
        """Return the processes of ssh that a process has started."""
        return [each.pid for each in psutil.Process(pid).children() if each.name() == "ssh"]

    def close(self) -> None:
        """End all programs, the hub last."""
        for program in reversed(self._programs):
            assert program.stdin is not None
            program.stdin.close()
            program.terminate()
        for program in self._programs:
            program.wait(60)


@pytest.fixture(scope="module")
def site(
    tmp_path_factory: pytest.TempPathFactory, require_system_part: Callable[[str, bool], None]
) -> Iterator[Site]:
    """The site, whose desk cannot reach the hub."""
    require_system_part("iproute2, and root to make network namespaces", can_have_nodes())
    require_system_part("openssh-server and openssh-client", can_have_sshd())
    place = tmp_path_factory.mktemp("place")
    with Nodes([HUB, GATE, DESK]) as nodes, own_state(tmp_path_factory.mktemp("state")):
        nodes.ip(DESK, "route", "add", "blackhole", nodes.address(HUB))
        gate = Sshd(place / "sshd", nodes.address(GATE), PORT, nodes.command(GATE))
        with pytest.MonkeyPatch.context() as patch, gate:
            patch.setenv("PATH", str(gate.make_client(with_key=True)), prepend=os.pathsep)
            site = Site(nodes, place, gate)
            try:
                yield site
            finally:
                site.close()


@pytest.fixture
def client(site: Site) -> Iterator[Client]:
    """A client on the desk, when both engines are there; after the test they are the same."""
    with site.connect() as client:
        client.wait_for_engines(2, timeout=60)
        before = pids(client)
        client[:].push({"kept": 7}, block=True)
        yield client
        until(lambda: client.ids == [0, 1], "all engines are there")
        assert pids(client) == before
        assert client[:].pull("kept", block=True) == [7, 7]


def pids(client: Client) -> list[int]:
    """Return the processes of the engines."""
    return [int(pid) for pid in client[:].apply_sync(os.getpid)]


def pause(number: int) -> int:
    """Work for a moment."""
    import time

    time.sleep(0.05)
    return 2 * number


def test_all_goes_through_the_gateway(site: Site, client: Client) -> None:
    """The hub sees the gateway alone, the engines a port of their own node; one ssh serves them all."""
    nodes = site.nodes
    for pid in pids(client):
        assert nodes.peers_of(pid) == {"127.0.0.1", nodes.address(GATE)}  # of the node: ssh's is among them
        assert site.ssh_of(pid) == []
    assert nodes.peers_of(site.hub.pid) == {nodes.address(GATE)}
    assert len(site.ssh_of(site.nanny.pid)) == 1
    assert client[:].apply_sync(len, bytes(3_000_000)) == [3_000_000] * 2
    assert client.load_balanced_view().map_sync(pause, range(20)) == [2 * n for n in range(20)]


def test_both_ssh_are_killed(site: Site, client: Client) -> None:
    """Others take their place; tasks under way give what they should, and engines keep what they have."""
    result = client.load_balanced_view().map_async(pause, range(60), chunksize=1)
    until(lambda: result.progress > 5, "they run")
    former = {*site.ssh_of(site.nanny.pid), *site.ssh_of(os.getpid())}
    assert len(former) == 2
    for pid in former:
        os.kill(pid, signal.SIGKILL)
    assert result.get(60) == [2 * n for n in range(60)]

    def renewed() -> bool:
        now = {*site.ssh_of(site.nanny.pid), *site.ssh_of(os.getpid())}
        return len(now) == 2 and not now & former

    until(renewed, "there are others")


def test_the_gateway_goes_down_and_comes_back(site: Site, client: Client) -> None:
    """All wait for it, and go on with what they had."""
    result = client.load_balanced_view().map_async(pause, range(60), chunksize=1)
    until(lambda: result.progress > 5, "they run")
    site.gate.kill()
    until(lambda: not site.nodes.peers_of(site.hub.pid), "the hub is alone")
    site.gate.start()
    assert result.get(90) == [2 * n for n in range(60)]


def test_ssh_ends_with_its_nanny(site: Site) -> None:
    """It is killed, and ssh ends, and so do the engines."""
    nanny = site.launch(DESK, "ctrlhub", "engine", "--connection", str(site.for_engines))
    with site.connect() as client:
        client.wait_for_engines(3, timeout=60)
        [ssh] = site.ssh_of(nanny.pid)
        [engine] = [int(pid) for pid in client[[2]].apply_sync(os.getpid)]
        nanny.kill()
        nanny.wait()
        until(lambda: not is_alive(ssh), "ssh has ended")
        until(lambda: not is_alive(engine), "the engine has ended")
        until(lambda: client.ids == [0, 1], "the hub knows")


def test_no_way_in(site: Site, tmp_path: Path) -> None:
    """Who cannot log in says why, and ends; nothing is left."""
    file = tmp_path / "connection-engine.json"
    info = ConnectionInfo.load(site.for_engines)
    replace(info, ssh=f"{site.nodes.address(GATE)}:9", file=None).write(file)
    lost = subprocess.run(
        site.nodes.command(DESK, sys.executable, "-c", SHORT_OF_PATIENCE, str(file), str(tmp_path / "logs")),
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert lost.returncode == 77, lost.stderr  # Ending.REFUSED
    assert "Connection refused" in lost.stderr


SHORT_OF_PATIENCE = """
import os, sys
from ctrlhub.engine.config import NannyConfig
from ctrlhub.engine.nanny import run
os.mkdir(sys.argv[2], 0o700)
sys.exit(run(NannyConfig(sys.argv[1], 1, sys.argv[2], wait=3.0)))
"""

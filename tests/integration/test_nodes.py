"""Cluster nodes: hub and engines in network namespaces of their own, joined by a wire."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from ctrlhub.client.client import Client
from tests.support.processes import Command, until

ARRAY = 5_000_000
"""The bytes of an array that crosses the wire."""

IN_ANOTHER_NODE = """
import sys
from ctrlhub import Client
with Client(sys.argv[1]) as client:
    print(client.load_balanced_view().map_sync(abs, [-1, -2, -3]))
"""


def ip(*arguments: str) -> None:
    """Configure the network."""
    subprocess.run(["ip", *arguments], check=True, capture_output=True, text=True)


@dataclass(frozen=True)
class Wire:
    """Two nodes with an address each."""

    hub: str
    node: str
    hub_address: str = "10.213.0.1"
    node_address: str = "10.213.0.2"

    def inside(self, namespace: str, *command: str) -> list[str]:
        """Return a command that runs in a node."""
        return ["ip", "netns", "exec", namespace, *command]

    def cut(self) -> None:
        """Pull the plug: nothing arrives, and nobody is told."""
        ip("-n", self.node, "link", "set", "wire", "down")

    def mend(self) -> None:
        """Put it back."""
        ip("-n", self.node, "link", "set", "wire", "up")


@pytest.fixture
def wire(require_system_part: Callable[[str, bool], None]) -> Iterator[Wire]:
    """Two namespaces joined by a pair of virtual interfaces."""
    able = shutil.which("ip") is not None and hasattr(os, "geteuid") and os.geteuid() == 0
    require_system_part("network namespaces (iproute2, root)", able)
    made = Wire(f"hub{os.getpid()}", f"node{os.getpid()}")
    try:
        for name in (made.hub, made.node):
            ip("netns", "add", name)
            ip("-n", name, "link", "set", "lo", "up")
        ip(
            "-n",
            made.hub,
            "link",
            "add",
            "wire",
            "type",
            "veth",
            "peer",
            "wire",
            "netns",
            made.node,
        )
        for name, address in ((made.hub, made.hub_address), (made.node, made.node_address)):
            ip("-n", name, "address", "add", f"{address}/24", "dev", "wire")
            ip("-n", name, "link", "set", "wire", "up")
        yield made
    finally:
        for name in (made.hub, made.node):
            subprocess.run(["ip", "netns", "del", name], capture_output=True, check=False)


def carried(file: Path, to: Path) -> Path:
    """Copy a connection file as to another machine, where the hub's ipc sockets are not."""
    content = json.loads(file.read_text())
    content["boot_id"] = "another machine"
    with open(os.open(to, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as copy:
        json.dump(content, copy)
    return to


@pytest.fixture
def client(wire: Wire, command: Command, tmp_path: Path) -> Iterator[Client]:
    """A client beside the hub, with two engines on the other node."""
    ctrlhub = (sys.executable, "-P", "-m", "ctrlhub")
    environment = {**command.environment, "PYTHONPATH": os.pathsep.join(sys.path)}
    profile = command.state / "profiles" / "default"
    hub = subprocess.Popen(
        wire.inside(wire.hub, *ctrlhub, "hub", "--listen", wire.hub_address), env=environment
    )
    engines = None
    try:
        until((profile / "connection-engine.json").exists, "the hub's files")
        there = carried(profile / "connection-engine.json", tmp_path / "engine.json")
        engines = subprocess.Popen(
            wire.inside(wire.node, *ctrlhub, "engine", "-n", "2", "--connection", str(there)),
            env=environment,
        )
        with Client(profile / "connection-client.json") as client:
            client.wait_for_engines(2, timeout=30)
            yield client
    finally:
        for process in (engines, hub):
            if process is not None:
                process.terminate()
                process.wait(20)


def test_work_crosses_the_wire(
    client: Client, wire: Wire, command: Command, tmp_path: Path
) -> None:
    """Tasks, commands and arrays go from node to node, encrypted, also for a client over there."""
    np = pytest.importorskip("numpy")
    view = client.load_balanced_view()
    assert view.map_sync(pow, range(100), [2] * 100) == [n**2 for n in range(100)]
    array = np.arange(ARRAY // 8, dtype=float)
    client[0].push({"array": array}, block=True)
    assert np.array_equal(client[0].pull("array", block=True), array)
    profile = command.state / "profiles" / "default"
    there = carried(profile / "connection-client.json", tmp_path / "client.json")
    other = subprocess.run(
        wire.inside(wire.node, sys.executable, "-P", "-c", IN_ANOTHER_NODE, str(there)),
        env={**command.environment, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert other.stdout == "[1, 2, 3]\n", other.stderr


def test_a_cut_wire_heals(client: Client, wire: Wire) -> None:
    """Silence makes the engines suspect; when the wire is whole they go on where they were."""
    client[:].push({"kept": 7}, block=True)
    before = client.ids
    wire.cut()
    waiting = client.load_balanced_view().map_async(abs, range(-10, 0))

    def states() -> list[str]:
        return [engine["state"] for engine in client.interface("query").status()["engines"]]

    until(lambda: states() == ["suspect", "suspect"], "suspicion")
    wire.mend()
    assert waiting.get(timeout=60) == [abs(n) for n in range(-10, 0)]
    until(lambda: "suspect" not in states(), "trust")
    assert client.ids == before
    assert client[:].pull("kept", block=True) == [7, 7]

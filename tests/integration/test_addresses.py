"""Where hubs listen: IPv6, all addresses, behind a translation, several on one machine and range."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from ctrlhub import Client, Cluster
from ctrlhub.cluster.local import routed
from ctrlhub.controller.config import HubConfig
from ctrlhub.wire.connection import ConnectionInfo
from ctrlhub.wire.messages import Stream
from ctrlhub.wire.places import Profile
from tests.support.nodes import Nodes, can_have_nodes
from tests.support.processes import Command, until
from tests.support.sshd import Sshd, can_have_sshd, free_port
from tests.support.state import hub_listens, own_state

HAS_IPV6 = Path("/proc/net/if_inet6").exists() and "lo" in Path("/proc/net/if_inet6").read_text()


@pytest.fixture(autouse=True)
def state(tmp_path: Path) -> Iterator[Path]:
    """A state directory of each test's own."""
    with own_state(tmp_path / "state") as directory:
        yield directory


def squares(client: Client) -> list[int]:
    """Have both engines work, and arrays travel."""
    client.wait_for_engines(2, timeout=60)
    assert client[:].apply_sync(len, bytes(200_000)) == [200_000] * 2
    return list(client.load_balanced_view().map_sync(pow, range(8), [2] * 8))


@pytest.mark.parametrize("listen", ["::1", "::", "0.0.0.0"])
def test_where_a_hub_listens(listen: str) -> None:
    """On IPv6, or on all addresses: its file names one that leads there, and engines come by it."""
    if ":" in listen and not HAS_IPV6:
        pytest.skip("this machine has no IPv6")
    with Cluster(n=2, profile="six", listen=listen, prefer="tcp") as client:
        info = ConnectionInfo.load(Profile.named("six").connection_client)
        told = (*info.tcp.values(), info.bulk)
        hosts = {address.removeprefix("tcp://").rpartition(":")[0] for address in told}
        assert len(hosts) == 1
        assert not hosts & {"0.0.0.0", "[::]"}
        if listen == "::1":
            assert hosts == {"[::1]"}
        assert squares(client) == [n * n for n in range(8)]
        [pid] = {client.status()["hub"]["pid"]}
        process = psutil.Process(pid)

        def established() -> int:
            return len([c for c in process.net_connections("tcp") if c.status == psutil.CONN_ESTABLISHED])

        until(lambda: established() >= 3 * 4, "all are connected by each of its streams")


@contextmanager
def translation(to: dict[int, int]) -> Iterator[None]:
    """Carry what comes for ports of one address to ports of another one, as a router does."""
    servers = [socket.create_server(("127.0.0.9", port)) for port in to]
    ends: list[socket.socket] = []

    def carry(source: socket.socket, target: socket.socket) -> None:
        try:
            while data := source.recv(65536):
                target.sendall(data)
        except OSError:
            pass  # the other direction has ended it
        for end in (source, target):
            with suppress(OSError):  # it is shut
                end.shutdown(socket.SHUT_RDWR)

    def accept(server: socket.socket, port: int) -> None:
        while True:
            try:
                outer, _ = server.accept()
            except OSError:
                return  # it was closed
            inner = socket.create_connection(("127.0.0.1", port))
            ends.extend((outer, inner))
            for pair in ((outer, inner), (inner, outer)):
                threading.Thread(target=carry, args=pair, daemon=True).start()

    for server, port in zip(servers, to.values(), strict=True):
        threading.Thread(target=accept, args=(server, port), daemon=True).start()
    try:
        yield
    finally:
        for each in (*servers, *ends):
            with suppress(OSError):  # it is shut
                each.shutdown(socket.SHUT_RDWR)
            each.close()


def test_behind_a_translation_of_addresses() -> None:
    """The file names where the hub is found, not what it has bound; engines and client come that way."""
    with Cluster(n=0, profile="nat", listen="127.0.0.1", location="127.0.0.9") as local:
        info = ConnectionInfo.load(Profile.named("nat").connection_client)
        assert {a.removeprefix("tcp://").rpartition(":")[0] for a in info.tcp.values()} == {"127.0.0.9"}
        ports = {int(address.rpartition(":")[2]) for address in info.tcp.values()}
        assert ports <= set(local.status()["hub"]["ports"].values())
        assert info.bulk.startswith("tcp://127.0.0.9:")
        ports.add(int(info.bulk.rpartition(":")[2]))
        with translation({port: port for port in ports}):
            command = [sys.executable, "-m", "ctrlhub", "engine", "-n", "2", "--profile", "nat", "--prefer", "tcp"]
            engines = subprocess.Popen(command)
            try:
                with Client(routed(info, "tcp"), timeout=60) as client:
                    assert squares(client) == [n * n for n in range(8)]
            finally:
                engines.terminate()
                engines.wait()


def free_range(size: int) -> int:
    """Return the first of so many free ports in a row."""
    for first in range(21000 + os.getpid() % 5000, 32000, size):
        try:
            held = [socket.create_server(("127.0.0.1", first + k)) for k in range(size)]
        except OSError:
            continue
        for each in held:
            each.close()
        return first
    raise AssertionError("there are none")


def test_two_hubs_in_one_range(state: Path) -> None:
    """Each takes five. The second takes the ports that are left; a third finds none, and says what to do. `list` shows both."""
    ctrl_hub = Command(state)
    first = free_range(10)
    span = ["--listen", "127.0.0.1", "--port-range", f"{first}-{first + 9}", "-n", "1", "--daemonize"]
    try:
        taken = []
        for name in ("one", "two"):
            done = ctrl_hub.run("start", "--profile", name, *span)
            assert done.returncode == 0, done.stderr
            info = ConnectionInfo.load(Profile.named(name).connection_client)
            taken += [int(address.rpartition(":")[2]) for address in (*info.tcp.values(), info.bulk)]
        assert sorted(taken) == list(range(first, first + 10))
        third = ctrl_hub.run("start", "--profile", "three", *span)
        assert third.returncode != 0
        assert f"no 4 consecutive free ports in {first} ... {first + 9}" in third.stderr
        assert "give another range" in third.stderr
        listed = json.loads(ctrl_hub.run("list", "--json").stdout)
        assert {each["profile"]: each["state"] for each in listed} == {"one": "running", "two": "running"}
        with Client(profile="one") as one, Client(profile="two") as two:
            assert one.status()["hub"]["pid"] != two.status()["hub"]["pid"]
    finally:
        for name in ("one", "two"):
            ctrl_hub.run("stop", "--profile", name)


def test_options_without_tcp(state: Path) -> None:
    """They say what they need."""
    ctrl_hub = Command(state)
    for option in ("--location", "203.0.113.7"), ("--port-range", "40000-40009"):
        refused = ctrl_hub.run("start", *option)
        assert refused.returncode == 2
        assert f"{option[0]} needs --listen" in refused.stderr


def test_nodes_with_ipv6_alone(
    require_system_part: Callable[[str, bool], None], tmp_path: Path
) -> None:
    """Hub, engines and client on nodes of their own, whose addresses begin with fd00."""
    require_system_part("iproute2, and root to make network namespaces", can_have_nodes())
    if not HAS_IPV6:
        pytest.skip("this machine has no IPv6")
    programs: list[subprocess.Popen[bytes]] = []
    with Nodes(["sixhub", "sixeng", "sixdesk"]) as nodes:
        for number, name in enumerate(("sixhub", "sixeng", "sixdesk")):
            nodes.ip(name, "address", "flush", "dev", "eth0")
            nodes.ip(name, "address", "add", f"fd00:77::{number + 1}/64", "dev", "eth0", "nodad")

        def launch(node: str, module: str, *arguments: str) -> subprocess.Popen[bytes]:
            command = nodes.command(node, sys.executable, "-m", module, *arguments)
            programs.append(subprocess.Popen(command, stdin=subprocess.PIPE))
            return programs[-1]

        try:
            hub = launch("sixhub", "ctrlhub.controller")
            config = HubConfig(profile="six", listen="fd00:77::1", store="memory")
            assert hub.stdin is not None
            hub.stdin.write(config.to_json().encode() + b"\n")
            hub.stdin.flush()
            profile = Profile.named("six")
            hub_listens(profile)
            launch(
                "sixeng", "ctrlhub", "engine", "-n", "2", "--prefer", "tcp",
                "--connection", str(profile.connection_engine),
            )  # fmt: skip
            info = ConnectionInfo.load(profile.connection_client)
            assert info.tcp[Stream.HUB].startswith("tcp://[fd00:77::1]:")
            with nodes.inside("sixdesk"), Client(routed(info, "tcp"), timeout=60) as client:
                assert squares(client) == [n * n for n in range(8)]
        finally:
            for program in reversed(programs):
                assert program.stdin is not None
                program.stdin.close()
                program.terminate()
            for program in programs:
                program.wait(60)


def test_sockets_are_forwarded_where_there_is_no_tcp(
    require_system_part: Callable[[str, bool], None],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    state: Path,
) -> None:
    """`ctrl-hub start --ssh` and nothing else: who is elsewhere logs in on the hub's machine."""
    require_system_part("openssh-server and openssh-client", can_have_sshd())
    ctrl_hub = Command(state)
    with Sshd(tmp_path / "sshd", "127.0.0.1", free_port()) as server:
        monkeypatch.setenv("PATH", str(server.make_client(with_key=True)), prepend=os.pathsep)
        started = ctrl_hub.run("start", "-n", "0", "--daemonize", "--ssh", server.server, "--profile", "far")
        assert started.returncode == 0, started.stderr
        try:
            profile = Profile.named("far")
            elsewhere = replace(ConnectionInfo.load(profile.connection_engine), boot_id="elsewhere")
            environment = {**os.environ, "CTRLHUB_TOKEN": elsewhere.to_token()}
            command = [sys.executable, "-m", "ctrlhub", "engine", "-n", "2"]
            engines = subprocess.Popen(command, env=environment)
            try:
                there = replace(ConnectionInfo.load(profile.connection_client), boot_id="elsewhere", file=None)
                with Client(there, timeout=60) as client:
                    assert squares(client) == [n * n for n in range(8)]
                    assert all(not process_has_tcp(pid) for pid in client[:].apply_sync(os.getpid))
            finally:
                engines.terminate()
                engines.wait()
        finally:
            ctrl_hub.run("stop", "--profile", "far")


def process_has_tcp(pid: int) -> bool:
    """Tell whether a process has a connection over TCP."""
    return bool(psutil.Process(pid).net_connections("tcp"))

"""Bulk connections of real processes: used where they are there, done without where they are not or are
meddled with; nothing of them is readable, and nobody else is disturbed.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import psutil
import pytest

from ctrlhub import Client, Cluster, EngineError
from ctrlhub.cluster.local import routed
from ctrlhub.link.bulk import BulkLine
from ctrlhub.link.polling import make_poller
from ctrlhub.wire.bulk import HELLO_BYTES, MAGIC
from ctrlhub.wire.connection import ConnectionInfo
from ctrlhub.wire.limits import BULK_FIRST_BYTES, WHOLE_BYTES
from ctrlhub.wire.places import Profile
from tests.support.hubs import hub_of
from tests.support.interloper import Meddle, between
from tests.support.nodes import Nodes, can_have_nodes
from tests.support.processes import Command, until
from tests.support.state import hub_listens, own_state

WAIT = 60.0
PROFILE = "bulk"
ITEMS = 2_000_000
"""Of eight bytes: 16 MB."""

SOME = 8_000_000
"""Bytes by which one sees that data is on its way."""

PATTERN = b"a text that could be read over a shoulder"


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A hub that listens on TCP, and an engine that came over it."""
    with own_state(tmp_path_factory.mktemp("state")):
        cluster = Cluster(n=1, profile=PROFILE, listen="127.0.0.1", prefer="tcp", beat=0.3)
        with cluster:
            yield cluster


@pytest.fixture
def info(cluster: Cluster) -> ConnectionInfo:
    """What a client elsewhere is told."""
    return routed(ConnectionInfo.load(Profile.named(PROFILE).connection_client), "tcp")


@contextmanager
def remote(info: ConnectionInfo) -> Iterator[Client]:
    """Connect a client that shares no memory with anybody, as from another host."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("ctrlhub.link.sharing.share", lambda buffer: None)
        with Client(info) as client:
            client.wait_for_engines(1, timeout=WAIT)
            yield client


def bulk_connections(cluster: Cluster, info: ConnectionInfo) -> int:
    """Count the hub's bulk connections."""
    port = int(info.bulk.rpartition(":")[2])
    found = psutil.Process(cluster.pids["hub"]).net_connections("tcp")
    return sum(each.status == "ESTABLISHED" and each.laddr.port == port for each in found)


def bulk_connections_from_here(info: ConnectionInfo) -> int:
    """Count those that this process, and so its clients, have to the hub."""
    port = int(info.bulk.rpartition(":")[2])
    found = psutil.Process().net_connections("tcp")
    return sum(each.status == "ESTABLISHED" and bool(each.raddr) and each.raddr.port == port for each in found)


def refused(client: Client) -> int:
    """Return how much the hub has refused."""
    number: int = client.status()["hub"]["refused"]
    return number


def there_and_back(client: Client, seed: int = 1) -> None:
    """Send an array, use it, and get it back."""
    array = np.random.default_rng(seed).random(ITEMS)
    client[0].push({"a": array}, block=True)
    assert client[0].apply_sync(lambda: float(a.sum())) == array.sum()  # type: ignore[name-defined] # noqa: F821
    got = client[0].pull("a", block=True)
    assert np.array_equal(got, array)
    got[0] = 7.0  # it is writable


def test_it_is_made_for_the_first_large_message(cluster: Cluster, info: ConnectionInfo) -> None:
    """Not before, and one for each peer; it goes with its client. The status tells its port."""
    with remote(info) as client:
        before = bulk_connections(cluster, info)
        assert client[0].apply_sync(os.getpid) == cluster.client[0].apply_sync(os.getpid)
        assert bulk_connections(cluster, info) == before
        there_and_back(client)
        there_and_back(client, 2)
        assert bulk_connections(cluster, info) >= before + 1
        assert client.status()["hub"]["ports"]["bulk"] == int(info.bulk.rpartition(":")[2])
    until(lambda: bulk_connections(cluster, info) <= before + 1, "that of the client is closed")


def test_nothing_of_it_can_be_read(info: ConnectionInfo) -> None:
    """By whoever sees all that passes: it goes that way, and no word of it does."""
    data = PATTERN * (2 * WHOLE_BYTES // len(PATTERN))
    with between(info.bulk) as interloper, remote(replace(info, bulk=interloper.address)) as client:
        client[0].push({"text": data}, block=True)
        assert client[0].pull("text", block=True) == data
        for to_hub in (True, False):
            assert len(interloper.seen[to_hub]) > len(data) - 2 * BULK_FIRST_BYTES
            assert PATTERN not in interloper.seen[to_hub]
            assert b"shoulder" not in interloper.seen[to_hub]
        assert interloper.seen[True].startswith(MAGIC)


def flip(way: bool, place: int) -> Meddle:
    """Return what changes one bit, on its way to the hub or back."""

    def meddle(to_hub: bool, before: int, data: bytes) -> bytes | None:
        if to_hub is way and before <= place < before + len(data):
            changed = bytearray(data)
            changed[place - before] ^= 1
            return bytes(changed)
        return data

    return meddle


def cut(way: bool, place: int) -> Meddle:
    """Return what breaks off after so many bytes."""

    def meddle(to_hub: bool, before: int, data: bytes) -> bytes | None:
        return None if to_hub is way and before + len(data) > place else data

    return meddle


MEDDLING = {
    "a bit of the greeting": flip(True, 20),
    "a bit of what the client drew": flip(True, 60),
    "a bit of what the hub drew": flip(False, 3),
    "a bit of a head": flip(True, HELLO_BYTES + 40 + 3),
    "a bit in the midst": flip(True, 3_000_000),
    "a bit on the way back": flip(False, 5_000_000),
    "broken off in the greeting": cut(True, 10),
    "broken off in the midst": cut(True, 6_000_000),
    "broken off on the way back": cut(False, 6_000_000),
}


@pytest.mark.parametrize("how", MEDDLING)
def test_who_meddles_with_it_ends_it_and_nothing_else(info: ConnectionInfo, how: str) -> None:
    """What was on its way begins anew on its stream, and arrives as it was."""
    with (
        between(info.bulk, MEDDLING[how]) as interloper,
        remote(replace(info, bulk=interloper.address)) as client,
    ):
        there_and_back(client)
        assert interloper.connections == 1, "it is not tried again at once"
        assert client.ids == [0]


@pytest.mark.parametrize("place", [0, HELLO_BYTES, 2_000_000])
def test_one_that_falls_silent(
    info: ConnectionInfo, monkeypatch: pytest.MonkeyPatch, place: int
) -> None:
    """As behind a firewall that drops everything: it is given up, and all goes by the streams."""
    monkeypatch.setattr("ctrlhub.link.bulk.CONNECT_TIMEOUT", 0.5)
    monkeypatch.setattr("ctrlhub.wire.parts.BULK_PATIENCE", 0.5)

    def swallow(to_hub: bool, before: int, data: bytes) -> bytes | None:
        return data if before + len(data) <= place or not to_hub else b""

    with (
        between(info.bulk, swallow) as interloper,
        remote(replace(info, bulk=interloper.address)) as client,
    ):
        there_and_back(client)
        assert interloper.connections == 1


def test_without_one(info: ConnectionInfo) -> None:
    """A port that is closed, a hub that has none, a library that is missing: the streams carry it.

    What they are spared is there otherwise: the client has one connection for its large data.
    """
    before = bulk_connections_from_here(info)
    with remote(info) as client:
        there_and_back(client)
        assert bulk_connections_from_here(info) == before + 1
    until(lambda: bulk_connections_from_here(info) == before, "that of the client is closed")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        closed = f"tcp://127.0.0.1:{taken.getsockname()[1]}"
    for bulk in (closed, ""):
        with remote(replace(info, bulk=bulk)) as client:
            there_and_back(client)
            assert bulk_connections_from_here(info) == before
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("ctrlhub.link.zeromq.can_seal", lambda: False)
        with remote(info) as client:
            there_and_back(client)
            assert bulk_connections_from_here(info) == before


def test_one_that_comes_about_too_late(monkeypatch: pytest.MonkeyPatch) -> None:
    """When its peer has gone it is closed by who made it; of an earlier session it is not used."""
    near, far = socket.socketpair()
    go, connected = threading.Event(), threading.Event()

    def slowly(*place: object) -> socket.socket:
        assert go.wait(WAIT)
        return near

    monkeypatch.setattr("ctrlhub.link.bulk.socket.create_connection", slowly)
    line = BulkLine("tcp://127.0.0.1:1", make_poller(), connected.set)
    line.let_in(bytes(48))
    assert line.open()
    line.close()
    go.set()
    assert connected.wait(WAIT)
    with far:
        far.settimeout(WAIT)
        assert far.recv(1) == b""
    line.tend()
    assert not line.is_ready


# ---------------------------------------------------------------- strangers

NOISE = {
    "silence": b"",
    "half a greeting": MAGIC,
    "a browser": b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".ljust(HELLO_BYTES, b"\n"),
    "no session": MAGIC + bytes(HELLO_BYTES - len(MAGIC)),
    "much": os.urandom(1_000_000),
}


@pytest.mark.parametrize("what", NOISE)
def test_strangers(cluster: Cluster, info: ConnectionInfo, what: str) -> None:
    """Whatever they say, they are shown the door, counted, and hear nothing; a peer goes on meanwhile."""
    host, _, port = info.bulk.removeprefix("tcp://").rpartition(":")
    with remote(info) as client, ExitStack() as crowd:
        before = refused(client)
        strangers = []
        for _ in range(100):
            stranger = crowd.enter_context(socket.create_connection((host, int(port))))
            stranger.settimeout(WAIT)
            strangers.append(stranger)
            try:
                stranger.sendall(NOISE[what])
            except OSError:
                continue  # it was shown the door already
        there_and_back(client)
        for stranger in strangers:
            try:
                assert stranger.recv(1) == b""
            except ConnectionError:
                continue
        until(lambda: refused(client) >= before + 100, "they are counted")


def test_a_ticket_opens_nothing(info: ConnectionInfo) -> None:
    """Who has seen a connection cannot play it again, nor put another in its place."""
    with between(info.bulk) as interloper, remote(replace(info, bulk=interloper.address)) as client:
        there_and_back(client)
        recorded = bytes(interloper.seen[True])
        before = refused(client)
        host, _, port = info.bulk.removeprefix("tcp://").rpartition(":")
        with socket.create_connection((host, int(port))) as again:
            again.settimeout(WAIT)
            try:
                again.sendall(recorded[:1_000_000])
                answered = b""
                while heard := again.recv(100):
                    answered += heard
            except ConnectionError:
                answered = b""
            assert len(answered) <= 32, "no more than what the hub has drawn"
        until(lambda: refused(client) == before + 1, "it is counted")
        there_and_back(client, 2)
        assert interloper.connections == 1, "that of the peer is the same"


# ---------------------------------------------------------------- deaths


def memory_of(pid: int) -> int:
    """The memory (bytes) that a process has."""
    rss: int = psutil.Process(pid).memory_info().rss
    return rss


def test_an_engine_is_killed_meanwhile(command: Command) -> None:
    """Its command fails with the cause, the other engine has its own, and a task runs elsewhere."""
    command.start("-n", "2", "--listen", "127.0.0.1")
    profile = Profile.named("default", command.state)
    with remote(routed(ConnectionInfo.load(profile.connection_client), "tcp")) as client:
        client.wait_for_engines(2, timeout=WAIT)
        victim = client[0].apply_sync(os.getpid)
        array = np.random.default_rng(1).random(8 * ITEMS)
        before, empty = memory_of(hub_of(client)), memory_of(victim)
        lost = client[0].push({"a": array}, block=False)
        until(lambda: memory_of(victim) > empty + SOME, "some has come")
        os.kill(victim, signal.SIGKILL)
        kept = client[1].push({"a": array}, block=False)
        with pytest.raises(EngineError):
            lost.get(WAIT)
        kept.get(WAIT)
        assert client[1].apply_sync(lambda: float(a.sum())) == array.sum()  # type: ignore[name-defined] # noqa: F821
        assert memory_of(hub_of(client)) - before < array.nbytes // 5
    assert command.run("stop").returncode == 0


def test_the_hub_is_killed_meanwhile(command: Command) -> None:
    """What was on its way, in either direction, is said again to the next one, at the same port."""
    command.start("-n", "1", "--listen", "127.0.0.1")
    connection = Profile.named("default", command.state).connection_client
    info = ConnectionInfo.load(connection)
    with remote(routed(info, "tcp")) as client:
        client.wait_for_engines(1, timeout=WAIT)
        hub = hub_of(client)
        view = client.load_balanced_view()
        array = np.random.default_rng(1).random(8 * ITEMS)
        result = view.apply_async(lambda a: a * 2, array)
        port = int(info.bulk.rpartition(":")[2])
        until(lambda: _has_come(hub, port), "a bulk connection is there")
        os.kill(hub, signal.SIGKILL)
        got = result.get(WAIT)
        assert np.array_equal(got, array * 2)
        assert ConnectionInfo.load(connection).bulk == info.bulk
    assert command.run("stop").returncode == 0


def _has_come(hub: int, port: int) -> bool:
    found = psutil.Process(hub).net_connections("tcp")
    return any(each.status == "ESTABLISHED" and each.laddr.port == port for each in found)


# ---------------------------------------------------------------- nodes

PUSH_AND_PULL = """
import sys
import numpy as np
from ctrlhub import Client

with Client(profile="bulk-nodes") as client:
    client.wait_for_engines(1, timeout=60)
    array = np.random.default_rng(1).random(int(sys.argv[1]))
    client[0].push({"a": array}, block=True)
    assert np.array_equal(client[0].pull("a", block=True), array)
    assert client.load_balanced_view().apply_sync(lambda a: float(a.sum()), array) == array.sum()
"""


def test_between_nodes(
    require_system_part: Callable[[str, bool], None], tmp_path: Path
) -> None:
    """An engine on another host, with no memory in common: its data goes over its bulk connection."""
    require_system_part("iproute2, and root to make network namespaces", can_have_nodes())
    python = [sys.executable, "-m", "ctrlhub"]
    alone = ["unshare", "--pid", "--fork", "--kill-child", "--mount-proc"]
    with Nodes(["hub", "node"]) as nodes, own_state(tmp_path), ExitStack() as programs:
        profile = Profile.named("bulk-nodes")

        def launch(node: str, *command: str) -> None:
            log = programs.enter_context(open(tmp_path / f"{node}.log", "ab"))
            process = subprocess.Popen(nodes.command(node, *command), stdout=log, stderr=log)
            programs.callback(process.wait, 20)
            programs.callback(process.kill if "unshare" in command else process.terminate)

        listen = ["--listen", nodes.address("hub"), "--profile", "bulk-nodes", "-n", "0"]
        launch("hub", *python, "start", *listen)
        hub_listens(profile)
        file = str(profile.connection_engine)
        launch("node", *alone, *python, "engine", "--connection", file, "--prefer", "tcp")
        client = nodes.command("hub", sys.executable, "-c", PUSH_AND_PULL, str(2 * ITEMS))
        done = subprocess.run(client, capture_output=True, text=True, timeout=WAIT, check=False)
        assert done.returncode == 0, done.stderr
        port = ConnectionInfo.load(profile.connection_client).bulk.rpartition(":")[2]
        table = nodes.command("hub", "cat", "/proc/net/tcp")
        rows = subprocess.run(table, capture_output=True, text=True, check=True).stdout.splitlines()
        local = [row.split()[1:4] for row in rows[1:]]
        at_port = [row for row in local if int(row[0].partition(":")[2], 16) == int(port)]
        there = "".join(f"{int(part):02X}" for part in reversed(nodes.address("node").split(".")))
        assert any(row[1].startswith(there) and row[2] == "01" for row in at_port)

"""A client that reaches its hub through ssh: a real server, on the loopback."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ctrlhub import Client, Cluster, HubUnavailable
from ctrlhub.link.tunnel import Tunnel, TunnelLink
from ctrlhub.wire.ssh import SSHServer
from tests.support.processes import is_alive, until
from tests.support.sshd import Sshd, can_have_sshd, free_port
from tests.support.state import own_state


@pytest.fixture(scope="module")
def server(
    tmp_path_factory: pytest.TempPathFactory, require_system_part: Callable[[str, bool], None]
) -> Iterator[Sshd]:
    """A server that lets one key in; `ssh` believes its host key."""
    require_system_part("openssh-server and openssh-client", can_have_sshd())
    server = Sshd(tmp_path_factory.mktemp("ssh"), "127.0.0.1", free_port())
    with pytest.MonkeyPatch.context() as patch, server:
        patch.setenv("PATH", str(server.make_client(with_key=False)), prepend=os.pathsep)
        yield server


ORPHAN = """
import json, os, sys, time
from ctrlhub import Client
client = Client(profile="far", sshserver=sys.argv[1], sshkey=sys.argv[2])
fork = os.fork()
if not fork:
    os.close(1)
    time.sleep(600)
print(json.dumps([client._connection._runner.link.tunnel.pid, fork]), flush=True)
time.sleep(600)
"""
"""A client with a tunnel and a child."""


def tunnel_of(client: Client) -> Tunnel:
    """Return the tunnel of a client."""
    link = client._connection._runner.link
    assert isinstance(link, TunnelLink)
    return link.tunnel


def wait_for_a_moment(seconds: float) -> float:
    """Run so long."""
    import time

    time.sleep(seconds)
    return seconds


@pytest.fixture(params=[None, "127.0.0.1"], ids=["ipc", "tcp"])
def cluster(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Cluster]:
    """A cluster that listens for its own user only, or on TCP."""
    with own_state(tmp_path):
        cluster = Cluster(n=2, profile="far", listen=request.param)
        cluster.start()
        try:
            yield cluster
        finally:
            cluster.stop()


def test_a_client_through_ssh(server: Sshd, cluster: Cluster) -> None:
    """It does what any client does, also with data; its ssh ends with it."""
    with Client(profile="far", sshserver=server.server, sshkey=str(server.key)) as client:
        tunnel = tunnel_of(client)
        client.wait_for_engines(2)
        assert client[:].apply_sync(len, bytes(3_000_000)) == [3_000_000] * 2
        ssh = tunnel.pid
        assert is_alive(ssh)
    until(lambda: not is_alive(ssh), "ssh ends")
    until(lambda: not tunnel.directory.exists(), "nothing is left")


def test_an_ssh_that_is_killed_is_started_again(server: Sshd, cluster: Cluster) -> None:
    """The client goes on where it was: what was on its way is answered, and its ssh is another one."""
    with Client(profile="far", sshserver=server.server, sshkey=str(server.key)) as client:
        client.wait_for_engines(2)
        tunnel = tunnel_of(client)
        client[0].push({"kept": 3}, block=True)
        pending = client[:].apply_async(wait_for_a_moment, 1.0)
        former = tunnel.pid
        assert former is not None
        os.kill(former, signal.SIGKILL)
        assert pending.get(60) == [1.0, 1.0]
        assert client[0].pull("kept", block=True) == 3
        assert tunnel.pid not in (None, former)
        session = client.session
        assert client.status()["hub"]["pid"] > 0
        assert client.session == session


def test_a_server_that_is_killed_and_comes_back(server: Sshd, cluster: Cluster) -> None:
    """Meanwhile calls say that ssh cannot log in; then all goes on."""
    with Client(profile="far", sshserver=server.server, sshkey=str(server.key), timeout=1.0, join_timeout=20.0) as client:
        client.wait_for_engines(2)
        pending = client[:].apply_async(wait_for_a_moment, 1.0)
        server.kill()
        try:
            with pytest.raises(HubUnavailable):
                client.status()
            until(lambda: "refused" in (client._connection._runner.link.failure() or ""), "it says why")
        finally:
            server.start()
        assert pending.get(60) == [1.0, 1.0]


def test_ssh_ends_with_its_client(server: Sshd, cluster: Cluster) -> None:
    """However that ended: killed, and although a process that it has forked lives on."""
    said = subprocess.Popen(
        [sys.executable, "-c", ORPHAN, server.server, str(server.key)], stdout=subprocess.PIPE, text=True
    )
    assert said.stdout is not None
    ssh, fork = json.loads(said.stdout.readline())
    try:
        assert is_alive(ssh)
        said.kill()
        said.wait()
        until(lambda: not is_alive(ssh), "ssh ends")
        assert is_alive(fork)
    finally:
        os.kill(fork, signal.SIGKILL)
        said.stdout.close()


def test_who_cannot_log_in(server: Sshd, cluster: Cluster, tmp_path: Path) -> None:
    """The error has what ssh says, and nothing runs on."""
    with pytest.raises(HubUnavailable, match=r"(?s)ssh to 127\.0\.0\.1 failed: .*denied"):
        Client(profile="far", sshserver=server.server)
    with pytest.raises(HubUnavailable, match=r"ssh to 127\.0\.0\.1 failed: .*refused"):
        Client(profile="far", sshserver=f"127.0.0.1:{free_port()}", sshkey=server.key)


def test_no_ssh(
    cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The message says what to install."""
    monkeypatch.setenv("PATH", str(tmp_path / "nothing"))
    with pytest.raises(HubUnavailable, match="install OpenSSH"):
        Client(profile="far", sshserver="anywhere")


def test_where_to_log_in() -> None:
    """User and port may be missing; what would be an option of ssh is refused."""
    assert SSHServer.parse("host") == SSHServer("host")
    assert SSHServer.parse("me@host:2222", Path("key")) == SSHServer("me@host", 2222, "key")
    assert SSHServer.parse("me@[fd00::1]:22") == SSHServer("me@fd00::1", 22)
    assert SSHServer.parse("[::1]") == SSHServer("::1")
    command = SSHServer.parse("me@host:2222", "key").command([("1", "there:2")])
    assert command[-3:] == ["--", "me@host", "cat"]
    assert command[command.index("-L") + 1] == "1:there:2"
    for wrong in ("", "-oProxyCommand=x", "host:", "host:port", ":22", "host:0", "host:65536", "a b", "me@fd00::1"):
        with pytest.raises(ValueError, match="user@host:port"):
            SSHServer.parse(wrong)

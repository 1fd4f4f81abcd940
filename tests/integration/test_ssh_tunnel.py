"""A client that reaches its hub through ssh: a real server, on the loopback."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from ctrlhub import Client, Cluster, HubUnavailable
from ctrlhub.client.tunnel import SSHServer
from tests.support.processes import until
from tests.support.state import own_state

SSHD = shutil.which("sshd") or "/usr/sbin/sshd"


@dataclass(frozen=True)
class Server:
    """A running sshd, and how to log in."""

    address: str
    key: Path


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
    return port


def listens(port: int) -> bool:
    """Say whether somebody does."""
    try:
        socket.create_connection(("127.0.0.1", port), 1.0).close()
    except OSError:
        return False
    return True


@pytest.fixture(scope="module")
def server(
    tmp_path_factory: pytest.TempPathFactory, require_system_part: Callable[[str, bool], None]
) -> Iterator[Server]:
    """A server that lets one key in; `ssh` believes its host key."""
    there = os.access(SSHD, os.X_OK) and shutil.which("ssh") is not None
    require_system_part("openssh-server and openssh-client", there)
    place = tmp_path_factory.mktemp("ssh")
    for name in ("host", "key"):
        command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(place / name)]
        subprocess.run(command, check=True, stdin=subprocess.DEVNULL)
    port = free_port()
    (place / "sshd_config").write_text(
        f"Port {port}\nListenAddress 127.0.0.1\nHostKey {place}/host\nPidFile none\n"
        f"AuthorizedKeysFile {place}/key.pub\nStrictModes no\nUsePAM no\n"
        "PermitRootLogin yes\nPasswordAuthentication no\n"
    )
    host_key = (place / "host.pub").read_text()
    (place / "known_hosts").write_text(f"[127.0.0.1]:{port} {host_key}")
    (place / "bin").mkdir()
    ssh = place / "bin" / "ssh"
    ssh.write_text(
        f'#!/bin/sh\nexec {shutil.which("ssh")} -F none '
        f'-o UserKnownHostsFile={place}/known_hosts "$@"\n'
    )
    ssh.chmod(0o700)
    if os.getuid() == 0:
        Path("/run/sshd").mkdir(exist_ok=True)  # where it parts with its privileges
    daemon = subprocess.Popen(
        [SSHD, "-D", "-e", "-f", str(place / "sshd_config")], stderr=subprocess.DEVNULL
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PATH", f"{place}/bin", prepend=os.pathsep)
        try:
            until(lambda: listens(port), "sshd listens")
            yield Server(f"127.0.0.1:{port}", place / "key")
        finally:
            daemon.terminate()
            daemon.wait()


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


def test_a_client_through_ssh(server: Server, cluster: Cluster) -> None:
    """It does what any client does, also with data; its ssh ends with it."""
    with Client(profile="far", sshserver=server.address, sshkey=server.key) as client:
        tunnel = client._connection._link._tunnel  # type: ignore[attr-defined]
        client.wait_for_engines(2)
        assert client[:].apply_sync(len, bytes(3_000_000)) == [3_000_000] * 2
        [process] = tunnel._started
        assert process.poll() is None
    until(lambda: process.poll() is not None, "ssh ends")
    until(lambda: not tunnel._directory.exists(), "nothing is left")


def test_who_cannot_log_in(server: Server, cluster: Cluster, tmp_path: Path) -> None:
    """The error has what ssh says, and nothing runs on."""
    with pytest.raises(HubUnavailable, match=r"(?s)ssh to 127\.0\.0\.1 failed: .*denied"):
        Client(profile="far", sshserver=server.address)
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
    command = SSHServer.parse("me@host:2222", "key").command([("1", "there:2")])
    assert command[-3:] == ["--", "me@host", "cat"]
    assert command[command.index("-L") + 1] == "1:there:2"
    for wrong in ("", "-oProxyCommand=x", "host:", "host:port", ":22"):
        with pytest.raises(ValueError, match="user@host:port"):
            SSHServer.parse(wrong)

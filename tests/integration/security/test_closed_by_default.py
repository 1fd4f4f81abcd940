"""Without a flag only this user on this host gets in; and a real engine whose key is revoked."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ctrlhub import Client, Cluster
from ctrlhub.wire.connection import ConnectionInfo
from ctrlhub.wire.messages import Stream
from tests.support.intruder import crowd, until_shut
from tests.support.processes import Command, is_alive, until

LISTENS = "0A"
"""The state of a listening socket in /proc/net/tcp."""
SOMEBODY_ELSE = """
import os, socket, sys
os.setgroups([]), os.setgid(65534), os.setuid(65534)
for path in sys.argv[1:]:
    for use in (socket.socket(socket.AF_UNIX).connect, open):
        try:
            use(path)
        except PermissionError:
            continue
        sys.exit(f"{path} is open to others")
"""


@pytest.fixture
def open_handed() -> Iterator[None]:
    """A user who lets everybody read and write what he makes."""
    former = os.umask(0)
    yield
    os.umask(former)


@pytest.fixture
def started(command: Command) -> Iterator[ConnectionInfo]:
    """A cluster as ``ctrl-hub start`` starts it, and where its hub is to be found."""
    result = command.run("start", "-n", "2", "--daemonize")
    assert result.returncode == 0, result.stderr
    yield ConnectionInfo.load(command.state / "profiles" / "default" / "connection-client.json")
    assert command.run("stop").returncode == 0


def listening_sockets() -> set[str]:
    """Return the inodes of all sockets that listen on TCP, for IPv4 and IPv6."""
    tables = [Path("/proc/net/tcp"), Path("/proc/net/tcp6")]
    lines = [line.split() for t in tables if t.exists() for line in t.read_text().splitlines()]
    return {columns[9] for columns in lines if columns[3] == LISTENS}


def sockets_of(pid: int) -> set[str]:
    """Return the inodes of the sockets that a process has."""
    found = set()
    for link in Path(f"/proc/{pid}/fd").iterdir():
        try:
            kind, _, inode = os.readlink(link).partition(":[")
        except FileNotFoundError:  # closed in this moment
            continue
        if kind == "socket":
            found.add(inode.rstrip("]"))
    return found


def modes(top: Path) -> dict[str, set[int]]:
    """Return the modes of directories, and of files, below a directory and of itself."""
    found: dict[str, set[int]] = {"directories": set(), "files": set()}
    for path in (top, *top.rglob("*")):
        kind = "directories" if path.is_dir() else "files"
        if path.is_dir() or path.is_file():
            found[kind].add(stat.S_IMODE(path.stat().st_mode))
    return found


@pytest.mark.usefixtures("started")
def test_nothing_listens_on_tcp(command: Command) -> None:
    """No process of the cluster has a TCP socket that listens; the kernel's tables say so."""
    with Client() as client:
        assert client[:].apply_sync(int, "7") == [7, 7]
        pids = command.left()
        assert len(pids) >= 5, "supervisor, hub, nanny, its warm process and engines"
        theirs = set().union(*(sockets_of(pid) for pid in pids))

        assert theirs, "they have sockets"
        assert theirs & listening_sockets() == set()


@pytest.mark.usefixtures("open_handed")
def test_all_is_private_whatever_the_umask(command: Command, started: ConnectionInfo) -> None:
    """Files 0600 in directories 0700, from their creation; the sockets' directory, too, is ours."""
    with Client() as client:
        client[:].execute("print('something for the log', flush=True)", block=True)
        client[:].apply_sync(os.write, 2, b"and more\n")
        found = modes(command.state)

        assert found == {"directories": {0o700}, "files": {0o600}}
    for address in started.ipc.values():
        directory = Path(address.removeprefix("ipc://")).parent
        status = directory.stat()
        assert (status.st_uid, stat.S_IMODE(status.st_mode)) == (os.getuid(), 0o700)


@pytest.mark.usefixtures("open_handed")
def test_another_user_is_kept_out(
    started: ConnectionInfo, command: Command, require_system_part: Callable[[str, bool], None]
) -> None:
    """By the kernel: neither a socket nor a file can be opened."""
    require_system_part("root, to be somebody else", os.geteuid() == 0)
    sockets = [address.removeprefix("ipc://") for address in started.ipc.values()]
    keys = command.state / "profiles" / "default" / "keys.json"
    result = subprocess.run(
        [sys.executable, "-c", SOMEBODY_ELSE, *sockets, str(keys)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip

    assert result.stderr == ""
    assert result.returncode == 0


def test_a_silent_crowd_on_a_unix_socket(started: ConnectionInfo) -> None:
    """Our own user's broken programs do not keep the others out either."""
    with crowd(started.ipc[Stream.HUB]) as lines, Client() as client:
        assert client[:].apply_sync(int, "7") == [7, 7]
        for line in lines:
            until_shut(line)


def test_a_revoked_engines_process_ends(state: Path) -> None:
    """It finds itself refused, and leaves; what it was running ends with it, the others go on."""
    with Cluster(n=2, profile="revoked", prefer="tcp", beat=0.2) as client:
        first, other = client.interface("query").engines_now()["engines"]
        client[0].apply_async(time.sleep, 600)
        assert client.interface("query").revoke(key=first["key"])

        until(lambda: not is_alive(first["pid"]), "the process ends")
        assert client.ids == [other["id"]]
        assert client.load_balanced_view().map_sync(pow, range(3), [2] * 3) == [0, 1, 4]
        log = state / "profiles" / "revoked" / "logs" / "nanny.log"
        until(lambda: "is given up" in log.read_text(), "its place stays empty")
        assert client.ids == [other["id"]]

"""A real sshd with keys and configuration of its own, and an `ssh` that trusts it alone."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
from collections.abc import Sequence
from pathlib import Path

import psutil

from tests.support.processes import until

SSHD = shutil.which("sshd") or "/usr/sbin/sshd"


def can_have_sshd() -> bool:
    """Say whether there are server and client."""
    return os.access(SSHD, os.X_OK) and shutil.which("ssh") is not None


def free_port(address: str = "127.0.0.1") -> int:
    """Return a port that nobody listens on."""
    with socket.create_server((address, 0)) as server:
        port: int = server.getsockname()[1]
    return port


class Sshd:
    """A server that lets one key in; as a context, it ends.

    Parameters
    ----------
    place
        A directory of its own.
    address, port
        Where it listens.
    prefix
        What comes before its command: that which runs it on a node.
    """

    def __init__(self, place: Path, address: str, port: int, prefix: Sequence[str] = ()) -> None:
        self.place, self.address, self.port = place, address, port
        self.key = place / "key"
        self._prefix = list(prefix)
        self._daemon: subprocess.Popen[bytes] | None = None
        place.mkdir(exist_ok=True)
        for name in ("host", "key"):
            command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(place / name)]
            subprocess.run(command, check=True, stdin=subprocess.DEVNULL)
        (place / "sshd_config").write_text(
            f"Port {port}\nListenAddress {address}\nHostKey {place}/host\nPidFile none\n"
            f"AuthorizedKeysFile {place}/key.pub\nStrictModes no\nUsePAM no\n"
            "PermitRootLogin yes\nPasswordAuthentication no\nMaxStartups 100\nUseDNS no\n"
        )
        host_key = (place / "host.pub").read_text()
        (place / "known_hosts").write_text(f"[{address}]:{port} {host_key}")

    @property
    def server(self) -> str:
        """What `sshserver` and `--ssh` are told."""
        return f"[{self.address}]:{self.port}" if ":" in self.address else f"{self.address}:{self.port}"

    def make_client(self, *, with_key: bool) -> Path:
        """Make an `ssh` that knows the server, and perhaps has the key; return its directory, for PATH."""
        directory = self.place / "bin"
        directory.mkdir(exist_ok=True)
        ssh = directory / "ssh"
        key = f"-i {self.key} " if with_key else ""
        ssh.write_text(
            f'#!/bin/sh\nexec {shutil.which("ssh")} -F none {key}'
            f'-o UserKnownHostsFile={self.place}/known_hosts "$@"\n'
        )
        ssh.chmod(0o700)
        return directory

    def start(self) -> None:
        """Start it, and wait until it listens."""
        if os.getuid() == 0:
            Path("/run/sshd").mkdir(exist_ok=True)  # where it parts with its privileges
        log = self.place / "log"
        log.write_bytes(b"")
        with log.open("ab") as words:
            self._daemon = subprocess.Popen(
                [*self._prefix, SSHD, "-D", "-e", "-f", str(self.place / "sshd_config")], stderr=words
            )
        until(lambda: b"Server listening" in log.read_bytes(), "sshd listens")

    def kill(self) -> None:
        """Kill it, with everybody that is logged in."""
        if self._daemon is None:
            return
        sessions = psutil.Process(self._daemon.pid).children(recursive=True)
        for process in [psutil.Process(self._daemon.pid), *sessions]:
            try:
                process.send_signal(signal.SIGKILL)
            except psutil.NoSuchProcess:
                continue
        self._daemon.wait()
        self._daemon = None

    def __enter__(self) -> Sshd:
        self.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self.kill()

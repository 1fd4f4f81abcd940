"""An ssh server of a test's own: on the loopback or on a node, with its own keys and configuration."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.support.processes import until

SSHD = shutil.which("sshd") or "/usr/sbin/sshd"


def can_have_sshd() -> bool:
    """Say whether there are a server and a client."""
    return os.access(SSHD, os.X_OK) and shutil.which("ssh") is not None


class Sshd:
    """A running sshd that lets one key in, and how to log in.

    Parameters
    ----------
    place
        A directory of its own.
    address
        Where it listens.
    wrap
        Puts a command on the node where the server is to run.
    """

    def __init__(
        self,
        place: Path,
        address: str = "127.0.0.1",
        wrap: Callable[[Sequence[str]], Sequence[str]] = lambda command: command,
    ) -> None:
        self.place = place
        self.address = address
        self._wrap = wrap
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self.place.mkdir(parents=True, exist_ok=True)
        for name in ("host", "key"):
            if not (self.place / name).exists():
                command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(self.place / name)]
                subprocess.run(command, check=True, stdin=subprocess.DEVNULL)
        self.port = 22 if self.address != "127.0.0.1" else _free_port()
        (self.place / "sshd_config").write_text(
            f"Port {self.port}\nListenAddress {self.address}\nHostKey {self.place}/host\nPidFile none\n"
            f"AuthorizedKeysFile {self.place}/key.pub\nStrictModes no\nUsePAM no\nMaxStartups 100\n"
            "PermitRootLogin yes\nPasswordAuthentication no\n"
        )
        host_key = (self.place / "host.pub").read_text()
        where = self.address if self.port == 22 else f"[{self.address}]:{self.port}"
        (self.place / "known_hosts").write_text(f"{where} {host_key}")
        self.write_config()
        if os.getuid() == 0:
            Path("/run/sshd").mkdir(exist_ok=True)  # where it parts with its privileges
        log = open(self.place / "sshd.log", "ab")
        self._process = subprocess.Popen(
            list(self._wrap([SSHD, "-D", "-e", "-f", str(self.place / "sshd_config")])), stderr=log
        )
        log.close()
        until(self._listens, "sshd listens")
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def write_config(self, known_hosts: str = "known_hosts", key: str = "key") -> Path:
        """Write the client's configuration, by which every ``far-...`` is this server; return its path."""
        path = self.place / f"ssh_config-{known_hosts}-{key}"
        path.write_text(
            f"Host far-* {self.address}\n  HostName {self.address}\n  Port {self.port}\n  User root\n"
            f"  HostKeyAlias {self.address if self.port == 22 else f'[{self.address}]:{self.port}'}\n"
            f"  UserKnownHostsFile {self.place}/{known_hosts}\n  GlobalKnownHostsFile none\n"
            f"  StrictHostKeyChecking yes\n  IdentityFile {self.place}/{key}\n  IdentitiesOnly yes\n"
        )
        return path

    @property
    def ssh(self) -> str:
        """The ssh that gets in."""
        return f"ssh -F {self.place}/ssh_config-known_hosts-key"

    def close(self) -> None:
        """End the server; who is logged in stays."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait()
            self._process = None

    def _listens(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, (self.place / "sshd.log").read_text()
        if self.address != "127.0.0.1":
            return b"Server listening" in (self.place / "sshd.log").read_bytes()
        try:
            socket.create_connection((self.address, self.port), 1.0).close()
        except OSError:
            return False
        return True


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
    return port

"""A way to a hub through ssh.

One ``ssh`` forwards every stream. A hub that listens on TCP is reached through ports of this
machine, with CURVE as ever; one that does not, through sockets in a private directory, since ssh
forwards those of its user as well. The far end runs ``cat``, which ends with this process however
that ends, and ssh with it.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal
from weakref import finalize

import zmq

from ctrlhub.link.zeromq import ZeroMQLink
from ctrlhub.wire.connection import ConnectionInfo
from ctrlhub.wire.errors import HubUnavailable
from ctrlhub.wire.messages import Stream
from ctrlhub.wire.security import KeyPair

POLL = 0.02
"""How often (seconds) to look whether ssh forwards."""

MAX_WORDS = 4096
"""So much (bytes) of what ssh says is told."""

_OPTIONS = (
    "BatchMode=yes",  # nobody is there to answer
    "ExitOnForwardFailure=yes",
    "StreamLocalBindUnlink=yes",
    "ServerAliveInterval=15",
)


@dataclass(frozen=True, slots=True)
class SSHServer:
    """Where to log in.

    Parameters
    ----------
    destination
        What ssh calls it: a host, or ``user@host``.
    port
        Its port; None leaves that to ssh and its configuration.
    key
        The file of a private key; None leaves that to ssh.
    """

    destination: str
    port: int | None = None
    key: str | None = None

    @classmethod
    def parse(cls, text: str, key: str | os.PathLike[str] | None = None) -> SSHServer:
        """Read ``user@host:port``, of which user and port may be missing.

        Raises
        ------
        ValueError
            It is something else.
        """
        destination, colon, port = text.rpartition(":")
        if not colon:
            destination, port = text, ""
        if not destination or destination.startswith("-") or (colon and not port.isdecimal()):
            raise ValueError(f"sshserver is 'host', 'user@host' or 'user@host:port', not {text!r}")
        path = None if key is None else os.fspath(key)
        return cls(destination, int(port) if port else None, path)

    def command(self, forwards: Sequence[tuple[str, str]]) -> list[str]:
        """Return the command that forwards, from addresses here to addresses there."""
        command = ["ssh", "-T"]
        for option in _OPTIONS:
            command += ["-o", option]
        if self.port is not None:
            command += ["-p", str(self.port)]
        if self.key is not None:
            command += ["-i", os.path.expanduser(self.key)]
        for here, there in forwards:
            command += ["-L", f"{here}:{there}"]
        return [*command, "--", self.destination, "cat"]


class Tunnel:
    """A running ssh that forwards the streams of a hub.

    Parameters
    ----------
    info
        The hub's connection file.
    server
        Where to log in: the hub's machine, or one that reaches its TCP ports.
    timeout
        How long (seconds) to wait for it.

    Attributes
    ----------
    info : ConnectionInfo
        How to reach the hub through the tunnel.
    prefer : str
        The way to take there: ``'tcp'`` or ``'ipc'``.

    Raises
    ------
    HubUnavailable
        There is no ssh, or it cannot log in or forward; the message has what it says.
    """

    def __init__(self, info: ConnectionInfo, server: SSHServer, timeout: float) -> None:
        self._directory = Path(tempfile.mkdtemp(prefix="ctrlhub-ssh-"))
        self._words = self._directory / "words"
        self._started: list[subprocess.Popen[bytes]] = []
        self._close = finalize(self, _end, self._started, self._directory, os.getpid())
        try:
            self._open(info, server, timeout)
        except BaseException:
            self.close()
            raise

    def _open(self, info: ConnectionInfo, server: SSHServer, timeout: float) -> None:
        here: Mapping[Stream, str]
        if info.tcp:
            self.prefer: Literal["ipc", "tcp"] = "tcp"
            here = {stream: f"tcp://127.0.0.1:{port}" for stream, port in _ports(info.tcp).items()}
            self.info = replace(info, tcp=here)
            there = info.tcp
        else:
            self.prefer = "ipc"
            here = {stream: f"ipc://{self._directory}/{stream.value}" for stream in info.ipc}
            self.info = replace(info, ipc=here)
            there = info.ipc
        forwards = [(_plain(here[stream]), _plain(there[stream])) for stream in there]
        self._start(server, forwards)
        end = time.monotonic() + timeout
        for address in here.values():
            while not _answers(address):
                if self._has_ended() or time.monotonic() > end:
                    raise self._failure(server, timeout)
                time.sleep(POLL)

    def _start(self, server: SSHServer, forwards: Sequence[tuple[str, str]]) -> None:
        with self._words.open("wb") as words:
            try:
                process = subprocess.Popen(
                    server.command(forwards),
                    stdin=subprocess.PIPE,
                    stdout=subprocess.DEVNULL,
                    stderr=words,
                    start_new_session=True,  # Ctrl-C is meant for us
                )
            except FileNotFoundError:
                raise HubUnavailable(
                    "there is no `ssh` on this machine, which sshserver=... needs: install "
                    "OpenSSH's client"
                ) from None
        self._started.append(process)

    def _has_ended(self) -> bool:
        return all(process.poll() is not None for process in self._started)

    def _failure(self, server: SSHServer, timeout: float) -> HubUnavailable:
        ended = self._has_ended()
        said = self._words.read_bytes()[-MAX_WORDS:].decode(errors="replace").strip()
        what = "failed" if ended else f"did not forward within {timeout:g} s"
        return HubUnavailable(
            f"ssh to {server.destination} {what}: {said or 'it does not say why'}. See that "
            f"`ssh {server.destination}` works without a question (with a key or an agent), and "
            "that its server allows forwarding"
        )

    def close(self) -> None:
        """End it; twice is harmless."""
        self._close()


class TunnelLink(ZeroMQLink):
    """A link through a tunnel, which is closed with it.

    Parameters
    ----------
    tunnel
        The tunnel.
    keys, context
        As for `ZeroMQLink`.
    """

    def __init__(self, tunnel: Tunnel, keys: KeyPair, context: zmq.Context[Any] | None) -> None:
        super().__init__(tunnel.info, keys, tunnel.prefer, context)
        self._tunnel = tunnel

    def close(self) -> None:
        """Close everything."""
        super().close()
        self._tunnel.close()


def _end(started: list[subprocess.Popen[bytes]], directory: Path, pid: int) -> None:
    if os.getpid() != pid:
        return  # a fork's copy: the tunnel is the other process's
    for process in started:
        process.terminate()
        process.communicate()  # closes its input, and waits for its end
    shutil.rmtree(directory, ignore_errors=True)


def _ports(addresses: Mapping[Stream, str]) -> dict[Stream, int]:
    """Return a free port for each; all are held until each is found, so that they differ."""
    held = [socket.create_server(("127.0.0.1", 0)) for _ in addresses]
    try:
        return {s: each.getsockname()[1] for s, each in zip(addresses, held, strict=True)}
    finally:
        for each in held:
            each.close()


def _plain(address: str) -> str:
    """Return an address as ssh writes it."""
    return address.partition("://")[2]


def _answers(address: str) -> bool:
    """Say whether somebody accepts connections."""
    if address.startswith("ipc://"):
        return os.path.exists(_plain(address))
    host, _, port = _plain(address).rpartition(":")
    try:
        socket.create_connection((host, int(port)), timeout=1.0).close()
    except OSError:
        return False
    return True

"""A way to a hub through ssh, which is made again when it breaks.

One ``ssh`` forwards every stream. A hub that listens on TCP is reached through ports of this
machine, with CURVE as ever; one that does not, through sockets in a private directory, since ssh
forwards those of its user as well. The far end runs ``cat``: what it says back shows that ssh is in,
and it ends with this process however that ends, and ssh with it.

The near ends stay the same however often ssh is started again: whoever connects to them only sees a
connection that was lost, and comes back by itself.
"""

from __future__ import annotations

import logging
import os
import shutil
import socket
import subprocess
import tempfile
import time
import weakref
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from random import Random
from secrets import token_hex
from threading import Condition, Thread
from typing import Any, Literal

import zmq

from ctrlhub.link.patience import Backoff, Patience
from ctrlhub.link.zeromq import ZeroMQLink
from ctrlhub.wire.connection import ConnectionInfo
from ctrlhub.wire.errors import HubUnavailable
from ctrlhub.wire.messages import Stream
from ctrlhub.wire.security import KeyPair
from ctrlhub.wire.ssh import SSHServer

MAX_WORDS = 4096
"""So much (bytes) of what ssh says is told."""

AGAIN = Patience(first=0.2, factor=2.0, longest=20.0, jitter=0.5)
"""How long to wait before ssh is started again: a gateway that comes back must not meet everybody at once."""

STEADY = 30.0
"""An ssh that forwarded for so long (seconds) was no failure: the next is started after the first wait."""

_log = logging.getLogger(__name__)


class Tunnel:
    """An ssh that forwards the streams of a hub, and is started again when it ends.

    Parameters
    ----------
    info
        The hub's connection file.
    server
        Where to log in: the hub's machine, or one that reaches its TCP ports.

    Attributes
    ----------
    info : ConnectionInfo
        How to reach the hub through the tunnel.
    prefer : str
        The way to take there: ``'tcp'`` or ``'ipc'``.
    directory : Path
        A private directory, which goes with the tunnel.
    """

    def __init__(self, info: ConnectionInfo, server: SSHServer) -> None:
        self.server = server
        self.directory = Path(tempfile.mkdtemp(prefix="ctrlhub-ssh-"))
        here: Mapping[Stream, str]
        ends: Mapping[str, str]
        if info.tcp:
            self.prefer: Literal["ipc", "tcp"] = "tcp"
            near = _near_ends([*info.tcp.values(), *filter(None, [info.bulk])])
            here = {stream: near[address] for stream, address in info.tcp.items()}
            self.info = replace(info, tcp=here, bulk=near.get(info.bulk, ""), ssh="")
            ends = near
        else:
            self.prefer = "ipc"
            here = {stream: f"ipc://{self.directory}/{stream.value}" for stream in info.ipc}
            self.info = replace(info, ipc=here, ssh="")
            ends = {info.ipc[stream]: address for stream, address in here.items()}
        forwards = [(_plain(near), _plain(far)) for far, near in ends.items()]
        self._ssh = _Ssh(server.command(forwards), server.destination, self.directory / "words")
        self._close = weakref.finalize(self, _end, self._ssh, self.directory, os.getpid())
        _tunnels.add(self)
        self._ssh.begin()

    @property
    def is_open(self) -> bool:
        """Whether ssh is in, and forwards."""
        return self._ssh.is_open

    @property
    def pid(self) -> int | None:
        """The process of the ssh that runs now; None while there is none."""
        return self._ssh.pid

    def failure(self) -> str | None:
        """Say why it last did not stand; None while it does, or before it has failed."""
        return self._ssh.failure

    def wait(self, timeout: float) -> None:
        """Wait until it stands, for at most `timeout` seconds.

        Raises
        ------
        HubUnavailable
            There is no ssh, or it cannot log in or forward; the message has what it says.
        """
        if not self._ssh.wait(timeout):
            raise HubUnavailable(self._ssh.failure or self._ssh.too_slow(timeout))

    def close(self) -> None:
        """End it; twice is harmless."""
        self._close()

    def _leave_to_parent(self) -> None:
        """In a fork's copy: hold nothing open that is the other process's."""
        self._close.detach()
        self._ssh.let_go()


class TunnelLink(ZeroMQLink):
    """A link through a tunnel, which is closed with it.

    Parameters
    ----------
    tunnel
        The tunnel.
    keys, context
        As for `ZeroMQLink`.
    """

    def __init__(self, tunnel: Tunnel, keys: KeyPair, context: zmq.Context[Any] | None = None) -> None:
        super().__init__(tunnel.info, keys, tunnel.prefer, context)
        self.tunnel = tunnel

    def failure(self) -> str | None:
        """Say why the connection last failed: that of ssh, if it was that."""
        failure = super().failure()
        return failure and (self.tunnel.failure() or failure)

    def close(self) -> None:
        """Close everything."""
        super().close()
        self.tunnel.close()


class _Ssh:
    """One ssh after another, each started by a thread that waits for its end.

    It knows nothing of the tunnel, so that one that nobody wants any more is closed.
    """

    def __init__(self, command: list[str], destination: str, words: Path) -> None:
        self._command = command
        self._destination = destination
        self._words = words
        self._news = Condition()
        self._process: subprocess.Popen[bytes] | None = None
        self._ending = False
        self._thread = Thread(target=self._run, name="ctrlhub-ssh", daemon=True)
        self.is_open = False
        self.failure: str | None = None

    def begin(self) -> None:
        """Start the first."""
        self._thread.start()

    @property
    def pid(self) -> int | None:
        """The process that runs now."""
        process = self._process
        return None if process is None else process.pid

    def wait(self, timeout: float) -> bool:
        """Wait until it is open, or has failed for the first time; say whether it is open."""
        with self._news:
            self._news.wait_for(lambda: self.is_open or self.failure is not None, timeout)
            return self.is_open

    def end(self) -> None:
        """End it for good."""
        with self._news:
            self._ending = True
            process = self._process
            self._news.notify_all()
        if process is not None:
            process.terminate()
        self._thread.join()

    def let_go(self) -> None:
        """Close what leads to a process that is somebody else's child."""
        process = self._process
        if process is not None:
            for stream in (process.stdin, process.stdout):
                if stream is not None:
                    os.close(stream.fileno())

    def too_slow(self, timeout: float) -> str:
        """Say that it did not open in time."""
        return self._explain(f"did not forward within {timeout:g} s")

    def _run(self) -> None:
        again = Backoff(AGAIN.first, AGAIN, Random())
        while True:
            begun = time.monotonic()
            failure = self._attend()
            now = time.monotonic()
            if now - begun > STEADY:
                again.restart()
            again.asked(now)
            with self._news:
                was_open, self.is_open, self.failure = self.is_open, False, failure
                self._process = None
                self._news.notify_all()
                if not self._ending:
                    _log.log(logging.WARNING if was_open else logging.INFO, "%s", failure)
                if self._news.wait_for(lambda: self._ending, again.due - now):
                    return

    def _attend(self) -> str:
        """Start one, and wait for its end; say why it ended."""
        if shutil.which("ssh") is None:
            return (
                "there is no `ssh` on this machine, which a way through an ssh server needs: install "
                "OpenSSH's client"
            )
        try:
            process = self._start()
        except OSError as error:  # no process or descriptor to be had: that may pass
            return f"ssh to {self._destination} could not be started: {error}"
        assert process.stdin is not None
        assert process.stdout is not None
        word = token_hex(8).encode()
        try:
            process.stdin.write(word + b"\n")
        except BrokenPipeError:
            process.wait()
        for line in process.stdout:  # what else is there was said by the far end's shell
            if word in line:
                with self._news:
                    self.is_open, self.failure = True, None
                    self._news.notify_all()
        process.wait()
        process.stdin.close()
        process.stdout.close()
        return self._explain("failed" if not self.is_open else "has ended")

    def _start(self) -> subprocess.Popen[bytes]:
        with self._news, self._words.open("wb") as words:
            process = subprocess.Popen(
                [*_dying_with_us(), *self._command],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=words,
                bufsize=0,
                start_new_session=True,  # Ctrl-C is meant for us
            )
            self._process = process
            if self._ending:
                process.terminate()
        return process

    def _explain(self, what: str) -> str:
        try:
            said = self._words.read_bytes()[-MAX_WORDS:].decode(errors="replace").strip()
        except OSError:
            said = ""
        return (
            f"ssh to {self._destination} {what}: {said or 'it does not say why'}. See that "
            f"`ssh {self._destination}` works without a question (with a key or an agent), and "
            "that its server allows forwarding"
        )


def _dying_with_us() -> list[str]:
    """Return what comes before a command for it to end when the thread that has started it does.

    Its input ends as well, but ssh stays for as long as anybody has a connection through it, and a fork's
    copy of us may have ours.
    """
    setpriv = shutil.which("setpriv")
    return [] if setpriv is None else [setpriv, "--pdeathsig", "TERM", "--"]


def _end(ssh: _Ssh, directory: Path, pid: int) -> None:
    if os.getpid() != pid:
        return  # a fork's copy: the tunnel is the other process's
    ssh.end()
    shutil.rmtree(directory, ignore_errors=True)


def _near_ends(far: Sequence[str]) -> dict[str, str]:
    """Return a free port of this machine for each address; all are held until each is found, so that they differ."""
    held = [socket.create_server(("127.0.0.1", 0)) for _ in far]
    try:
        return {a: f"tcp://127.0.0.1:{each.getsockname()[1]}" for a, each in zip(far, held, strict=True)}
    finally:
        for each in held:
            each.close()


def _plain(address: str) -> str:
    """Return an address as ssh writes it."""
    return address.partition("://")[2]


_tunnels: weakref.WeakSet[Tunnel] = weakref.WeakSet()


def _leave_tunnels_to_parent() -> None:
    # A copy that held ssh's input open would keep ssh, and the far end, when this process has died.
    for tunnel in tuple(_tunnels):
        tunnel._leave_to_parent()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_leave_tunnels_to_parent)

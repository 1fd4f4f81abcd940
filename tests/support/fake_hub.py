"""A hub of a few lines, for tests of engines and nannies as real processes."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import zmq

from ctrlhub.engine.config import NannyConfig
from ctrlhub.wire.codec import decode, encode
from ctrlhub.wire.connection import ConnectionInfo, Here
from ctrlhub.wire.functions import encode as encode_function
from ctrlhub.wire.ids import from_ranges, to_ranges
from ctrlhub.wire.messages import (
    Action,
    Beat,
    EngineDied,
    Goodbye,
    Hello,
    Message,
    Register,
    Registered,
    Results,
    Role,
    RunCommand,
    RunTasks,
    SayHello,
    Stored,
    Stream,
    Welcome,
)
from ctrlhub.wire.serialize import dumps, loads

PATIENCE = 60.0
"""How long (seconds) to wait for what must happen."""

LEASE = 600.0


@dataclass
class Peer:
    """An engine or nanny that has registered."""

    registration: Register
    number: int
    routes: dict[Stream, bytes] = field(default_factory=dict)
    held: dict[Stream, list[int]] = field(default_factory=dict)


class FakeHub:
    """Lets everyone in, echoes beats, acknowledges results, and remembers what it was told."""

    def __init__(self, lease: float = LEASE) -> None:
        self.directory = Path(tempfile.mkdtemp(prefix="ctrlhub-"))
        self.connection = self.directory / "connection-engine.json"
        self.lease = lease
        self.acknowledges = True
        self.peers: dict[bytes, Peer] = {}
        self.heard: list[tuple[Peer, Message]] = []
        self.results: dict[int, tuple[Any, ...]] = {}
        self.nannies: list[Nanny] = []
        self._deaths = 0
        self._context = zmq.Context()
        self._sockets: dict[Stream, zmq.Socket[bytes]] = {}
        self._poller = zmq.Poller()
        self.open()

    # ------------------------------------------------------------ its life

    def open(self) -> None:
        """Listen, and write the connection file."""
        self.epoch = f"epoch {time.monotonic_ns()}"
        home = self.directory / "s"
        home.mkdir(0o700, exist_ok=True)
        addresses = {stream: f"ipc://{home / stream.value}" for stream in Stream}
        for stream in Stream:
            socket = self._sockets[stream] = self._context.socket(zmq.ROUTER)
            socket.linger = 0
            socket.bind(addresses[stream])
            self._poller.register(socket, zmq.POLLIN)
        here = Here.find()
        ConnectionInfo(
            profile="test",
            role=Role.ENGINE,
            epoch=self.epoch,
            hub_pid=os.getpid(),
            hub_started=time.time(),
            boot_id=here.boot_id,
            uid=here.uid,
            host=here.host,
            python="3",
            package="0",
            ipc=addresses,
        ).write(self.connection)

    def vanish(self) -> None:
        """Be gone, as after a kill: nothing is said, and nothing remembered."""
        for socket in self._sockets.values():
            self._poller.unregister(socket)
            socket.close()
        self._sockets.clear()
        self.peers.clear()

    def close(self) -> None:
        """End, and remove every trace, also of nannies that a test has left."""
        for nanny in self.nannies:
            nanny.close()
        self.vanish()
        self._context.destroy(linger=0)
        shutil.rmtree(self.directory)

    # ------------------------------------------------------------ hearing

    def until(self, condition: Callable[[], Any], what: str = "what was expected") -> Any:
        """Serve until a condition holds, and return its value."""
        deadline = time.monotonic() + PATIENCE
        while not (value := condition()):
            assert time.monotonic() < deadline, f"not within {PATIENCE} s: {what}"
            self._serve(0.05)
        return value

    def _serve(self, timeout: float) -> None:
        ready = dict(self._poller.poll(timeout * 1000))
        for stream, socket in self._sockets.items():
            if socket in ready:
                route, header, *frames = socket.recv_multipart()
                self._hear(stream, route, decode(header, frames))

    def _hear(self, stream: Stream, route: bytes, message: Message) -> None:
        if isinstance(message, Register):
            self._register(route, message)
            return
        if isinstance(message, Hello):
            self._hello(stream, route, message)
            return
        peer = next((p for p in self.peers.values() if p.routes.get(stream) == route), None)
        if peer is None:
            self._say(stream, route, SayHello())
            return
        self.heard.append((peer, message))
        if isinstance(message, Beat):
            self._say(stream, route, Beat())
        elif isinstance(message, Results):
            for row in message.rows:
                ref = row[3]
                payload = ref if isinstance(ref, bytes) else message.frames[ref[0] : sum(ref)]
                self.results[row[0]] = (*row[:3], payload, *row[4:])
            if self.acknowledges:
                self._say(stream, route, Stored(to_ranges(row[0] for row in message.rows)))
        elif isinstance(message, Goodbye):
            del self.peers[peer.registration.incarnation]

    def _register(self, route: bytes, message: Register) -> None:
        known = self.peers.get(message.incarnation)
        peer = known or Peer(message, len(self.peers) + 1)
        self.peers[message.incarnation] = peer
        peer.routes[Stream.HUB] = route
        answer = Registered(
            session=peer.number,
            token=message.incarnation,
            engine_id=peer.number,
            epoch=self.epoch,
            resumed=known is not None,
            beat=0.1,
            suspect=1.0,
            lease=self.lease,
        )
        self._say(Stream.HUB, route, answer)

    def _hello(self, stream: Stream, route: bytes, message: Hello) -> None:
        peer = self.peers.get(message.token)
        if peer is None:
            self._say(stream, route, SayHello())
            return
        peer.routes[stream] = route
        peer.held[stream] = list(from_ranges(message.held))
        self._say(stream, route, Welcome(self.epoch))

    def _say(self, stream: Stream, route: bytes, message: Message) -> None:
        self._sockets[stream].send_multipart([route, *encode(message)])

    # ------------------------------------------------------------ asking

    def of_role(self, role: Role) -> list[Peer]:
        """Return the peers of a role."""
        return [p for p in self.peers.values() if p.registration.role == role.value]

    def engines(self, count: int) -> list[Peer]:
        """Wait until so many engines have joined, and return them."""

        def joined() -> list[Peer]:
            ready = [p for p in self.of_role(Role.ENGINE) if len(p.routes) == 3]
            return ready if len(ready) >= count else []

        found: list[Peer] = self.until(joined, f"{count} engines")
        return found

    def nanny(self) -> Peer:
        """Wait for the nanny, and return it."""
        found: Peer = self.until(lambda: next(iter(self.of_role(Role.NANNY)), None), "a nanny")
        return found

    def said(self, kind: type[Message], peer: Peer | None = None) -> list[Any]:
        """Return the messages of a kind that came, from one peer or from all."""
        return [m for p, m in self.heard if isinstance(m, kind) and peer in (None, p)]

    def send(self, peer: Peer, stream: Stream, message: Message) -> None:
        """Send a message to a peer."""
        self._say(stream, peer.routes[stream], message)

    def begin(self, peer: Peer, number: int, action: Action, value: Any) -> None:
        """Send a command."""
        payload = dumps(value)
        frames: tuple[Any, ...] = ()
        if not isinstance(payload, bytes):
            frames, payload = payload, (0, len(payload))  # type: ignore[assignment]
        command = RunCommand(number, action.value, payload, frames=frames)
        self.send(peer, Stream.MULTIENGINE, command)

    def execute(self, peer: Peer, number: int, code: str) -> None:
        """Send plain code to execute."""
        self.begin(peer, number, Action.EXECUTE, {"code": code, "silent": True})

    def map(self, peer: Peer, first: int, function: Callable[..., Any], *values: Any) -> None:
        """Send a task for each value."""
        digest, blob = encode_function(function)
        rows = [(first + n, 0, 0, dumps(((value,), {}))) for n, value in enumerate(values)]
        message = RunTasks([(digest, 0, 3, "")], rows, [(digest, blob)])  # type: ignore[arg-type]
        self.send(peer, Stream.TASK, message)

    def result(self, number: int) -> tuple[int, Any]:
        """Wait for the end of a request, and return its status and its value or failure."""
        row = self.until(lambda: self.results.get(number), f"a result of request {number}")
        return row[2], loads(row[3]) if row[2] == 0 else row[3]

    def death(self) -> EngineDied:
        """Wait for the next report of a death that was not returned yet, and return it."""
        self.until(lambda: len(self.said(EngineDied)) > self._deaths, "a report of a death")
        found: EngineDied = self.said(EngineDied)[self._deaths]
        self._deaths += 1
        return found


class Nanny:
    """A nanny's process, and its end of the lifeline."""

    def __init__(self, hub: FakeHub, engines: int, **options: Any) -> None:
        logs = hub.directory / "logs"
        logs.mkdir(0o700, exist_ok=True)
        self.logs = logs
        config = NannyConfig(str(hub.connection), engines, str(logs), **options)
        self.process = subprocess.Popen(
            [sys.executable, "-m", "ctrlhub.engine"], stdin=subprocess.PIPE
        )
        assert self.process.stdin is not None
        self.process.stdin.write(config.to_json().encode() + b"\n")
        self.process.stdin.flush()
        self.lifeline = self.process.stdin
        hub.nannies.append(self)

    def end(self) -> int:
        """Let go of the lifeline, and return the exit code."""
        self.lifeline.close()
        return self.process.wait(PATIENCE)

    def close(self) -> None:
        """Let go, and make sure of the end."""
        self.lifeline.close()
        try:
            self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

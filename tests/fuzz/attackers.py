"""Attackers: who says what was changed, and how they behave otherwise."""

from __future__ import annotations

import os
import pickle
import platform
import struct
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

import zmq

from ctrlhub.wire import messages as m
from ctrlhub.wire.codec import decode, encode
from ctrlhub.wire.connection import ConnectionInfo
from ctrlhub.wire.errors import CtrlHubError
from ctrlhub.wire.messages import Message, Role, Stream
from ctrlhub.wire.security import KeyPair
from ctrlhub.wire.versions import versions
from tests.fuzz.bulk_attackers import BulkAttacker
from tests.fuzz.mutation import Mutator
from tests.fuzz.traffic import Corpus
from tests.support.intruder import OPEN, READY, curve, dial

BURST = 20
"""Messages that one attacker says in its turn, at most."""

PATIENCE_MS = 20_000
"""How long the hub may take to answer who registers as everybody does."""

WELL_STREAM = 0.9
"""This part of the messages goes to the stream where it would be right."""


@dataclass(slots=True)
class Lines:
    """Sockets of one attacker, one for each stream that it has used."""

    context: zmq.Context[zmq.Socket[bytes]]
    addresses: Mapping[Stream, str]
    options: Mapping[str, Any]
    sockets: dict[Stream, zmq.Socket[bytes]] = field(default_factory=dict)

    def on(self, stream: Stream) -> zmq.Socket[bytes]:
        """Return the socket of a stream."""
        if stream not in self.sockets:
            socket = self.context.socket(zmq.DEALER)
            socket.linger = 0
            for option, value in self.options.items():
                setattr(socket, option, value)
            socket.connect(self.addresses[stream])
            self.sockets[stream] = socket
        return self.sockets[stream]

    def say(self, stream: Stream, frames: Sequence[bytes]) -> bool:
        """Say something, if there is room."""
        try:
            self.on(stream).send_multipart(frames, zmq.NOBLOCK)
        except zmq.Again:
            return False
        return True

    def ask(self, stream: Stream, message: Message) -> Message | None:
        """Say something right, and return the first answer; None where none comes."""
        socket = self.on(stream)
        self.say(stream, [bytes(each) for each in encode(message)])
        if not socket.poll(PATIENCE_MS):
            return None
        header, *frames = socket.recv_multipart()
        with suppress(CtrlHubError):
            return decode(header, frames)
        return None

    def read(self) -> int:
        """Take what has come; return how many messages."""
        count = 0
        for socket in self.sockets.values():
            while socket.poll(0):
                socket.recv_multipart()
                count += 1
        return count

    def close(self) -> None:
        """Close everything."""
        for socket in self.sockets.values():
            socket.close(0)


class Attacker:
    """One that speaks ZeroMQ: a stranger, or a peer of some role that has registered as it should.

    Parameters
    ----------
    lines
        Its sockets.
    mutator, random
        What it says, and chance.
    role
        What it registers as; None for a stranger.
    """

    def __init__(self, lines: Lines, mutator: Mutator, random: Random, role: Role | None) -> None:
        self._lines, self._mutator, self._random = lines, mutator, random
        self._reads = random.random() < 0.8
        self.left = random.choice((5, 50, 200))
        """So many messages until it goes."""
        self._session = 1
        self._token = b""
        self.bulk = b""
        """What would let its bulk connection in."""
        self.unanswered = False
        """It registered as everybody does, and heard nothing."""
        if role is not None:
            self._join(role)

    def _join(self, role: Role) -> None:
        key = self._lines.options.get("curve_publickey", os.urandom(20).hex().encode()).decode()
        answer = self._lines.ask(
            Stream.HUB,
            m.Register(
                role.value, key, os.urandom(16), os.getpid(), platform.node(), versions(),
                parts=self._random.random() < 0.5, bulk=self._random.random() < 0.5,
            ),
        )  # fmt: skip
        self.unanswered = answer is None
        if isinstance(answer, m.Registered):
            self._session, self._token, self.bulk = answer.session, answer.token, answer.bulk
            for stream in (Stream.MULTIENGINE, Stream.TASK, Stream.IOPUB):
                if role is not Role.NANNY and self._random.random() < 0.95:
                    self._lines.say(stream, [bytes(each) for each in encode(m.Hello(self._token))])

    def act(self) -> int:
        """Say some messages; return how many."""
        said = 0
        for _ in range(self._random.randint(1, BURST)):
            stream, frames = self._mutator.next(self._session)
            if self._random.random() > WELL_STREAM:
                stream = self._random.choice(list(Stream))
            said += self._lines.say(stream, frames)
        if self._reads:
            self._lines.read()
        self.left -= said or 1
        return said

    def leave(self) -> None:
        """Go: with a goodbye, or just so."""
        if self._random.random() < 0.3:
            self._lines.say(Stream.HUB, [bytes(each) for each in encode(m.Goodbye("enough"))])
        self._lines.close()


class Noise:
    """One that speaks no ZeroMQ, or not for long: bytes on a bare connection."""

    def __init__(self, address: str, mutator: Mutator, random: Random) -> None:
        self._mutator, self._random = mutator, random
        self.left = random.choice((1, 5, 50))
        self.unanswered = False
        self._socket = dial(address)
        self._socket.setblocking(False)
        for part in (OPEN, READY):
            self._send(self._spoilt(part) if random.random() < 0.3 else part)

    def act(self) -> int:
        """Send a message, frame by frame, each perhaps spoilt."""
        self.left -= 1
        _, frames = self._mutator.next(1)
        for k, frame in enumerate(frames[:5]):
            flags = (k < len(frames) - 1) | 2
            size = len(frame) if self._random.random() < 0.7 else self._random.choice((0, 2**31, 2**62))
            self._send(self._spoilt(bytes([flags]) + size.to_bytes(8, "big") + frame))
        return 1

    def _spoilt(self, data: bytes) -> bytes:
        changed = bytearray(data)
        if changed and self._random.random() < 0.3:
            changed[self._random.randrange(len(changed))] = self._random.randrange(256)
        return bytes(changed)

    def _send(self, data: bytes) -> None:
        try:
            self._socket.send(data)
        except OSError:
            self.left = 0  # it was hung up on, or the other side takes no more

    def leave(self) -> None:
        """Hang up."""
        self._socket.close()


@dataclass(frozen=True, slots=True)
class Attack:
    """What a process of attackers is told."""

    corpus: Corpus
    for_clients: Path
    for_engines: Path
    seed: int
    size: int
    """How many attackers there are at a time."""
    counts: Path
    """Where to write how many messages they said, how many they were, how many were not answered."""


COUNTS = struct.Struct("QQQ")


def attack(orders: Attack) -> None:
    """Attack until this process is ended."""
    random = Random(orders.seed)
    mutator = Mutator(orders.corpus, random)
    files = map(ConnectionInfo.load, (orders.for_clients, orders.for_engines))
    crowd = Crowd(*files, mutator, random, orders.size)
    counts = os.open(orders.counts, os.O_WRONLY | os.O_CREAT, 0o600)
    while True:
        crowd.turn()
        os.pwrite(counts, COUNTS.pack(crowd.said, crowd.came, crowd.unanswered), 0)


class Crowd:
    """All attackers, who come and go.

    Parameters
    ----------
    for_clients, for_engines
        The connection files.
    mutator, random
        What they say, and chance.
    size
        How many there are at a time.
    """

    def __init__(
        self,
        for_clients: ConnectionInfo,
        for_engines: ConnectionInfo,
        mutator: Mutator,
        random: Random,
        size: int,
    ) -> None:
        self._infos = {Role.ADMIN: for_clients, Role.ENGINE: for_engines, Role.NANNY: for_engines}
        self._mutator, self._random, self._size = mutator, random, size
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._here: list[Attacker | Noise | BulkAttacker] = []
        self.said = self.came = self.unanswered = 0

    def turn(self) -> None:
        """Let one come if there is room, and one speak."""
        if len(self._here) < self._size:
            self._come()
        one = self._random.choice(self._here)
        self.said += one.act()
        if one.left <= 0:
            self._here.remove(one)
            one.leave()

    def _come(self) -> None:
        self.came += 1
        role = self._random.choice((Role.ADMIN, Role.ADMIN, Role.ENGINE, Role.ENGINE, Role.NANNY, None))
        info = self._infos[role or Role.ADMIN]
        tcp = self._random.random() < 0.5
        addresses = info.tcp if tcp else info.ipc
        if role is None and self._random.random() < 0.5:
            address = addresses[self._random.choice(list(Stream))]
            with suppress(OSError):
                self._here.append(Noise(address, self._mutator, self._random))
                return
        newcomer = Attacker(
            Lines(self._context, addresses, self._keys(info, role) if tcp else {}),
            self._mutator,
            self._random,
            role,
        )
        self.unanswered += newcomer.unanswered
        self._here.append(newcomer)
        if tcp and (newcomer.bulk or (role is None and self._random.random() < 0.5)):
            self._attack_bulk(info.bulk, newcomer.bulk)

    def _attack_bulk(self, address: str, let_in: bytes) -> None:
        """Let one come to the port for bulk connections: with a pass, or a stranger."""
        try:
            one = BulkAttacker(address, let_in, self._random)
        except OSError:
            return  # it was hung up on
        self.unanswered += one.unanswered
        self._here.append(one)

    def _keys(self, info: ConnectionInfo, role: Role | None) -> Mapping[str, Any]:
        """Return the options of a peer with a key of its own, or of one with the enrolment key."""
        assert info.enrolment is not None
        door = curve(info.server_key, info.enrolment)
        if role is None:
            return door
        own = KeyPair.generate()
        lines = Lines(self._context, info.tcp, door)
        self.unanswered += lines.ask(Stream.HUB, m.Enrol(own.public)) is None
        lines.close()
        return curve(info.server_key, own)


if __name__ == "__main__":
    attack(pickle.load(sys.stdin.buffer))

"""Attackers of the port for bulk connections: strangers, and peers who seal what no peer would say."""

from __future__ import annotations

import os
import socket
from contextlib import suppress
from random import Random

from ctrlhub.wire.bulk import HEAD, HELLO_BYTES, MAGIC, Pass, PeerEnd, Rooms
from ctrlhub.wire.errors import CtrlHubError
from ctrlhub.wire.limits import BULK_PART_BYTES
from ctrlhub.wire.messages import Part, Stream

PATIENCE = 20.0
"""Seconds within which the hub greets a peer."""

LARGEST = 4096


def connect(address: str) -> socket.socket:
    """Connect to a port, as ``tcp://host:port``."""
    host, _, port = address.removeprefix("tcp://").rpartition(":")
    return socket.create_connection((host, int(port)), PATIENCE)


class BulkAttacker:
    """One with a bulk connection: a peer's, if it has a pass, or a stranger's.

    Parameters
    ----------
    address
        Where the hub takes bulk connections.
    let_in
        What a registration gave; empty for a stranger.
    random
        Chance.

    Attributes
    ----------
    left
        So many records until it goes.
    unanswered
        It did as a peer should, and was not let in.
    """

    def __init__(self, address: str, let_in: bytes, random: Random) -> None:
        self._random = random
        self.left = random.choice((2, 20, 100))
        self.unanswered = False
        self._end: PeerEnd | None = None
        self._socket = connect(address)
        if let_in and random.random() < 0.9:
            self._greet(Pass.of(let_in))
        else:
            self._send(self._nonsense(let_in))
        self._socket.setblocking(False)

    def _greet(self, let_in: Pass) -> None:
        end = PeerEnd(let_in, os.urandom(32), Rooms())
        try:
            while not end.is_ready:
                while end.unsent:
                    self._socket.sendall(end.unsent.popleft())
                data = b""
                while len(data) < end.wants:
                    some = self._socket.recv(end.wants - len(data))
                    if not some:
                        self.left = 0  # its session may have been ended by another attacker
                        return
                    data += some
                end.take(data)
        except TimeoutError:
            self.unanswered = True
            self.left = 0
        except (OSError, CtrlHubError):
            self.left = 0
        else:
            self._end = end

    def _nonsense(self, let_in: bytes) -> bytes:
        greeting = MAGIC + let_in[:16].ljust(16, b"?") + os.urandom(32)
        kind = self._random.randrange(4)
        if kind == 0:
            return greeting + os.urandom(self._random.randrange(LARGEST))
        if kind == 1:
            return greeting[: self._random.randrange(HELLO_BYTES)]
        if kind == 2:
            return os.urandom(self._random.randrange(LARGEST))
        return b""

    def act(self) -> int:
        """Say something that a peer would not."""
        self.left -= 1
        if self._end is None:
            self._send(os.urandom(self._random.randrange(LARGEST)))
        elif self._random.random() < 0.05:
            length = self._random.choice((0, 16, 17, BULK_PART_BYTES, 2**32 - 1))
            self._send(HEAD.pack(length, self._random.randrange(5), 1, 1) + os.urandom(100))
        else:
            self._say(self._end)
        with suppress(OSError):
            self._socket.recv(LARGEST)
        return 1

    def _say(self, end: PeerEnd) -> None:
        """Seal a part of a transfer that may be there, or never was."""
        stream = self._random.choice((Stream.MULTIENGINE, Stream.TASK))
        number = self._random.choice((0, 1, 2, 3, 2**63, 2**64 - 1))
        offset = self._random.choice((0, 1, 64, 65536, 2**63, 2**64 - 1))
        chunk = os.urandom(self._random.choice((1, 7, LARGEST)))
        end.seal(stream, Part(number, offset, (), True, [chunk]))
        while end.unsent:
            self._send(bytes(end.unsent.popleft()))

    def _send(self, data: bytes) -> None:
        try:
            self._socket.sendall(data)
        except OSError:
            self.left = 0  # it was hung up on, or the other side takes no more

    def leave(self) -> None:
        """Hang up."""
        self._socket.close()

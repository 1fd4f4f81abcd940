"""The socket of a bulk connection, at either end: reads what its machine wants, writes what that says.

Parts are sealed when there is room to write them, so that what waits is read from where it stands,
and no more than one part of it is in memory.
"""

from __future__ import annotations

import socket
from collections import deque

from ctrlhub.wire.bulk import HELLO_BYTES, Arrived, Channel, Rooms
from ctrlhub.wire.errors import AuthenticationError, CtrlHubError
from ctrlhub.wire.messages import Part, Stream

BUDGET = 1024 * 1024
"""The most bytes that are written before others have their turn."""

WORTH_A_TURN = 256 * 1024
"""Of a part, so much is awaited (bytes) before it is read."""

BROKEN = (OSError, CtrlHubError, ImportError)
"""What ends a bulk connection, and nothing else; an installation without its cipher, too."""


class BulkSocket:
    """Moves bytes between a connected socket and its machine, without ever blocking.

    Parameters
    ----------
    connected
        The socket, which this object closes.
    channel
        Its machine.
    rooms
        Buffers for what comes.

    Attributes
    ----------
    is_awaited : bool
        Whoever waits for it waits for room to write, too.
    """

    def __init__(self, connected: socket.socket, channel: Channel, rooms: Rooms) -> None:
        self.channel = channel
        self._rooms = rooms
        self._socket = connected
        self._pending: deque[tuple[Stream, Part]] = deque()
        self._small = self._buffer = bytearray(HELLO_BYTES)
        self._got = self._written = 0
        self._low = 1
        self.is_awaited = False
        connected.setblocking(False)
        connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connected.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)

    def fileno(self) -> int:
        """Return the socket's descriptor."""
        return self._socket.fileno()

    @property
    def is_open(self) -> bool:
        """Whether it was not closed."""
        return self._socket.fileno() >= 0

    @property
    def is_ready(self) -> bool:
        """Whether parts may be sent."""
        return self.channel.is_ready

    @property
    def has_unsent(self) -> bool:
        """Whether something waits for room to be written."""
        return bool(self.channel.unsent) or (self.channel.is_ready and bool(self._pending))

    def send(self, stream: Stream, part: Part) -> None:
        """Have a part leave."""
        self._pending.append((stream, part))

    def read(self) -> Arrived | None:
        """Take what has come, up to the next part, which is to be taken on before more is read.

        Raises
        ------
        OSError, CtrlHubError
            The connection has ended, or is to be.
        """
        channel = self.channel
        while True:
            wants = channel.wants
            if wants > len(self._buffer):
                self._buffer = self._rooms.take()
            try:
                found = self._socket.recv_into(memoryview(self._buffer)[self._got : wants])
            except (BlockingIOError, InterruptedError):
                self._wake_at(min(wants - self._got, WORTH_A_TURN))
                return None
            if not found:
                raise ConnectionResetError("the other side has closed it")
            self._got += found
            if self._got == wants:
                self._got = 0
                part = channel.take(memoryview(self._buffer)[:wants])
                if self._buffer is not self._small:
                    self._rooms.give_back(self._buffer)
                    self._buffer = self._small
                if part is not None:
                    self._wake_at(1)  # what follows may be less than what was awaited
                    return part

    def _wake_at(self, nbytes: int) -> None:
        """Have the system say that there is something to read when there is so much."""
        if nbytes != self._low and self._low:
            try:
                self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, nbytes)
                self._low = nbytes
            except OSError:
                self._low = 0  # this system does not; it costs turns of the loop

    def write(self) -> None:
        """Write what there is room for, up to a budget.

        Raises
        ------
        OSError, CtrlHubError
            The connection has ended, or is to be.
        """
        left = BUDGET
        while left > 0 and self._fill():
            try:
                found = self._write_some()
            except (BlockingIOError, InterruptedError):
                return
            left -= found
            self._written += found
            self._drop_written()
        self.channel.rest()

    def _fill(self) -> bool:
        unsent = self.channel.unsent
        if not unsent and self._pending and self.channel.is_ready:
            if self.channel.is_used_up:
                raise AuthenticationError("a bulk connection has lasted too long: make another")
            self.channel.seal(*self._pending.popleft())
        return bool(unsent)

    def _write_some(self) -> int:
        first, *others = self.channel.unsent
        chunks = [memoryview(first)[self._written :], *others]
        if hasattr(self._socket, "sendmsg"):
            return int(self._socket.sendmsg(chunks))
        return self._socket.send(chunks[0])

    def _drop_written(self) -> None:
        unsent = self.channel.unsent
        while unsent and self._written >= len(unsent[0]):
            self._written -= len(unsent.popleft())

    def close(self) -> None:
        """Close it, with whatever waits."""
        self._pending.clear()
        self._socket.close()

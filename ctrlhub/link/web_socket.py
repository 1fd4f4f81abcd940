"""One WebSocket that stands: what is to leave, what has come, and when anything was heard."""

from __future__ import annotations

import socket
import ssl
import time
from collections import deque

from websockets.client import ClientProtocol
from websockets.frames import CloseCode, Frame, Opcode
from websockets.protocol import State

from ctrlhub.wire.web import WEB_ANSWER_BYTES

CHUNK = 256 * 1024
"""So much (bytes) is read at once."""

MOST_READ = 4 * CHUNK
"""And so much before what has come is handed on."""

STEADY = 10.0
"""A connection that stood for so long (seconds) was a good one."""

MOMENT = 0.001
"""The shortest wait (seconds): none would mean not to wait at all."""

BROKEN = (OSError, EOFError)
"""What is raised where a connection has broken; `ssl.SSLError` is an `OSError`."""

_LATER = (BlockingIOError, InterruptedError, ssl.SSLWantReadError, ssl.SSLWantWriteError)


class WebSocket:
    """A connection, moved by one thread at a time.

    Parameters
    ----------
    made
        Its socket, which waits for nothing.
    protocol
        What it speaks, after its handshake.

    Attributes
    ----------
    descriptor : int
        Of the socket.
    events : int
        What its owner waits for.
    heard : float
        When something last came.
    is_probed : bool
        The other side was asked for a word since.
    reason : str
        Why the other side has closed it; empty if it has not.
    """

    __slots__ = (
        "_began", "_fragments", "_fragments_bytes", "_messages", "_protocol", "_socket", "_unsent",
        "descriptor", "events", "heard", "is_probed", "reason",
    )  # fmt: skip

    def __init__(self, made: socket.socket, protocol: ClientProtocol) -> None:
        self._socket = made
        self._protocol = protocol
        self._unsent: deque[memoryview] = deque()
        self._messages: list[bytes | bytearray | memoryview] = []
        self._fragments: list[bytes] = []
        self._fragments_bytes = 0
        self._began = self.heard = time.monotonic()
        self.is_probed = False
        self.descriptor = made.fileno()
        self.events = 0
        self.reason = ""
        self._sort()

    @property
    def has_unsent(self) -> bool:
        """Whether something waits for room."""
        return bool(self._unsent)

    @property
    def has_pending(self) -> bool:
        """Whether something is here already of which the system does not tell any more."""
        made = self._socket
        return bool(self._messages) or (isinstance(made, ssl.SSLSocket) and made.pending() > 0)

    def next_look(self, probe: float, dead: float) -> float:
        """Tell when a silence is to be looked at: after so many seconds, and after so many more."""
        return self.heard + (dead if self.is_probed else probe)

    @property
    def was_steady(self) -> bool:
        """Whether it stood for long enough to be taken for a good one."""
        return time.monotonic() - self._began >= STEADY

    def send(self, message: bytes) -> bool:
        """Send a message; tell whether some of it waits for room."""
        self._protocol.send_binary(message)
        return self.write()

    def probe(self) -> None:
        """Ask the other side for a word."""
        self.is_probed = True
        self._protocol.send_ping(b"")
        self.write()

    def write(self) -> bool:
        """Send what there is room for; tell whether there is more.

        Raises
        ------
        OSError
            The connection has broken.
        """
        unsent = self._unsent
        for data in self._protocol.data_to_send():
            if data:  # nothing stands for an end that we do not announce
                unsent.append(memoryview(data))
        send = self._socket.send
        try:
            while unsent:
                first = unsent[0]
                sent = send(first)
                if sent == len(first):
                    unsent.popleft()
                else:
                    unsent[0] = first[sent:]
        except _LATER:
            return True
        return False

    def read(self) -> None:
        """Read what has come.

        Raises
        ------
        OSError, EOFError
            The connection has broken, or was closed.
        """
        left = MOST_READ
        protocol, recv = self._protocol, self._socket.recv
        try:
            while left > 0:
                data = recv(CHUNK)
                if not data:
                    raise EOFError("the other side has closed it")
                self.heard, self.is_probed = time.monotonic(), False
                protocol.receive_data(data)
                left -= len(data)
                if len(data) < CHUNK and not isinstance(self._socket, ssl.SSLSocket):
                    break  # mostly there is no more, and to ask costs as much as to read
        except _LATER:
            pass
        finally:
            self._sort()
        if protocol.writes:
            self.write()
        if protocol.state is not State.OPEN:
            raise EOFError(self.reason or "the other side does not speak WebSocket as it should")

    def take(self) -> list[bytes | bytearray | memoryview]:
        """Take the messages that have come."""
        messages, self._messages = self._messages, []
        return messages

    def say_goodbye(self, timeout: float) -> None:
        """Say that it ends, and wait until the other side has closed it, too (seconds).

        To close it at once, with something on its way to us, would have the system take back what we
        said last.
        """
        end = time.monotonic() + timeout
        if self._protocol.state is State.OPEN:
            self._protocol.send_close(CloseCode.NORMAL_CLOSURE)
        try:
            self.write()
            while self._unsent:
                self._socket.settimeout(max(MOMENT, end - time.monotonic()))
                self._socket.sendall(self._unsent[0])
                self._unsent.popleft()
            while time.monotonic() < end:
                self._socket.settimeout(max(MOMENT, end - time.monotonic()))
                if not self._socket.recv(CHUNK):
                    return
        except OSError:
            return  # whoever is gone, or busy, needs no goodbye

    def close(self) -> None:
        """Close it, with whatever has not left."""
        self._socket.close()

    def _sort(self) -> None:
        """Put together the messages of what has come."""
        for event in self._protocol.events_received():
            if not isinstance(event, Frame):
                continue
            opcode = event.opcode
            if opcode is Opcode.BINARY and event.fin:
                self._messages.append(event.data)
            elif opcode is Opcode.BINARY or opcode is Opcode.CONT:
                self._gather(event)
            elif opcode is Opcode.CLOSE and self._protocol.close_rcvd is not None:
                self.reason = str(self._protocol.close_rcvd)

    def _gather(self, frame: Frame) -> None:
        """Take a piece of a message: something between us and the gateway has cut it."""
        self._fragments.append(bytes(frame.data))
        self._fragments_bytes += len(frame.data)
        if self._fragments_bytes > WEB_ANSWER_BYTES:
            raise EOFError("a message is larger than one may be")
        if frame.fin:
            self._messages.append(b"".join(self._fragments))
            self._fragments.clear()
            self._fragments_bytes = 0

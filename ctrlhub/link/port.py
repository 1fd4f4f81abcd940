"""One socket of a ZeroMQ link, and what is known of its connection."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from random import SystemRandom

import zmq

from ctrlhub.link.base import Arrival
from ctrlhub.wire.errors import HubNotFound
from ctrlhub.wire.messages import Buffer, Stream
from ctrlhub.wire.security import KeyPair

BUDGET = 256
"""The most messages of one stream that one `receive` takes."""

RECONNECT_MS = 20
RECONNECT_MAX_MS = 1000
"""The first and the longest pause between ZeroMQ's own attempts to connect."""

REOPEN_FIRST = 0.1
REOPEN_LONGEST = 5.0
"""The first and the longest pause (seconds) after a handshake that failed."""

REOPEN_JITTER = 0.3
"""By up to this share the pause is shorter."""

HANDSHAKE_MS = 30_000
CONNECT_MS = 5000
"""How long a handshake, and the making of a TCP connection, may take.

The hub is strict with who connects and keeps silent; a peer has nothing to guard, and where thousands
come at once, to give up and begin anew is work for a hub that has too much of it already.
"""

HEARTBEAT_MS = 2000
HEARTBEAT_TIMEOUT_MS = 10_000
"""On TCP, how often the connection is probed, and how long it may be dead."""

MAX_FRAME_BYTES = 1 << 36
"""No frame is larger: a length beyond this is damage, not data."""

# Plain integers: pyzmq's enums cost more than the calls they are for.
NOBLOCK = int(zmq.NOBLOCK)
MORE = int(zmq.SNDMORE | zmq.NOBLOCK)
POLLIN = int(zmq.POLLIN)
EVENTS = zmq.EVENTS  # this one stays what it is: pyzmq looks plain numbers up

# The method beneath pyzmq's wrapper, which looks for options that no stream here has.
send_frame = zmq.backend.Socket.send

NEVER = float("inf")

_random = SystemRandom()
"""Not the random numbers of user code, nor those that forked engines have in common."""

_WATCHED = (
    zmq.EVENT_HANDSHAKE_SUCCEEDED
    | zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL
    | zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL
    | zmq.EVENT_HANDSHAKE_FAILED_AUTH
    | zmq.EVENT_DISCONNECTED
    | zmq.EVENT_CLOSED
)


@dataclass(frozen=True, slots=True)
class Curve:
    """Under which keys a socket connects."""

    server_key: str
    own: KeyPair


class Port:
    """One stream's socket, and what is known of its connection.

    Parameters
    ----------
    stream, address
        What it carries, and where the hub serves that.
    curve
        The keys; None over ipc.

    Attributes
    ----------
    unsure
        Its descriptor may not tell of messages that are there: ask before waiting for it.
    ready
        It seems to have messages.
    backlog
        It had more than one when it was last asked.
    connected
        The connection stands.
    failure
        Why it last did not stand.
    reopen_due
        When to open it again, where a failed handshake closed it.
    """

    __slots__ = (
        "address",
        "backlog",
        "connected",
        "curve",
        "failure",
        "fd",
        "monitor",
        "monitor_fd",
        "pause",
        "ready",
        "reopen_due",
        "socket",
        "stream",
        "unsure",
    )

    def __init__(self, stream: Stream, address: str, curve: Curve | None) -> None:
        self.stream = stream
        self.address = address
        self.curve = curve
        self.socket: zmq.Socket[bytes] | None = None
        self.monitor: zmq.Socket[bytes] | None = None
        self.fd = self.monitor_fd = -1
        self.ready = self.unsure = self.backlog = False
        self.connected = False
        self.failure: str | None = None
        self.pause = REOPEN_FIRST
        self.reopen_due = NEVER

    def open(self, context: zmq.Context[zmq.Socket[bytes]]) -> tuple[int, int]:
        """Connect; return the descriptors of the socket and of its monitor.

        Raises
        ------
        HubNotFound
            The address is none.
        zmq.ZMQError
            There are no descriptors for it.
        """
        try:
            self._make(context)
        except zmq.ZMQError:
            self.close(0)
            raise
        return self.fd, self.monitor_fd

    def _make(self, context: zmq.Context[zmq.Socket[bytes]]) -> None:
        self.socket = context.socket(zmq.DEALER)
        self.monitor = self.socket.get_monitor_socket(_WATCHED)
        self.fd, self.monitor_fd = self.socket.FD, self.monitor.FD
        self.reopen_due = NEVER
        self._configure(self.socket)
        try:
            self.socket.connect(self.address)
        except zmq.ZMQError as error:
            self.close(0)
            raise HubNotFound(f"cannot connect to {self._where()}: {error}") from error
        self.unsure = True

    def put_off(self, error: zmq.ZMQError, now: float) -> None:
        """Take note that it cannot be opened for now."""
        self.failure = f"no socket for {self._where()}: {error}"
        self._pause(now)

    def _pause(self, now: float) -> None:
        # At random: those whose handshakes failed together must not come back together.
        self.reopen_due = now + self.pause * (1.0 - REOPEN_JITTER * _random.random())
        self.pause = min(2 * self.pause, REOPEN_LONGEST)

    def _configure(self, socket: zmq.Socket[bytes]) -> None:
        socket.setsockopt(zmq.SNDHWM, 0)
        socket.setsockopt(zmq.RECONNECT_IVL, RECONNECT_MS)
        socket.setsockopt(zmq.RECONNECT_IVL_MAX, RECONNECT_MAX_MS)
        socket.setsockopt(zmq.HANDSHAKE_IVL, HANDSHAKE_MS)
        socket.setsockopt(zmq.MAXMSGSIZE, MAX_FRAME_BYTES)
        if self.curve is not None:
            socket.setsockopt(zmq.IPV6, 1)
            socket.setsockopt(zmq.CONNECT_TIMEOUT, CONNECT_MS)
            socket.setsockopt(zmq.HEARTBEAT_IVL, HEARTBEAT_MS)
            socket.setsockopt(zmq.HEARTBEAT_TIMEOUT, HEARTBEAT_TIMEOUT_MS)
            socket.setsockopt(zmq.CURVE_SERVERKEY, self.curve.server_key.encode("ascii"))
            socket.setsockopt(zmq.CURVE_PUBLICKEY, self.curve.own.public.encode("ascii"))
            socket.setsockopt(zmq.CURVE_SECRETKEY, self.curve.own.secret.encode("ascii"))

    def close(self, linger: int) -> None:
        """Close; what was sent has `linger` milliseconds to leave."""
        if self.monitor is not None and self.socket is not None:
            self.socket.disable_monitor()
            self.monitor.close(0)
        if self.socket is not None:
            self.socket.close(linger)
        self.socket = self.monitor = None
        self.ready = self.unsure = False
        self.connected = False

    def send(self, frames: Sequence[Buffer]) -> None:
        """Send one message, without ever blocking."""
        if self.socket is None:
            return
        self.unsure = True
        socket = self.socket
        try:
            if len(frames) == 1:
                send_frame(socket, frames[0], NOBLOCK)
                return
            send_frame(socket, frames[0], MORE)
            for frame in frames[1:-1]:
                send_frame(socket, frame, MORE, False)
            send_frame(socket, frames[-1], NOBLOCK, False)
        except zmq.Again:
            # There is no high-water mark: only a connection that the hub refused a moment ago
            # takes nothing, and whatever is said on it will be said again.
            return

    def has_messages(self) -> bool:
        """Ask the socket whether it has messages."""
        socket = self.socket
        return socket is not None and bool(socket.getsockopt(EVENTS) & POLLIN)  # type: ignore[operator]

    def take(self, arrivals: list[Arrival]) -> None:
        """Take messages until there are none, or the budget is spent.

        After the first of them it does not ask whether there are more, unless there were before:
        mostly it is alone, and somebody waits for what it brings.
        """
        socket = self.socket
        if socket is None:
            return
        stream = self.stream
        # Taking a frame and asking it whether more follow is cheaper than asking the socket.
        recv = socket.recv
        for _ in range(BUDGET):
            try:
                frame = recv(NOBLOCK, False, False)
            except zmq.Again:
                return
            header = frame.bytes
            frames: list[Buffer] = []
            while frame.more:
                frame = recv(NOBLOCK, False, False)
                frames.append(frame.buffer)
            arrivals.append((stream, header, frames))
            if not self.backlog:
                break
            if not self.has_messages():
                self.backlog = False
                return
        self.unsure = True

    def news(self) -> list[int]:
        """Take what happened to the connection: the events that its monitor saw."""
        news: list[int] = []
        if self.monitor is None:
            return news
        while True:
            try:
                event, _ = self.monitor.recv_multipart(NOBLOCK)
            except zmq.Again:
                return news
            news.append(struct.unpack_from("=H", event)[0])

    def learn(self, event: int, now: float) -> None:
        """Take note of an event; after a failed handshake the socket is to be closed for a while."""
        if event == zmq.EVENT_HANDSHAKE_SUCCEEDED:
            self.connected = True
            self.failure = None
            self.pause = REOPEN_FIRST
            return
        self.connected = False
        where = self._where()
        if event == zmq.EVENT_DISCONNECTED:
            self.failure = f"the connection to {where} was lost"
        elif event == zmq.EVENT_CLOSED:
            self.failure = f"nothing answers for {where}"
        else:
            self.failure = _explain_handshake(event, where, self.curve)
            self._pause(now)

    def _where(self) -> str:
        return f"the hub's {self.stream.value} stream at {self.address}"


def _explain_handshake(event: int, where: str, curve: Curve | None) -> str:
    if event == zmq.EVENT_HANDSHAKE_FAILED_AUTH:
        return f"{where} refused our key; take the hub's current connection file"
    if event == zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL:
        return f"what listens in place of {where} does not speak its protocol"
    if curve is None:
        return f"{where} broke off the handshake"
    return (
        f"{where} broke off the handshake; most likely its key is not the one in the connection"
        " file: take the hub's current one"
    )

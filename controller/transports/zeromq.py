"""The ZeroMQ transport: one ROUTER per stream, on ipc or on TCP.

Over ipc the kernel keeps other users out: the sockets lie in a directory of mode 0700. Over TCP every
connection is CURVE, and ZAP asks :class:`~ctrlhub.wire.security.KeyRegistry` for each handshake.

Its options answer faults that were measured: a ROUTER at its high-water mark drops silently, so it is
mandatory to deliver, and the hub counts credit itself; silent connections starve a listener for the default 30 s of
the handshake; the default backlog and socket limit end at a thousand peers.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import zmq
from zmq import zmq_poll

from ctrlhub.controller.core.effects import Connection
from ctrlhub.controller.transports.base import LARGE, Loop, Receiver
from ctrlhub.wire.limits import MAX_CONTROL_BYTES, MAX_FRAME_BYTES, MAX_HELLO_BYTES
from ctrlhub.wire.messages import Buffer, Stream

if TYPE_CHECKING:
    from ctrlhub.wire.security import KeyPair

HANDSHAKE_MS = 5000
BACKLOG = 4096
LINGER_MS = 1000
"""How long a closing hub waits for its last words to leave."""

MOST_UNREAD = 100_000
"""The most messages kept for a connection that does not read them.

Credit keeps what we have to say far below. Who provokes more answers than this, and reads none, is
taken for gone: what matters is said again after its next hello.
"""

MOST_UNSEEN = 256
"""The most messages on iopub kept for a connection that does not read them; it loses what follows."""

KEEPALIVE = 5
KEEPALIVE_COUNT = 2
"""After so many seconds without a word, and then as often, the system probes a TCP connection, which has
failed when that was in vain so many times."""

UNHEARD_MS = 15_000
"""So long what was sent over TCP may stay unacknowledged by the peer's system until the connection has failed."""

_LARGEST = {Stream.HUB: MAX_CONTROL_BYTES, Stream.IOPUB: MAX_HELLO_BYTES}

_GONE = (zmq.EHOSTUNREACH, zmq.EAGAIN)

# The method beneath pyzmq's wrapper, which looks for options that no stream here has.
send_frame = zmq.backend.Socket.send

# As plain numbers: pyzmq's flags are enumerations, whose arithmetic costs more than a system call.
NOBLOCK = int(zmq.NOBLOCK)
MORE = int(zmq.SNDMORE | zmq.NOBLOCK)
POLLIN = int(zmq.POLLIN)


class ZeroMQTransport:
    """Listens on one address per stream.

    Parameters
    ----------
    context
        The process's ZeroMQ context.
    endpoints
        What to bind for each stream; ``tcp://host:*`` lets the system choose the port.
    server
        The hub's key pair: with it, every connection is CURVE.
    """

    def __init__(
        self,
        context: zmq.Context[zmq.Socket[bytes]],
        endpoints: Mapping[Stream, str],
        server: KeyPair | None = None,
    ) -> None:
        self._curve = server is not None
        self._number = -1
        self._loop: Loop | None = None
        self._sockets: dict[Stream, zmq.Socket[bytes]] = {}
        try:
            for stream in Stream:
                socket = context.socket(zmq.ROUTER)
                self._sockets[stream] = socket
                _configure(socket, stream, server)
                socket.setsockopt(zmq.IPV6, "[" in endpoints[stream])
                socket.bind(endpoints[stream])
        except zmq.ZMQError:
            self.close()
            raise
        self._streams = {socket: stream for stream, socket in self._sockets.items()}
        # Those that may have messages, and whether they had one when they were last asked.
        self._unsure: dict[zmq.Socket[bytes], bool] = dict.fromkeys(self._streams, False)
        # The one whose descriptor has just said so: it is not asked first.
        self._signals: zmq.Socket[bytes] | None = None

    def addresses(self) -> Mapping[Stream, str]:
        """Return where each stream listens."""
        return {
            stream: socket.getsockopt_string(zmq.LAST_ENDPOINT).rstrip("\0")
            for stream, socket in self._sockets.items()
        }

    def start(self, number: int, loop: Loop, ready: Callable[[], None]) -> None:
        """Begin to pass on messages."""
        self._number, self._loop = number, loop
        for socket in self._sockets.values():
            loop.watch(_descriptor(socket), partial(self._signalled, socket, ready))
        loop.soon(ready)

    def _signalled(self, socket: zmq.Socket[bytes], ready: Callable[[], None]) -> None:
        self._unsure.setdefault(socket, False)
        self._signals = socket
        ready()

    def receive(self, receiver: Receiver, budget: int) -> int:
        """Pass on waiting messages, `budget` per stream at most; return how many.

        The descriptors of ZeroMQ sockets are edge triggered, and sending may take the signal of a
        message that arrived. So a socket that was signalled or sent on is unsure until it was asked
        and had nothing; the hub calls until this returns 0. One that was signalled mostly has a
        message, and to ask it costs as much as to take that. The first message of several is passed
        on alone, since mostly there are none behind it, and somebody waits for what it brings. What
        is small goes first: streams are in the order in which they are named.
        """
        taken = 0
        unsure, self._unsure = self._unsure, {}
        signals, self._signals = self._signals, None
        try:
            for socket, stream in self._streams.items():
                had_one = unsure.get(socket)
                if had_one is None or (socket is not signals and not _has_message(socket)):
                    continue
                self._unsure[socket] = True
                left = LARGE
                for _ in range(budget if had_one else 1):
                    size = self._receive_one(stream, socket, receiver)
                    if size < 0:  # the signal was of something else
                        break
                    left -= size
                    taken += 1
                    if had_one and (left <= 0 or not _has_message(socket)):
                        break
        except BaseException:  # what was not looked at gives no second signal
            self._unsure = {**unsure, **self._unsure}
            raise
        return taken

    def _receive_one(self, stream: Stream, socket: zmq.Socket[bytes], receiver: Receiver) -> int:
        """Pass on a message; return the size of its header, or -1 if there is none."""
        # Taking a frame and asking it whether more follow is cheaper than asking the socket.
        recv = socket.recv
        try:
            frame = recv(NOBLOCK, False)
        except zmq.Again:
            return -1
        connection = Connection(self._number, stream, frame.bytes)
        user = _user(frame) if self._curve else None
        header: Buffer = b""
        frames: list[Buffer] = []
        if frame.more:
            frame = recv(NOBLOCK, False)
            header = frame.bytes
            while frame.more:
                frame = recv(NOBLOCK, False)
                frames.append(frame)
        receiver(connection, user, header, frames)
        return len(header)

    def send(self, connection: Connection, frames: Sequence[Buffer]) -> bool:
        """Send a message; False when the peer's connection is gone.

        On iopub one that is too slow loses messages, and sees the gap.
        """
        socket = self._sockets[connection.stream]
        self._unsure.setdefault(socket, False)
        try:
            send_frame(socket, connection.address, MORE)
        except zmq.ZMQError as error:
            if error.errno == zmq.EAGAIN and connection.stream is Stream.IOPUB:
                return True
            if error.errno in _GONE:
                return False
            raise
        try:
            _send_rest(socket, frames)
        except BaseException:
            # Else the next address would go to this peer, as data. It cannot read such a message.
            send_frame(socket, b"", NOBLOCK)
            raise
        return True

    def close(self) -> None:
        """Close all sockets, after a moment for what was sent last."""
        for socket in self._sockets.values():
            if self._loop is not None:
                self._loop.unwatch(_descriptor(socket))
            socket.close(LINGER_MS)
        self._sockets.clear()


def _descriptor(socket: zmq.Socket[Any]) -> int:
    return int(socket.getsockopt(zmq.FD))


def _configure(socket: zmq.Socket[Any], stream: Stream, server: KeyPair | None) -> None:
    socket.setsockopt(zmq.LINGER, LINGER_MS)
    socket.setsockopt(zmq.BACKLOG, BACKLOG)
    socket.setsockopt(zmq.HANDSHAKE_IVL, HANDSHAKE_MS)
    socket.setsockopt(zmq.ROUTER_MANDATORY, 1)
    socket.setsockopt(zmq.SNDHWM, MOST_UNSEEN if stream is Stream.IOPUB else MOST_UNREAD)
    socket.setsockopt(zmq.MAXMSGSIZE, _LARGEST.get(stream, MAX_FRAME_BYTES))
    if server is not None:
        # No heartbeats of ZeroMQ's own: it looks through all of its timers to cancel one, which with the
        # connections of thousands of engines takes all of its thread's time.
        socket.setsockopt(zmq.TCP_KEEPALIVE, 1)
        socket.setsockopt(zmq.TCP_KEEPALIVE_IDLE, KEEPALIVE)
        socket.setsockopt(zmq.TCP_KEEPALIVE_INTVL, KEEPALIVE)
        socket.setsockopt(zmq.TCP_KEEPALIVE_CNT, KEEPALIVE_COUNT)
        socket.setsockopt(zmq.TCP_MAXRT, UNHEARD_MS)
        socket.setsockopt(zmq.CURVE_SERVER, 1)
        socket.setsockopt(zmq.CURVE_SECRETKEY, server.secret.encode())
        socket.setsockopt(zmq.CURVE_PUBLICKEY, server.public.encode())
        socket.setsockopt(zmq.ZAP_DOMAIN, stream.value.encode())
        socket.setsockopt(zmq.ZAP_ENFORCE_DOMAIN, 1)  # where nobody decides, nobody comes in


def _has_message(socket: zmq.Socket[bytes]) -> bool:
    # Its option says the same, but pyzmq looks the option up for longer than this takes.
    return bool(zmq_poll([(socket, POLLIN)], 0))


def _user(frame: zmq.Frame) -> str:
    """Return the public key that CURVE proved for a message; "" when nobody vouches for it."""
    try:
        return str(frame.get("User-Id"))
    except zmq.ZMQError:
        return ""


def _send_rest(socket: zmq.Socket[Any], frames: Sequence[Buffer]) -> None:
    if len(frames) == 1:
        send_frame(socket, frames[0], NOBLOCK)
        return
    send_frame(socket, frames[0], MORE)
    for frame in frames[1:-1]:
        send_frame(socket, frame, MORE, False)
    send_frame(socket, frames[-1], NOBLOCK, False)

"""A link over ZeroMQ: one socket for each stream, over ipc, or over TCP with CURVE.

Theory of operation
-------------------
ZeroMQ's descriptors are edge triggered: one becomes readable when something happens to its socket,
and any call on the socket may take that news off it. So a socket that was sent on, or left with
messages unread, is asked whether it has any before the descriptors are waited for; every other one
is known to have none. Measured against the alternatives (zmq.Poller, zmq_poll, asking each socket
each time), this costs the least time and CPU for each message.

ZeroMQ reconnects by itself when a connection breaks or nobody listens, but after a handshake that
was refused it never tries again, and after one that was broken off it tries every 20 ms for ever.
So a socket whose handshake failed is closed here, and opened again after a growing pause; so is one
for which this process has no file descriptor.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from threading import RLock
from typing import Any, Literal

import zmq

from ctrlhub.link.base import Arrival
from ctrlhub.link.bulk import BulkLine
from ctrlhub.link.polling import make_poller
from ctrlhub.link.port import NEVER, POLLIN, Curve, Port
from ctrlhub.link.provision import make_context, prepare_sending
from ctrlhub.link.sleep import asleep
from ctrlhub.link.wakeup import Wakeup
from ctrlhub.wire.connection import ConnectionInfo, Route
from ctrlhub.wire.errors import HubNotFound
from ctrlhub.wire.messages import Buffer, Stream
from ctrlhub.wire.sealed import can_seal
from ctrlhub.wire.security import KeyPair

LINGER_MS = 1000
"""How long a closing link waits for what was just sent to leave."""

ORDER = (Stream.MULTIENGINE, Stream.TASK, Stream.IOPUB, Stream.HUB)
"""The order in which streams are read. The hub stream is last: what a hub sent before it died is
taken in before its successor lets us in."""


class ZeroMQLink:
    """A peer's connection to the hub over ZeroMQ; implements `ctrlhub.link.base.Link`.

    Parameters
    ----------
    info
        The connection file of the peer's role.
    keys
        The peer's own key pair, which is enrolled over TCP; over ipc it is not used.
    prefer
        Take this way; None takes ipc where it reaches the hub, else TCP.
    context
        A context for the sockets, which is not ended with them; None makes one.

    Raises
    ------
    HubNotFound
        If the hub does not listen for this place, or not in the preferred way.
    OSError
        If this process has no descriptors left.
    """

    sleeps_in_system = True

    def __init__(
        self,
        info: ConnectionInfo,
        keys: KeyPair,
        prefer: Literal["ipc", "tcp"] | None = None,
        context: zmq.Context[Any] | None = None,
    ) -> None:
        route = _choose(info, prefer)
        self._addresses = route.addresses
        self._curve: Curve | None = None
        self._enrolment: Curve | None = None
        if route.uses_curve:
            assert info.enrolment is not None  # ConnectionInfo promises it beside TCP addresses
            self._curve = Curve(info.server_key, keys)
            self._enrolment = Curve(info.server_key, info.enrolment)
        self.enrolling = route.uses_curve
        self._owns_context = context is None
        if context is None:
            context = make_context()
        else:
            prepare_sending()
        self._context = context
        self._wakeup = Wakeup()
        self.lock = RLock()
        self.sleeping = False
        self._poll: Any = make_poller()
        self._poll.register(self._wakeup.fileno(), POLLIN)
        self._ports: tuple[Port, ...] = ()
        self._streams: dict[Stream, Port] = {}
        self._readers: dict[int, Port] = {}
        self._watchers: dict[int, Port] = {}
        self.bulk: BulkLine | None = None
        if route.uses_curve and info.bulk and can_seal():
            self.bulk = BulkLine(info.bulk, self._poll, self.wake)
        self._failure: str | None = None
        self._reopen_due = NEVER
        self._closed = False
        try:
            self._open_all()
        except HubNotFound:
            self.close()
            raise

    # ------------------------------------------------------------ the hot path

    def send(self, stream: Stream, frames: Sequence[Buffer]) -> None:
        """Send one message, without ever blocking; see `Link.send`."""
        port = self._streams.get(stream)
        if port is not None:
            port.send(frames)

    def receive(self, timeout: float | None) -> list[Arrival]:
        """Wait for messages, and take what is there; see `Link.receive`."""
        if self._reopen_due != NEVER:
            timeout = self._reopen(timeout)
        for port in self._ports:
            if port.unsure:
                port.unsure = False
                if port.has_messages():
                    port.ready = port.backlog = True
                    timeout = 0.0
        readers = self._readers
        if self.bulk is not None:
            self.bulk.unsure = False
        events = asleep(self, self._poll.poll, None if timeout is None else timeout * 1000)
        for fd, _ in events:
            found = readers.get(fd)
            if found is not None:
                found.ready = True
            else:
                self._attend(fd)
        arrivals: list[Arrival] = []
        for port in self._ports:
            if port.ready:
                port.ready = False
                port.take(arrivals)
        if self.bulk is not None:
            arrivals += self.bulk.take()
        return arrivals

    def missed(self) -> bool:
        """Look whether a send has taken the signal of a message that arrived; see `Link.missed`."""
        missed = self.bulk is not None and self.bulk.unsure
        for port in self._ports:
            if port.unsure:
                port.unsure = False
                if port.has_messages():
                    port.ready = missed = True
        return missed

    def wake(self) -> None:
        """Make `receive` return, from any thread."""
        self._wakeup.set()

    # ------------------------------------------------------------ what happens rarely

    def enrolled(self) -> None:
        """Open all streams under our own key."""
        if self._curve is not None:
            self.enrolling = False
            self._open_all()

    def reopen(self) -> None:
        """Open all connections anew."""
        self._open_all()

    def enrol_again(self) -> None:
        """Go back to the hub stream under the enrolment key."""
        if self._curve is not None:
            self.enrolling = True
            self._open_all()

    def failure(self) -> str | None:
        """Say why the connection last failed; None while it stands. From any thread."""
        return self._failure

    def close(self) -> None:
        """Close everything; a message that was just sent has `LINGER_MS` to leave."""
        if self._closed:
            return
        self._closed = True
        for port in self._ports:
            self._shut(port, LINGER_MS if port.connected else 0)
        self._ports = ()
        self._streams = {}
        if self.bulk is not None:
            self.bulk.close()
        self._wakeup.close()
        if self._owns_context:
            self._context.term()

    # ------------------------------------------------------------ connections

    def _open_all(self) -> None:
        for port in self._ports:
            self._shut(port, 0)
        streams: Iterable[Stream] = (Stream.HUB,) if self.enrolling else ORDER
        curve = self._enrolment if self.enrolling else self._curve
        self._ports = tuple(
            Port(stream, self._addresses[stream], curve)
            for stream in streams
            if stream in self._addresses
        )
        self._streams = {port.stream: port for port in self._ports}
        for port in self._ports:
            self._open(port)
        self._note()

    def _open(self, port: Port) -> None:
        try:
            socket, monitor = port.open(self._context)
        except zmq.ZMQError as error:
            port.put_off(error, time.monotonic())
            return
        self._readers[socket] = port
        self._watchers[monitor] = port
        self._poll.register(socket, POLLIN)
        self._poll.register(monitor, POLLIN)
        self._watch(port)

    def _shut(self, port: Port, linger: int) -> None:
        if port.socket is None:
            return
        for fd, port_of in ((port.fd, self._readers), (port.monitor_fd, self._watchers)):
            self._poll.unregister(fd)
            del port_of[fd]
        port.close(linger)

    def _attend(self, fd: int) -> None:
        watched = self._watchers.get(fd)
        if watched is not None:
            self._watch(watched)
        elif fd == self._wakeup.fileno():
            self._wakeup.clear()
        elif self.bulk is not None:
            self.bulk.attend(fd)

    def _watch(self, port: Port) -> None:
        for event in port.news():
            port.learn(event, time.monotonic())
            if event == zmq.EVENT_HANDSHAKE_FAILED_AUTH and self._is_our_key(port):
                self.enrolling = True
            if port.reopen_due != NEVER:
                self._shut(port, 0)
                break
        self._note()

    def _is_our_key(self, port: Port) -> bool:
        return port.stream is Stream.HUB and port.curve is self._curve

    def _note(self) -> None:
        failures = [port.failure for port in reversed(self._ports) if port.failure is not None]
        self._failure = failures[0] if failures else None
        self._reopen_due = min((port.reopen_due for port in self._ports), default=NEVER)

    def _reopen(self, timeout: float | None) -> float | None:
        """Open again what is due, and shorten the wait to when more will be."""
        now = time.monotonic()
        for port in self._ports:
            if port.reopen_due <= now:
                self._open(port)
        self._note()
        if self._reopen_due == NEVER:
            return timeout
        pause = max(0.0, self._reopen_due - now)
        return pause if timeout is None else min(timeout, pause)


def _choose(info: ConnectionInfo, prefer: Literal["ipc", "tcp"] | None) -> Route:
    if prefer is None:
        return info.addresses_here()
    addresses = info.ipc if prefer == "ipc" else info.tcp
    if not addresses:
        raise HubNotFound(f"the hub of profile {info.profile!r} does not listen on {prefer}")
    return Route(addresses, uses_curve=prefer == "tcp")

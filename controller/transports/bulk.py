"""The port for bulk connections: a TCP socket of the hub's, beside those of its streams.

Whoever connects has a moment to show that it is a peer, in a hundred bytes; until then it costs a
descriptor, of which strangers have a few together. What is not authentic ends its own connection, and
is counted.
"""

from __future__ import annotations

import logging
import os
import socket
import time
from collections.abc import Callable
from functools import partial
from typing import Protocol

from ctrlhub.controller.transports.base import Loop
from ctrlhub.link.bulk_socket import BROKEN, BulkSocket
from ctrlhub.wire.addresses import tcp_address
from ctrlhub.wire.bulk import DRAWN_BYTES, HubEnd, Rooms
from ctrlhub.wire.messages import Part, Stream

log = logging.getLogger(__name__)

BACKLOG = 1024
ACCEPTED_AT_ONCE = 16
"""So many are let in before the loop does something else."""

MOST_STRANGERS = 64
"""So many connections may be without proof at a time; the next takes the place of the oldest."""

HANDSHAKE_SECONDS = 3.0
"""In which a connection must show that it is a peer's."""


class Exchange(Protocol):
    """What the port asks and tells."""

    def secret_of(self, ticket: bytes) -> bytes | None:
        """Return the secret of the session that a ticket names."""

    def bulk_is_there(self, ticket: bytes) -> None:
        """Take note of a connection that is ready."""

    def bulk_is_gone(self, ticket: bytes) -> None:
        """Take note of one that was lost."""

    def bulk_was_refused(self) -> None:
        """Count one that was not a peer's."""


class BulkPort:
    """Listens for bulk connections, and moves parts on them.

    Parameters
    ----------
    listener
        A socket that listens, which this object closes.
    clock
        Gives the time in seconds.
    """

    def __init__(
        self, listener: socket.socket, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._listener = listener
        self._clock = clock
        self._loop: Loop | None = None
        self._strangers: dict[BulkSocket, float] = {}
        self._lines: dict[bytes, BulkSocket] = {}
        self._rooms = Rooms()
        self._rests = self._has_news = False
        listener.setblocking(False)

    @classmethod
    def listen(cls, host: str, port: int) -> BulkPort:
        """Listen on an address; port 0 lets the system choose.

        Raises
        ------
        OSError
            It is taken, or none of this machine.
        """
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        both = host == "::" and socket.has_dualstack_ipv6()  # as the streams do
        listener = socket.create_server(
            (host, port), family=family, backlog=BACKLOG, dualstack_ipv6=both
        )
        return cls(listener)

    @property
    def address(self) -> str:
        """Where it listens, as a connection file says it."""
        host, port = self._listener.getsockname()[:2]
        return tcp_address(host, port)

    def start(
        self,
        loop: Loop,
        exchange: Exchange,
        arrived: Callable[[bytes, Stream, Part], None],
        ready: Callable[[], None],
    ) -> None:
        """Begin to let connections in.

        Parameters
        ----------
        loop
            The hub's loop.
        exchange
            Who knows tickets, and is told of connections.
        arrived
            Is called with each part, and the ticket and stream that it belongs to.
        ready
            Is called when what follows from that is to be carried out.
        """
        self._loop, self._exchange = loop, exchange
        self._arrived, self._ready = arrived, ready
        loop.watch(self._listener.fileno(), self._accept)

    def send(self, ticket: bytes, stream: Stream, part: Part) -> bool:
        """Have a part leave; False where the connection is gone."""
        line = self._lines.get(ticket)
        if line is None:
            return False
        line.send(stream, part)
        self._attempt(line, line.write)
        return True

    def end(self, ticket: bytes, why: str) -> None:
        """Close the connection of a ticket, if there is one."""
        line = self._lines.get(ticket)
        if line is not None:
            self._drop(line, why)

    def tick(self) -> None:
        """Close connections that have not shown in time that they are peers'."""
        if self._rests and self._loop is not None:
            self._rests = False
            self._loop.watch(self._listener.fileno(), self._accept)
        now = self._clock()
        for line, until in list(self._strangers.items()):
            if now >= until:
                self._drop(line, "it did not show in time that it is a peer's")

    def close(self) -> None:
        """Close everything."""
        for line in (*self._strangers, *self._lines.values()):
            self._forget(line)
        if self._loop is not None:
            self._loop.unwatch(self._listener.fileno())
            self._loop = None
        self._listener.close()

    # ------------------------------------------------------------ connections

    def _accept(self) -> None:
        for _ in range(ACCEPTED_AT_ONCE):
            try:
                connected, _ = self._listener.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError as error:  # no descriptors: those who wait go on waiting
                log.error("a bulk connection cannot be taken: %s", error)
                self._rest()
                return
            if len(self._strangers) >= MOST_STRANGERS:
                self._drop(next(iter(self._strangers)), "too many have not shown that they are peers'")
            self._begin(connected)

    def _rest(self) -> None:
        """Let nobody in until the next tick."""
        if self._loop is not None:
            self._loop.unwatch(self._listener.fileno())
        self._rests = True

    def _begin(self, connected: socket.socket) -> None:
        assert self._loop is not None
        try:
            end = HubEnd(self._exchange.secret_of, os.urandom(DRAWN_BYTES), self._rooms)
            line = BulkSocket(connected, end, self._rooms)
        except OSError:  # it has gone already
            connected.close()
            self._exchange.bulk_was_refused()
            return
        self._strangers[line] = self._clock() + HANDSHAKE_SECONDS
        self._loop.watch(line.fileno(), partial(self._attend, line))

    def _attend(self, line: BulkSocket) -> None:
        self._attempt(line, partial(self._read_and_write, line))
        if self._has_news:
            self._has_news = False
            self._ready()

    def _read_and_write(self, line: BulkSocket) -> None:
        arrived = line.read()
        if line.is_ready and line in self._strangers:
            self._admit(line)
        if arrived is not None:
            self._has_news = True
            self._arrived(_ticket_of(line), arrived.stream, arrived.part)
        line.write()

    def _admit(self, line: BulkSocket) -> None:
        """Take a connection that has proven itself; it takes the place of its peer's former one."""
        ticket = _ticket_of(line)
        former = self._lines.get(ticket)
        if former is not None:
            self._drop(former, "its peer has made another")
        del self._strangers[line]
        self._lines[ticket] = line
        self._has_news = True
        self._exchange.bulk_is_there(ticket)

    def _attempt(self, line: BulkSocket, step: Callable[[], None]) -> None:
        assert self._loop is not None
        try:
            step()
        except BROKEN as error:
            self._drop(line, f"{type(error).__name__}: {error}")
        if line.is_open and line.has_unsent is not line.is_awaited:
            line.is_awaited = line.has_unsent
            self._loop.watch(line.fileno(), partial(self._attend, line), writes=line.has_unsent)

    def _drop(self, line: BulkSocket, why: str) -> None:
        ticket = _ticket_of(line)
        was_stranger = self._forget(line)
        if was_stranger:
            self._exchange.bulk_was_refused()
            log.warning("a bulk connection was refused: %s", why)
        else:
            log.info("a bulk connection has ended: %s", why)
            self._exchange.bulk_is_gone(ticket)
            if self._loop is not None:
                self._loop.soon(self._ready)  # perhaps in the midst of what is carried out now

    def _forget(self, line: BulkSocket) -> bool:
        """Close a connection; return whether it was a stranger's."""
        was_stranger = self._strangers.pop(line, None) is not None
        ticket = _ticket_of(line)
        if self._lines.get(ticket) is line:
            del self._lines[ticket]
        if self._loop is not None and line.is_open:
            self._loop.unwatch(line.fileno())
        line.close()
        return was_stranger


def _ticket_of(line: BulkSocket) -> bytes:
    channel = line.channel
    assert isinstance(channel, HubEnd)
    return channel.ticket

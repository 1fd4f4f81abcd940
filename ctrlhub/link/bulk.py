"""A peer's bulk connection to the hub: opened when the first large message needs it.

It is opened by a thread of its own, since to resolve a name and to wait for a firewall takes time; all
else is done by whoever leads the link. Where it cannot be had, large messages take the streams, and it
is tried again later.
"""

from __future__ import annotations

import os
import socket
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from threading import Thread
from typing import Any, Protocol

from ctrlhub.link.bulk_socket import BROKEN, BulkSocket
from ctrlhub.link.guarded_log import GuardedLog
from ctrlhub.link.polling import POLLIN, POLLOUT
from ctrlhub.wire.addresses import place_of
from ctrlhub.wire.bulk import DRAWN_BYTES, Arrived, Pass, PeerEnd, Rooms
from ctrlhub.wire.messages import Buffer, Part, Stream

CONNECT_TIMEOUT = 3.0
"""Seconds in which the connection is made, and then those in which the hub lets it in."""

PAUSE_FIRST = 5.0
PAUSE_LONGEST = 300.0
"""The first and the longest pause (seconds) until it is tried again."""

_log = GuardedLog(__name__)


class Poll(Protocol):
    """What the link waits with."""

    def register(self, descriptor: Any, events: int) -> Any:
        """Wait for a descriptor, too, or for other events of it."""

    def unregister(self, descriptor: Any) -> Any:
        """Wait for it no longer."""


class BulkLine:
    """A peer's side of its bulk connection; used by whoever has the link's lock.

    Parameters
    ----------
    address
        Where the hub takes bulk connections.
    poll
        What the link waits with.
    wake
        Makes the link return from its wait; from any thread.
    clock
        Gives the time in seconds.

    Attributes
    ----------
    has_broken : bool
        A connection was lost, or none could be had, since this was last set to False.
    unsure : bool
        The link may wait for less than it should: it is to be woken.
    """

    def __init__(
        self,
        address: str,
        poll: Poll,
        wake: Callable[[], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._address, self._place = address, place_of(address)
        self._poll = poll
        self._wake = wake
        self._clock = clock
        self._text = b""
        self._pass: Pass | None = None
        self._socket: BulkSocket | None = None
        self._descriptor = -1
        self._events = 0
        self._made: deque[tuple[int, socket.socket | OSError]] = deque()
        self._attempt = 0
        self._is_connecting = False
        self._deadline = self._not_before = 0.0
        self._pause = PAUSE_FIRST
        self._arrived: Arrived | None = None
        self._rooms = Rooms()
        self.has_broken = self.unsure = self._is_shut = False

    @property
    def is_open(self) -> bool:
        """Whether there is a connection, or one that is being made, or was lost a moment ago."""
        return self._socket is not None or self._is_connecting or self.has_broken or bool(self._made)

    @property
    def is_ready(self) -> bool:
        """Whether parts may be sent."""
        return self._socket is not None and self._socket.is_ready

    def let_in(self, text: bytes) -> None:
        """Take what a registration brought, which may be nothing."""
        if text == self._text:
            return
        self._lose()
        self._text = text
        try:
            self._pass = Pass.of(text) if text else None
        except ValueError as error:
            self._pass = None
            _log.error("the hub offers a bulk connection that cannot be used: %s", error)

    def open(self) -> bool:
        """Begin to open it, if it is not open; return whether there may be one soon."""
        if self._socket is not None or self._is_connecting:
            return True
        if self._pass is None or self._clock() < self._not_before:
            return False
        self._is_connecting = True
        self._attempt += 1
        thread = Thread(target=self._connect, args=(self._attempt,), name="ctrlhub-bulk", daemon=True)
        thread.start()
        return True

    def _connect(self, attempt: int) -> None:
        """Connect, in a thread of its own."""
        made: socket.socket | OSError
        try:
            made = socket.create_connection(self._place, CONNECT_TIMEOUT)
        except OSError as error:
            made = error
        self._made.append((attempt, made))
        if self._is_shut:
            self._drop_made()  # nobody else will
        self._wake()

    def send(self, stream: Stream, part: Part) -> None:
        """Send a part; nothing where the connection has broken, which shows in `has_broken`."""
        if self._socket is not None:
            self._socket.send(stream, part)
            self._attempt_io(self._socket.write)

    def attend(self, descriptor: int) -> bool:
        """Do what a descriptor has woken the link for; return whether it is ours."""
        if descriptor != self._descriptor or self._socket is None:
            return False
        self._attempt_io(self._read_and_write)
        return True

    def take(self) -> list[tuple[Stream, Part, list[Buffer]]]:
        """Take the part that has come, if one has, as the arrivals of a link."""
        arrived, self._arrived = self._arrived, None
        return [] if arrived is None else [(arrived.stream, arrived.part, [])]

    def tend(self) -> None:
        """Do what is due: take over what was connected, and give up what takes too long."""
        while self._made:
            self._begin(*self._made.popleft())
        if self._socket is not None and not self._socket.is_ready and self._clock() > self._deadline:
            self.give_up("the hub did not let it in in time")

    def give_up(self, why: str) -> None:
        """Close it, because it is of no use, and try again later."""
        _log.warning("no bulk connection to the hub at %s: %s; the streams are taken", self._address, why)
        self._shut()
        self.has_broken = True
        self._not_before = self._clock() + self._pause
        self._pause = min(2 * self._pause, PAUSE_LONGEST)

    def close(self) -> None:
        """Close it for good, with whatever was to leave."""
        self._is_shut = True
        self._lose()
        self._drop_made()

    def _lose(self) -> None:
        if self._socket is not None or self._is_connecting:
            self._shut()
            self.has_broken = True

    def _drop_made(self) -> None:
        """Close what was connected and nobody took; also in the thread that connects."""
        with suppress(IndexError):  # another thread has dropped the last
            while True:
                _, made = self._made.popleft()
                if not isinstance(made, OSError):
                    made.close()

    def _begin(self, attempt: int, made: socket.socket | OSError) -> None:
        if attempt != self._attempt or not self._is_connecting or self._pass is None:
            if not isinstance(made, OSError):
                made.close()  # of an attempt that was given up
            return
        self._is_connecting = False
        if isinstance(made, OSError):
            self.give_up(str(made))
            return
        self._socket = BulkSocket(
            made, PeerEnd(self._pass, os.urandom(DRAWN_BYTES), self._rooms), self._rooms
        )
        self._descriptor = made.fileno()
        self._deadline = self._clock() + CONNECT_TIMEOUT
        self._events = 0
        self._attempt_io(self._socket.write)

    def _read_and_write(self) -> None:
        assert self._socket is not None
        was_ready = self._socket.is_ready
        self._arrived = self._socket.read()
        self._socket.write()
        if self._socket.is_ready and not was_ready:
            self._pause = PAUSE_FIRST

    def _attempt_io(self, step: Callable[[], None]) -> None:
        try:
            step()
        except BROKEN as error:
            self.give_up(f"{type(error).__name__}: {error}")
            return
        assert self._socket is not None
        events = POLLIN | POLLOUT if self._socket.has_unsent else POLLIN
        if events != self._events:
            self._poll.register(self._descriptor, events)
            self._events = events
            self.unsure = True  # a wait that is under way knows nothing of it

    def _shut(self) -> None:
        self._is_connecting = False
        if self._socket is not None:
            if self._events:
                self._poll.unregister(self._descriptor)
            self._socket.close()
        self._socket, self._descriptor, self._events = None, -1, 0

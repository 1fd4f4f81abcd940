"""The transport inside one process: queues instead of sockets.

For tests, and for a hub inside a program. It moves the same frames as ZeroMQ does; a peer's end is a
link like any other (:class:`MemoryLink` has the methods of :class:`ctrlhub.link.base.Link`).
"""

from __future__ import annotations

import itertools
import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence

from ctrlhub.controller.core.effects import Connection
from ctrlhub.controller.transports.base import LARGE, Loop, Receiver
from ctrlhub.link.sleep import asleep
from ctrlhub.wire.messages import Buffer, Stream


class MemoryLink:
    """A peer's end. Everything sent is delivered, in order within each stream."""

    enrolling = False
    sleeps_in_system = False
    bulk = None

    def __init__(self, transport: MemoryTransport) -> None:
        self._transport = transport
        self._condition = threading.Condition()
        self._inbox: deque[tuple[Stream, bytes, list[Buffer]]] = deque()
        self._woken = False
        self.lock = threading.RLock()
        self.sleeping = False
        self.address = transport.enter(self)

    def send(self, stream: Stream, frames: Sequence[Buffer]) -> None:
        """Send one message to the hub."""
        self._transport.deliver(self.address, stream, bytes(frames[0]), list(frames[1:]))

    def receive(self, timeout: float | None) -> list[tuple[Stream, bytes, list[Buffer]]]:
        """Wait for messages or `wake`, up to `timeout` seconds, and take them."""
        return asleep(self, self._wait, timeout)

    def _wait(self, timeout: float | None) -> list[tuple[Stream, bytes, list[Buffer]]]:
        with self._condition:
            self._condition.wait_for(lambda: self._inbox or self._woken, timeout)
            self._woken = False
            arrived = list(self._inbox)
            self._inbox.clear()
        return arrived

    def missed(self) -> bool:
        """Return False: sending takes no signals away here."""
        return False

    def reopen(self) -> None:
        """Come back as a stranger: the hub asks for a hello, and what was lost is said again."""
        self._transport.leave(self.address)
        self.address = self._transport.enter(self)

    def put(self, stream: Stream, frames: Sequence[Buffer]) -> None:
        """Take one message from the hub."""
        with self._condition:
            self._inbox.append((stream, bytes(frames[0]), list(frames[1:])))
            self._condition.notify()

    def wake(self) -> None:
        """Make `receive` return; from any thread."""
        with self._condition:
            self._woken = True
            self._condition.notify()

    def enrolled(self) -> None:
        """Do nothing: within a process there are no keys."""

    def enrol_again(self) -> None:
        """Do nothing: within a process there are no keys."""

    def failure(self) -> str | None:
        """Return None: nothing can fail."""
        return None

    def close(self) -> None:
        """Leave the transport."""
        self._transport.leave(self.address)


class MemoryTransport:
    """The hub's end. Peers connect with :meth:`connect`, from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._addresses = itertools.count(1)
        self._links: dict[bytes, MemoryLink] = {}
        self._inbox: dict[Stream, deque[tuple[bytes, bytes, list[Buffer]]]] = {
            stream: deque() for stream in Stream
        }
        self._woken = False
        self._number = -1
        self._loop: Loop | None = None
        self._ready: Callable[[], None] = lambda: None

    def connect(self) -> MemoryLink:
        """Return a new peer's link."""
        return MemoryLink(self)

    def enter(self, link: MemoryLink) -> bytes:
        """Take in a link; return its address."""
        address = b"%d" % next(self._addresses)
        self._links[address] = link
        return address

    def leave(self, address: bytes) -> None:
        """Forget a peer's link."""
        self._links.pop(address, None)

    def deliver(self, address: bytes, stream: Stream, header: bytes, frames: list[Buffer]) -> None:
        """Take a message from a peer's thread, and wake the hub if it is not awake."""
        with self._lock:
            self._inbox[stream].append((address, header, frames))
            woken, self._woken = self._woken, True
        if not woken and self._loop is not None:
            self._loop.soon(self._ready)

    def start(self, number: int, loop: Loop, ready: Callable[[], None]) -> None:
        """Begin to pass on messages."""
        self._number, self._loop, self._ready = number, loop, ready
        loop.soon(ready)

    def receive(self, receiver: Receiver, budget: int) -> int:
        """Pass on waiting messages, `budget` per stream at most (see `Transport`); return how many."""
        taken = 0
        self._woken = False
        for stream, inbox in self._inbox.items():
            left = LARGE
            for _ in range(min(budget, len(inbox))):
                if left <= 0:
                    break
                address, header, frames = inbox.popleft()
                left -= len(header)
                taken += 1
                receiver(Connection(self._number, stream, address), None, header, frames)
        return taken

    def send(self, connection: Connection, frames: Sequence[Buffer]) -> bool:
        """Send a message; False when the peer has left."""
        link = self._links.get(connection.address)
        if link is None:
            return False
        link.put(connection.stream, frames)
        return True

    def addresses(self) -> Mapping[Stream, str]:
        """Return nothing: peers in the process need no address."""
        return {}

    def close(self) -> None:
        """Drop all links."""
        self._links.clear()

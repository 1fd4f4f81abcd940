"""Somebody between a peer and a hub: sees all bytes of a TCP connection, and may do as they like with them."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

Meddle = Callable[[bool, int, bytes], bytes | None]
"""(to the hub?, bytes that went before, bytes) -> what is passed on; None breaks off."""


def honest(to_hub: bool, before: int, data: bytes) -> bytes | None:
    """Pass everything on."""
    return data


class Interloper:
    """Listens in a hub's place, and passes on what it likes.

    Parameters
    ----------
    address
        Where the hub listens, as ``tcp://host:port``.
    meddle
        What is done to the bytes.

    Attributes
    ----------
    address
        Where it listens itself.
    connections
        How many have come.
    seen
        What went through, either way.
    """

    def __init__(self, address: str, meddle: Meddle = honest) -> None:
        host, _, port = address.removeprefix("tcp://").rpartition(":")
        self._hub = host, int(port)
        self._meddle = meddle
        self._listener = socket.create_server((host, 0))
        self.address = f"tcp://{host}:{self._listener.getsockname()[1]}"
        self.connections = 0
        self.seen = {True: bytearray(), False: bytearray()}
        self._open: list[socket.socket] = []
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            far = socket.create_connection(self._hub)
            self._open += [near, far]
            for source, sink, to_hub in ((near, far, True), (far, near, False)):
                thread = threading.Thread(target=self._pass_on, args=(source, sink, to_hub))
                self._threads.append(thread)
                thread.start()

    def _pass_on(self, source: socket.socket, sink: socket.socket, to_hub: bool) -> None:
        before = 0
        with suppress(OSError):  # the other side, or `close`, has closed one of them
            while data := source.recv(65536):
                self.seen[to_hub] += data
                passed = self._meddle(to_hub, before, data)
                if passed is None:
                    break
                before += len(data)
                sink.sendall(passed)
        for each in (source, sink):
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Close everything."""
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._threads[0].join()
        for each in self._open:
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join()
        for each in self._open:
            each.close()


@contextmanager
def between(address: str, meddle: Meddle = honest) -> Iterator[Interloper]:
    """Stand between a hub and its peers for a while."""
    interloper = Interloper(address, meddle)
    try:
        yield interloper
    finally:
        interloper.close()

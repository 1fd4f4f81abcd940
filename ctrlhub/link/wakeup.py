"""Something that can be polled, and made readable from any thread."""

from __future__ import annotations

import os
import socket
import sys
import threading
from contextlib import suppress
from typing import Protocol


class Signal(Protocol):
    """A descriptor that can be made readable, and unreadable again."""

    def fileno(self) -> int:
        """Return the descriptor to poll for reading."""

    def give(self) -> None:
        """Make it readable; more than once is harmless."""

    def take(self) -> None:
        """Make it unreadable; harmless if it is."""

    def close(self) -> None:
        """Close the descriptor."""


class PairSignal:
    """A signal on any system: a byte in a pair of connected sockets."""

    def __init__(self) -> None:
        self._read, self._write = socket.socketpair()
        self._read.setblocking(False)
        self._write.setblocking(False)
        self.fileno = self._read.fileno

    def give(self) -> None:
        """Make it readable."""
        with suppress(BlockingIOError):  # it is, very much so
            self._write.send(b"\0")

    def take(self) -> None:
        """Make it unreadable."""
        with suppress(BlockingIOError):
            while len(self._read.recv(4096)) == 4096:
                continue

    def close(self) -> None:
        """Close both sockets."""
        self._read.close()
        self._write.close()


if sys.platform == "linux":

    class EventSignal:
        """A signal on Linux: a counter in the kernel, half the price of a pair of sockets."""

        def __init__(self) -> None:
            self._fd = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)

        def fileno(self) -> int:
            """Return the descriptor to poll for reading."""
            return self._fd

        def give(self) -> None:
            """Make it readable."""
            os.eventfd_write(self._fd, 1)

        def take(self) -> None:
            """Make it unreadable."""
            with suppress(BlockingIOError):
                os.eventfd_read(self._fd)

        def close(self) -> None:
            """Close the descriptor."""
            os.close(self._fd)

    BestSignal: type[Signal] = EventSignal if hasattr(os, "eventfd") else PairSignal
else:
    BestSignal = PairSignal


class Wakeup:
    """Interrupts a poll from another thread.

    Its descriptor is readable from `set` until `clear`: any number of sets before a clear count
    as one, and none is lost between a clear and the next poll. What it is stands in the system
    alone: Ctrl-C between two steps of ours can make nothing disagree with it.

    Parameters
    ----------
    signal
        What to use; None takes the best that the system has.
    """

    def __init__(self, signal: Signal | None = None) -> None:
        self._signal = BestSignal() if signal is None else signal
        # A closed descriptor's number may already be somebody else's: never write to that.
        # A signal's handler may come here in the midst of a call of the same thread's.
        self._lock = threading.RLock()
        self._closed = False

    def fileno(self) -> int:
        """Return the descriptor to poll for reading."""
        return self._signal.fileno()

    def set(self) -> None:
        """Make the descriptor readable; harmless once closed."""
        with self._lock:
            if not self._closed:
                self._signal.give()

    def clear(self) -> None:
        """Make the descriptor unreadable."""
        with self._lock:
            if not self._closed:
                self._signal.take()

    def close(self) -> None:
        """Close the descriptor; twice is harmless."""
        with self._lock:
            if not self._closed:
                self._closed = True
                self._signal.close()

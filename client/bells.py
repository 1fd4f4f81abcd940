"""Waiting for what another thread does, with Ctrl-C striking wherever it likes.

A `threading.Condition` is Python code: an exception of a signal's handler between two of its lines
leaves its lock taken for ever, or gives back one that is not taken. A bell is a queue written in C,
which an exception enters or leaves as a whole.
"""

from __future__ import annotations

from collections.abc import Callable
from queue import Empty, SimpleQueue
from time import monotonic


class Bells:
    """The bells of those who wait; whoever changes something rings them all, from any thread."""

    __slots__ = ("_bells",)

    def __init__(self) -> None:
        self._bells: list[SimpleQueue[None]] = []

    def __len__(self) -> int:
        return len(self._bells)

    def ring(self) -> None:
        """Have all who wait look again."""
        for bell in tuple(self._bells):
            bell.put(None)

    def wait_for(self, ready: Callable[[], bool], timeout: float | None) -> bool:
        """Wait until something is so, or the timeout (seconds; None for none) is over."""
        end = None if timeout is None else monotonic() + timeout
        bells, bell = self._bells, SimpleQueue[None]()
        try:
            bells.append(bell)  # before the first look: what changes after that look rings
            while not ready():
                try:
                    bell.get(timeout=None if end is None else max(0.0, end - monotonic()))
                except Empty:
                    return ready()
            return True
        finally:  # in C alone, so that nothing strikes before it is done
            if bell in bells:
                bells.remove(bell)

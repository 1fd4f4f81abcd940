"""What an engine tells its nanny without a word: a few integers in shared memory, per slot."""

from __future__ import annotations

import mmap
import os
from collections.abc import MutableSequence
from pathlib import Path
from typing import cast

from ctrlhub.wire.private import open_private

RUNNING = 0
"""Index: the request that runs (0: none)."""
LEAVING = 1
"""Index: not 0 once the engine ends of its own accord."""
FOR_GOOD, MAKING_WAY = 1, 2
"""The values of that: nobody, or another engine, is to take its place."""
IDENTITY = 2
"""Index: the engine's id and 1 (0: it never had one). The next engine in the slot wishes for it, in case
the hub does not know either: it may have died at the same time."""
RELIEFS = 3
"""Index: how often the warm process has begun to read the engine's pipes in its place. It counts before
it reads, and holds a lock on the log until it has told how much that was."""
MISSED = 4, 5
"""Indices: how many bytes of standard output and of standard error it has read so."""
WORDS = 6
"""Index: how long the log was (bytes) when the last request ended that had put something out, or anybody
else had while none ran: what stands behind that is of what runs."""
ASKED = 7
"""Index: not 0 once the nanny asks the engine, by SIGTERM, to end: `FOR_GOOD`, or `MAKING_WAY`. The same
signal of anybody else is a death, whose engine is replaced."""
WIDTH = 8

_BYTES = 8


class Board:
    """Memory that nanny and engines share; made before any of them is forked.

    Parameters
    ----------
    slots
        How many engines there are.
    file
        Where it is found by engines that are not forked; None for those that are.
    """

    def __init__(self, slots: int, file: Path | None = None) -> None:
        size = slots * WIDTH * _BYTES
        if file is None:
            self._map = mmap.mmap(-1, size)
        else:
            descriptor = open_private(file, os.O_RDWR | os.O_CREAT)
            try:
                if os.fstat(descriptor).st_size < size:
                    os.truncate(descriptor, size)
                self._map = mmap.mmap(descriptor, size)
            finally:
                os.close(descriptor)
        self._view = memoryview(self._map).cast("q")

    def slot(self, number: int) -> MutableSequence[int]:
        """Return the integers of a slot, to be read and written in place."""
        part = self._view[number * WIDTH : (number + 1) * WIDTH]
        return cast("MutableSequence[int]", part)

    def close(self) -> None:
        """Let go of a file's memory, where nobody looks at it any more."""
        try:
            self._view.release()
            self._map.close()
        except BufferError:  # somebody holds a slot: it goes with this process
            return

    def clear(self, number: int) -> None:
        """Begin anew for another engine in a slot; what its id was stays."""
        part = self.slot(number)
        part[RUNNING] = part[LEAVING] = part[RELIEFS] = part[WORDS] = part[ASKED] = 0
        for index in MISSED:
            part[index] = 0

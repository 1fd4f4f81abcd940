"""The warm process's ends of the pipes that engines write to: their last words, and a way out.

An engine reads its pipes itself, except for two cases: it has died, or its C code holds the
interpreter's lock and writes more than a pipe takes, so that it would wait for itself. Then what
waits goes to its log from here, and the board says how much that was. What an engine has started and left alive writes on: to the log, too.
"""

from __future__ import annotations

import os
from collections.abc import MutableSequence
from dataclasses import dataclass
from pathlib import Path

from ctrlhub.engine.board import MISSED, RELIEFS, WIDTH
from ctrlhub.engine.descriptors import READ_BYTES, Pipes, pour
from ctrlhub.engine.logs import LogBound, lock

PATIENCE_MS = 500
"""How long (milliseconds) a pipe may be full before somebody else looks after it."""

SOON_MS = 20
"""When (milliseconds) to look again at one that had to be looked after."""


@dataclass(slots=True)
class _Outlet:
    """An engine's pipes and its part of the board, how much waited in them at the last look, and whether that was taken out."""

    readers: tuple[int, ...]
    log: Path
    board: MutableSequence[int]
    bound: LogBound
    waited: int = 0
    relieved: bool = False


class Outlets:
    """What may have to be read in the place of engines."""

    def __init__(self) -> None:
        self._living: dict[int, _Outlet] = {}
        self._left: list[_Outlet] = []

    @property
    def patience(self) -> int | None:
        """How long (milliseconds) to wait without a sign before `relieve`; None for ever."""
        if any(outlet.relieved for outlet in self._living.values()):
            return SOON_MS
        return PATIENCE_MS if self._living or self._left else None

    def open(self, pid: int, pipes: Pipes, log: Path, board: MutableSequence[int]) -> None:
        """Take note of an engine that was forked; it has the other ends, and a part of the board."""
        for writer in pipes.writers:
            os.close(writer)
        self._living[pid] = _Outlet(pipes.readers, log, board, LogBound(log))

    def last_words(self, pid: int) -> None:
        """Write to its log what an engine that has died has left unread."""
        outlet = self._living.pop(pid)
        outlet.board = [0] * WIDTH  # its part is the next engine's
        if _pour(outlet):
            self._left.append(outlet)

    def relieve(self) -> None:
        """Read what nobody reads."""
        self._left = [outlet for outlet in self._left if _pour(outlet)]
        for outlet in self._living.values():
            waits = max(map(_waiting, outlet.readers))
            # Twice the same is not read by anybody; little of it stops nobody.
            is_stuck = waits == outlet.waited or outlet.relieved
            outlet.relieved = waits >= READ_BYTES // 2 and is_stuck
            if outlet.relieved:
                _pour(outlet)
            outlet.waited = 0 if outlet.relieved else waits


def _waiting(pipe: int) -> int:
    import fcntl
    import termios

    answer = fcntl.ioctl(pipe, termios.FIONREAD, b"\0\0\0\0")
    return int.from_bytes(answer, "little")


def _pour(outlet: _Outlet) -> bool:
    """Write what waits to the log; return False once nobody can write any more."""
    log = _opened(outlet.log)
    try:
        if not lock(log):  # the engine counts, so it reads; or somebody cuts it
            return True
        outlet.board[RELIEFS] += 1
        can_come, written = False, 0
        for index, reader in zip(MISSED, outlet.readers, strict=True):
            nbytes, is_open = pour(reader, log)
            outlet.board[index] += nbytes
            written += nbytes
            can_come = can_come or is_open
    finally:
        os.close(log)  # and with it goes the lock
    outlet.bound.wrote(written)
    if can_come:
        return True
    for reader in outlet.readers:
        os.close(reader)
    return False


def _opened(log: Path) -> int:
    from ctrlhub.wire.private import StateError, open_private

    try:
        return open_private(log, os.O_WRONLY | os.O_APPEND)
    except (OSError, StateError):  # removed with its cluster: nobody is left to read it
        return os.open(os.devnull, os.O_WRONLY)

"""The logs of engines: their last lines, their bound, and what lies beside them.

A log has several writers: its engine, and the warm process where that does not read. Each of them
looks at its size after so many bytes of its own, so that the bound holds however fast they write.
"""

from __future__ import annotations

import logging
import os
import sys
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from ctrlhub.wire.private import StateError, write_private

if sys.platform != "win32":
    import fcntl

MOST_BYTES = 64 * 1024 * 1024
"""A log that has grown beyond this is cut; its end is kept beside it."""
KEPT_BYTES = 1024 * 1024
"""So much of it."""
LOOK_BYTES = 8 * 1024 * 1024
"""Who has written so much looks whether it is too large."""

LAST_BYTES = 4096
LAST_LINES = 40

_log = logging.getLogger(__name__)


def uploads_of(log: Path) -> Path:
    """Return the directory of what is uploaded to the engine with this log."""
    return log.with_suffix(".uploads")


def size_of(log: Path) -> int:
    """Return how long a log is (bytes); 0 if it cannot be read."""
    try:
        return log.stat().st_size
    except OSError:
        return 0


class LastWords:
    """The end of what the process in a slot has written lately.

    A log serves one process after another, and a process may write nothing for days: what it said
    long before its end is no hint to why it ended. So `mark` is called from time to time, and what
    is older than the last mark but one is not quoted. If the log was cut since, what they were may
    stand in what was set aside.

    Parameters
    ----------
    log
        The log that is written to.
    most
        How long it may be (bytes) before it is cut.
    """

    __slots__ = ("_log", "_marks", "_most")

    def __init__(self, log: Path, most: int = MOST_BYTES) -> None:
        self._log = log
        self._most = most
        self._marks = _Mark(0, None), _Mark(0, None)

    def begin(self) -> None:
        """Take note that another process begins to write."""
        mark = _Mark.of(self._log)
        self._marks = mark, mark

    def mark(self) -> None:
        """Take note of how far the log has come."""
        self._marks = self._marks[1], _Mark.of(self._log)

    def text(self, since: int = 0) -> str:
        """Return them; empty if nothing was written lately, or the log cannot be read.

        Parameters
        ----------
        since
            How long the log was (bytes) when what they are to be of began. What was set aside by a cut is
            quoted only as far as it is surely of that.
        """
        mark = self._marks[0]
        if mark.cut == _cut_of(self._log):
            return last_lines(self._log, max(since, mark.size))
        if 0 < since <= size_of(self._log):
            return last_lines(self._log, since)
        # It was longer than that when it was cut, and the end of it was set aside.
        aside = _end(_aside(self._log), max(0, min(LAST_BYTES, self._most - since)))
        return _lines(aside + _end(self._log, LAST_BYTES))


@dataclass(frozen=True, slots=True)
class _Mark:
    """How long a log was at some moment, and which cut was its last until then."""

    size: int
    cut: tuple[int, int] | None

    @classmethod
    def of(cls, log: Path) -> _Mark:
        return cls(size_of(log), _cut_of(log))


def _aside(log: Path) -> Path:
    """Return where the end of a log that was cut is kept."""
    return log.with_suffix(".old.log")


def _cut_of(log: Path) -> tuple[int, int] | None:
    """Return what tells one cut of a log from another; None if it was never cut."""
    try:
        found = _aside(log).stat()
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns


def last_lines(log: Path, start: int = 0) -> str:
    """Return the end of a log, of what stands behind byte `start`; empty if it cannot be read."""
    return _lines(_end(log, LAST_BYTES, start))


def _lines(end: bytes) -> str:
    text = end[-LAST_BYTES:].decode("utf-8", "replace")
    return "\n".join(text.splitlines()[-LAST_LINES:])


class LogBound:
    """What keeps a log within its bound while one writer writes to it.

    Parameters
    ----------
    log
        The log.
    most
        How long it may be (bytes).
    """

    __slots__ = ("_log", "_most", "_unseen")

    def __init__(self, log: Path, most: int = MOST_BYTES) -> None:
        self._log = log
        self._most = most
        self._unseen = 0

    def wrote(self, nbytes: int) -> None:
        """Take note of what was written, and every now and then look how long the log is."""
        self._unseen += nbytes
        if self._unseen >= LOOK_BYTES:
            self.look()

    def look(self) -> None:
        """Cut the log if it is too long; who writes goes on, whatever is wrong with it."""
        self._unseen = 0
        try:
            bound(self._log, self._most)
        except (OSError, StateError) as error:
            _log.warning("what was cut from %s is lost: %s", self._log, error)


def bound(log: Path, most: int = MOST_BYTES) -> None:
    """Cut a log that has grown too large. Its writers append, so they need not know.

    Its end is kept beside it; where that is not possible, as on a full disk, it is cut nevertheless.
    """
    if size_of(log) <= most:
        return
    descriptor = os.open(log, os.O_RDWR | getattr(os, "O_CLOEXEC", 0))
    try:
        if not lock(descriptor):  # another of its writers does it, or will
            return
        try:
            if os.fstat(descriptor).st_size > most:
                write_private(_aside(log), _end(log, min(KEPT_BYTES, most)))
        finally:
            if os.fstat(descriptor).st_size > most:
                os.truncate(descriptor, 0)
            unlock(descriptor)
    finally:
        os.close(descriptor)


def lock(log: int) -> bool:
    """Lock a log by a descriptor of one's own; return False if somebody else has."""
    if sys.platform != "win32":  # where its writers are one
        try:
            fcntl.flock(log, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        except OSError:  # a file system without locks: whoever comes has it
            return True
    return True


def unlock(log: int) -> None:
    """Let others have it; a copy of this process, which has the descriptor, too, does not keep it."""
    if sys.platform != "win32":
        with suppress(OSError):  # no locks there
            fcntl.flock(log, fcntl.LOCK_UN)


def _end(log: Path, size: int, start: int = 0) -> bytes:
    """Return the end of a file, of what stands behind byte `start`; empty if it cannot be read."""
    try:
        with open(log, "rb") as file:
            whole = file.seek(0, os.SEEK_END)
            # A log that was cut meanwhile is shorter than it was: then all of it may be new.
            file.seek(max(start if start <= whole else 0, whole - size))
            return file.read(size)
    except OSError:
        return b""

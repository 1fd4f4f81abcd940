"""The logs of engines: their last lines, their bound, and what lies beside them."""

from __future__ import annotations

import os
from pathlib import Path

MOST_BYTES = 64 * 1024 * 1024
"""A log that has grown beyond this is cut; its end is kept beside it."""
KEPT_BYTES = 1024 * 1024
"""So much of it."""

LAST_BYTES = 4096
LAST_LINES = 40


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
    is older than the last mark but one is not quoted.

    Parameters
    ----------
    log
        The log that is written to.
    """

    __slots__ = ("_log", "_marks")

    def __init__(self, log: Path) -> None:
        self._log = log
        self._marks = 0, 0

    def begin(self) -> None:
        """Take note that another process begins to write."""
        size = size_of(self._log)
        self._marks = size, size

    def mark(self) -> None:
        """Take note of how far the log has come."""
        self._marks = self._marks[1], size_of(self._log)

    def text(self) -> str:
        """Return them; empty if nothing was written lately, or the log cannot be read."""
        return last_lines(self._log, self._marks[0])


def last_lines(log: Path, start: int = 0) -> str:
    """Return the end of a log, of what stands behind byte `start`; empty if it cannot be read."""
    try:
        text = _end(log, LAST_BYTES, start).decode("utf-8", "replace")
    except OSError:
        return ""
    return "\n".join(text.splitlines()[-LAST_LINES:])


def bound(log: Path, most: int = MOST_BYTES) -> None:
    """Cut a log that has grown too large. Its writer appends, so it need not know."""
    from ctrlhub.wire.private import write_private

    if not log.exists() or log.stat().st_size <= most:
        return
    write_private(log.with_suffix(".old.log"), _end(log, min(KEPT_BYTES, most)))
    os.truncate(log, 0)


def _end(log: Path, size: int, start: int = 0) -> bytes:
    with open(log, "rb") as file:
        whole = file.seek(0, os.SEEK_END)
        # A log that was cut meanwhile is shorter than it was: then all of it may be new.
        file.seek(max(start if start <= whole else 0, whole - size))
        return file.read()

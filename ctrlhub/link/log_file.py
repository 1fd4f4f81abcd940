"""The file of a process's log: set aside when it has grown long, also while the process runs.

Whoever starts a process gives it the file as its standard error, so that what is printed before there is a
log, and by code that is not Python's, stands there, too. The process sets the file aside by another name, and
puts the one that follows in the place of its standard error.
"""

from __future__ import annotations

import io
import logging
import os
import stat
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from logging.handlers import RotatingFileHandler
from pathlib import Path

from ctrlhub.wire.private import StateError, open_private

LOG_BYTES = 16 * 1024 * 1024
"""A log longer than this (bytes) is set aside, if nothing else is said."""

LEAST_LOG_BYTES = 4096
"""The smallest bound (bytes) that may be said."""

STANDARD = (1, 2)
"""The descriptors of what a process prints."""


@dataclass(frozen=True, slots=True)
class LogFiles:
    """Where the logs of processes are.

    Parameters
    ----------
    directory
        The directory; a process whose standard error goes elsewhere leaves that as it is.
    most
        How long one may be (bytes) before it is set aside.
    """

    directory: Path
    most: int = LOG_BYTES

    def own(self) -> Path | None:
        """Return the one that is this process's standard error; None if that goes elsewhere."""
        try:
            mine = os.fstat(2)
            if not stat.S_ISREG(mine.st_mode):
                return None
            return next((path for path in self.directory.glob("*.log") if _is(path, mine)), None)
        except OSError:  # nothing is printed anywhere
            return None


class RotatingLog(RotatingFileHandler):
    """Writes records to a file that is set aside when it is full, and all else that the process prints follows.

    Parameters
    ----------
    path
        The file: at present standard error, and maybe standard output.
    most
        How long it may be (bytes).
    """

    def __init__(self, path: Path, most: int) -> None:
        now = path.stat()
        self._followers = [each for each in STANDARD if os.path.samestat(os.fstat(each), now)]
        self._tells = True
        super().__init__(path, maxBytes=most, backupCount=1, encoding="utf-8", errors="backslashreplace")
        self.namer: Callable[[str], str] = lambda _: str(aside(path))

    def _open(self) -> io.TextIOWrapper:
        descriptor = _open_to_append(Path(self.baseFilename))
        for each in self._followers:
            os.dup2(descriptor, each)
        return open(descriptor, "a", encoding=self.encoding, errors=self.errors)

    def shouldRollover(self, record: logging.LogRecord) -> bool:
        """Tell whether a record fits no more; in the file that has the name, should another process have set this aside."""
        if self.stream is not None and _was_replaced(Path(self.baseFilename), self.stream):
            before, self.stream = self.stream, self._open()
            before.close()
        return bool(super().shouldRollover(record))

    def doRollover(self) -> None:
        """Set the file aside; where that cannot be it grows on, which is said once."""
        try:
            super().doRollover()
            self._tells = True
        except OSError as error:
            if self._tells:
                self._tells = False
                print(f"ctrl-hub: this log cannot be set aside, and grows on: {error}", file=sys.stderr, flush=True)


def aside(log: Path) -> Path:
    """Return where a log is kept that was set aside."""
    return log.with_name(log.name + ".old")


def open_log(log: Path, most: int = LOG_BYTES) -> int:
    """Open a log to append to, and return its descriptor; one grown long is set aside first."""
    if log.exists() and log.stat().st_size > most:
        os.replace(log, aside(log))
    return _open_to_append(log)


def follow_log(log: Path) -> None:
    """Print to the file of this name from now on, if another process has set aside what was so before.

    Where that cannot be, as where its directory is gone, what is printed goes where it went before, which is said.
    """
    if _is(log, os.fstat(2)):
        return
    try:
        descriptor = _open_to_append(log)
    except (OSError, StateError) as error:
        with suppress(OSError):  # no room for that either
            print(f"ctrl-hub: this goes on in what was set aside: {error}", file=sys.stderr, flush=True)
        return
    try:
        for each in STANDARD:
            os.dup2(descriptor, each)
    finally:
        os.close(descriptor)


def check_log_bytes(most: int) -> None:
    """See that a log may be so long.

    Raises
    ------
    ValueError
        It may not.
    """
    if most < LEAST_LOG_BYTES:
        raise ValueError(f"log_max_bytes must be at least {LEAST_LOG_BYTES}, not {most}")


def _open_to_append(log: Path) -> int:
    return open_private(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)


def _was_replaced(path: Path, file: io.TextIOWrapper) -> bool:
    """Tell whether another file has the name of an open one; where none has, that one is as good as any."""
    try:
        return not os.path.samestat(path.stat(), os.fstat(file.fileno()))
    except FileNotFoundError:
        return False


def _is(path: Path, found: os.stat_result) -> bool:
    try:
        return os.path.samestat(path.stat(), found)
    except FileNotFoundError:
        return False

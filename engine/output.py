"""What user code prints: to the log as before, and a bounded copy for whoever asked.

The streams stand in for ``sys.stdout`` and ``sys.stderr``. What is written to the descriptors
behind Python's back (by C code, or child processes) reaches the log alone.
"""

from __future__ import annotations

import contextlib
import io
import sys
from typing import Any, TextIO

LIMIT = 1024 * 1024
"""The most characters of each stream that travel with a result."""


class CapturedStream(io.TextIOBase):
    """A text stream that writes to another one and keeps a copy until it is taken.

    Parameters
    ----------
    output
        Whom to tell that something was written.
    log
        Where everything goes.
    limit
        How much (characters) is kept; the rest is only counted.
    """

    def __init__(self, output: Output, log: TextIO, limit: int) -> None:
        super().__init__()
        self._output = output
        self._log = log
        self._limit = limit
        self._parts: list[str] = []
        self._kept = 0
        self._lost = 0

    @property
    def encoding(self) -> str:  # type: ignore[override]
        """The log's encoding."""
        return self._log.encoding

    @property
    def errors(self) -> str | None:  # type: ignore[override]
        """How the log treats what it cannot encode."""
        return self._log.errors

    @property
    def buffer(self) -> Any:
        """The log's binary stream: what is written there is not kept."""
        return self._log.buffer

    def writable(self) -> bool:
        """Say that it is."""
        return True

    def isatty(self) -> bool:
        """Say that it is not."""
        return False

    def fileno(self) -> int:
        """Return the log's descriptor, for child processes."""
        return self._log.fileno()

    def write(self, text: str) -> int:
        """Write to the log, and keep what there is room for."""
        if not isinstance(text, str):
            raise TypeError(f"write() argument must be str, not {type(text).__name__}")
        # A full disk, or a log that user code has closed, is no trouble of the code that prints.
        with contextlib.suppress(OSError, ValueError):
            self._log.write(text)
        room = self._limit - self._kept
        if len(text) <= room:
            self._parts.append(text)
            self._kept += len(text)
        else:
            self._parts.append(text[:room])
            self._kept = self._limit
            self._lost += len(text) - room
        self._output.dirty = True
        return len(text)

    def flush(self) -> None:
        """Flush the log."""
        with contextlib.suppress(OSError, ValueError):
            self._log.flush()

    def take(self) -> str:
        """Return what was kept, and begin anew."""
        parts, lost = self._parts, self._lost
        self._parts, self._kept, self._lost = [], 0, 0
        text = "".join(parts)
        if lost:
            text += f"\n[{lost} more characters were printed; all of it is in the engine's log]\n"
        # Half a surrogate pair, which Python allows in a text, cannot travel.
        return text.encode("utf-8", "backslashreplace").decode("utf-8")


class Output:
    """The two streams of a process.

    Parameters
    ----------
    out, err
        Where what is printed goes; the process's own streams by default.
    limit
        How many characters of each are kept.

    Attributes
    ----------
    dirty : bool
        Whether there is anything to take: all that a request which prints nothing has to look at.
    """

    def __init__(
        self, out: TextIO | None = None, err: TextIO | None = None, limit: int = LIMIT
    ) -> None:
        self.dirty = False
        self.out = CapturedStream(self, sys.stdout if out is None else out, limit)
        self.err = CapturedStream(self, sys.stderr if err is None else err, limit)

    def install(self) -> None:
        """Stand in for ``sys.stdout`` and ``sys.stderr``."""
        sys.stdout, sys.stderr = self.out, self.err

    def take(self) -> dict[str, str] | None:
        """Return what was printed since the last time, by stream; None for nothing."""
        self.dirty = False
        printed = {"stdout": self.out.take(), "stderr": self.err.take()}
        return {name: text for name, text in printed.items() if text} or None

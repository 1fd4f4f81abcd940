"""What user code prints: to the log as before, and a bounded copy for whoever asked.

The streams stand in for ``sys.stdout`` and ``sys.stderr``. What is written to the descriptors
behind Python's back (by C code, or child processes) comes from `ctrlhub.engine.descriptors`.
"""

from __future__ import annotations

import contextlib
import io
import sys
from collections.abc import Callable, Mapping
from typing import Any, TextIO

from ctrlhub.engine.capture import Capture
from ctrlhub.engine.descriptors import Descriptors, binary_writer_of, writer_of
from ctrlhub.wire.limits import OUTPUT_TEXT_BYTES

_LOOKED = 0
_TOLD = -1
_TOLD_BEGIN = -2


class CapturedStream(io.TextIOBase):
    """A text stream that writes to another one, and tells an `Output`.

    Parameters
    ----------
    name
        ``stdout`` or ``stderr``.
    output
        What keeps a copy.
    log
        Where everything goes.
    descriptor
        Where child processes write; None for the log's own.
    """

    def __init__(
        self, name: str, output: Output, log: TextIO, descriptor: int | None = None
    ) -> None:
        super().__init__()
        self._name = name
        self._output = output
        self._log = log
        self._descriptor = descriptor
        self._binary: io.RawIOBase | None = None

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
        """A binary stream to the descriptor that child processes write to."""
        if self._descriptor is None:
            return self._log.buffer
        if self._binary is None:
            self._binary = binary_writer_of(self._descriptor)
        return self._binary

    def writable(self) -> bool:
        """Say that it is."""
        return True

    def isatty(self) -> bool:
        """Say that it is not."""
        return False

    def fileno(self) -> int:
        """Return the descriptor for child processes."""
        return self._log.fileno() if self._descriptor is None else self._descriptor

    def write(self, text: str) -> int:
        """Write to the log, and keep what there is room for."""
        if not isinstance(text, str):
            raise TypeError(f"write() argument must be str, not {type(text).__name__}")
        self._output.settle()  # what was written behind our back before comes before
        # A full disk, or a log that user code has closed, is no trouble of the code that prints.
        try:  # noqa: SIM105 - on the path of every print
            self._log.write(text)
        except (OSError, ValueError):
            pass
        self._output.wrote(len(text))
        if text:
            self._output.add_text(self._name, text)
        return len(text)

    def flush(self) -> None:
        """Flush the log, and show what has no end of line yet."""
        self.flush_log()
        self._output.flush()

    def flush_log(self) -> None:
        """Have in the log what was printed."""
        with contextlib.suppress(OSError, ValueError):
            self._log.flush()

    def go_around(self) -> None:
        """Write to the descriptor from now on, as a child process does: this is one."""
        if self._descriptor is not None:
            self._log = writer_of(self._descriptor)


class Output:
    """What the requests of a process put out, one after the other.

    The capture of a request is made by the first thing that it puts out: one which puts out nothing
    looks at one attribute.

    Parameters
    ----------
    out, err
        Where what is printed goes; the process's own streams by default.
    limit
        How many bytes of each are kept.
    descriptors
        What is written behind Python's back; None if nobody minds that.

    Attributes
    ----------
    dirty : bool
        Whether there is anything to take.
    runs : callable
        Says which request runs; 0 for none.
    settle : callable
        Hands over what was written behind Python's back until now; returns whether it was anything.
    end_request : callable
        The same, at the end of a request.
    wrote : callable
        Told how much was printed to the log.
    mark : callable
        Told that what is in the log is not of what comes next.
    announce : callable or None
        Told, in the thread of user code, that there is something to show: once until somebody looks.
    announce_begin : callable or None
        Told likewise of text without an end of line, which may come in a moment.
    """

    def __init__(
        self,
        out: TextIO | None = None,
        err: TextIO | None = None,
        limit: int = OUTPUT_TEXT_BYTES,
        descriptors: Descriptors | None = None,
    ) -> None:
        self.dirty = False
        self.settle: Callable[[], bool] = bool
        self.end_request: Callable[[], bool] = bool
        self.runs: Callable[[], int] = _nothing
        self.wrote: Callable[[int], object] = int if descriptors is None else descriptors.wrote
        self.mark: Callable[[], object] = bool if descriptors is None else descriptors.mark
        self.announce: Callable[[], None] | None = None
        self.announce_begin: Callable[[], None] | None = None
        one, two = (None, None) if descriptors is None else (1, 2)
        self.out = CapturedStream("stdout", self, sys.stdout if out is None else out, one)
        self.err = CapturedStream("stderr", self, sys.stderr if err is None else err, two)
        self._descriptors = descriptors
        self._limit = limit
        self._capture: Capture | None = None
        # Whether somebody is told of what there is to show: `_LOOKED`, `_TOLD`, `_TOLD_BEGIN`, or the
        # request whose client does not follow, of which nothing needs to be told.
        self._told = _LOOKED

    def install(self) -> None:
        """Stand in for ``sys.stdout`` and ``sys.stderr``."""
        sys.stdout, sys.stderr = self.out, self.err

    def follow(self, runs: Callable[[], int], is_busy: Callable[[], bool]) -> None:
        """Be told how to find out which request runs, and whether one has not handed over its row."""
        self.runs = runs
        if self._descriptors is not None:
            self.settle = self._descriptors.drain
            self.end_request = self._descriptors.end_request
            self._descriptors.strayed = self._note_stray
            self._descriptors.follow(self.add_text, self.miss_text, is_busy)

    def become_copy(self) -> None:
        """Take note that this is a copy of the engine's process, and its output that of a child."""
        self.announce = self.announce_begin = None
        if self._capture is not None:
            self._capture.renew_lock()
        self.settle = self.end_request = self.mark = bool
        self.wrote = int
        self.out.go_around()
        self.err.go_around()

    # ------------------------------------------------------------ from user code

    def add_text(self, name: str, text: str) -> None:
        """Take what was printed; a line is shown once it is complete, or does not end for a moment."""
        capture = self._capture
        if capture is None or not capture.request:
            capture = self._open()
        capture.add_text(name, text)
        if self._told != _TOLD:
            if "\n" in text or "\r" in text:
                self._tell(capture)
            elif self._told == _LOOKED and capture.request and self.announce_begin is not None:
                self._told = _TOLD_BEGIN
                self.announce_begin()

    def miss_text(self, name: str, nbytes: int) -> None:
        """Take note of what went to the log alone."""
        self._open().miss_text(name, nbytes)

    def flush(self) -> None:
        """Have shown what was printed without an end of line."""
        capture = self._capture
        if capture is not None:
            self._tell(capture)

    def add_display(self, output: dict[str, Any]) -> None:
        """Take what was displayed."""
        capture = self._open()
        capture.add_display(output)
        self._tell(capture)

    def add_data(self, values: Mapping[str, bytes]) -> None:
        """Take what was published."""
        capture = self._open()
        capture.add_data(values)
        self._tell(capture)

    def _note_stray(self) -> None:
        """Take note that the log has what belongs to no request: whoever comes next takes nothing."""
        self.dirty = True

    def room_for_result(self) -> int:
        """Return how many bytes the value of a cell may take."""
        return self._open().room_for_result()

    def _open(self) -> Capture:
        capture = self._capture
        if capture is None:
            capture = self._capture = Capture(self.runs(), self._limit)
        elif not capture.request:
            capture.request = self.runs()
        self.dirty = True
        return capture

    def _tell(self, capture: Capture) -> None:
        told = self._told
        if told == _TOLD or (told and told == capture.request):
            return
        if capture.request and self.announce is not None:
            self._told = _TOLD
            self.announce()

    def take(self, attempt: int = 0) -> dict[str, Any] | None:
        """Return what an attempt has put out since the last time; None for nothing."""
        self.dirty = False
        self.out.flush_log()
        self.err.flush_log()
        self.mark()
        capture, self._capture = self._capture, None
        extras = (capture.extras() or None) if capture is not None else None
        if extras is not None and attempt:
            extras["attempt"] = attempt
        return extras

    # ------------------------------------------------------------ from the I/O thread

    def look(self) -> Capture | None:
        """Return what there is to show; from now on `announce` is called again."""
        self._told = _LOOKED  # before anything is taken, so that nothing goes untold
        return self._capture

    def hold(self, request: int) -> None:
        """Take note that nothing more of a request can be shown for now: it need not be told."""
        self._told = request


def _nothing() -> int:
    return 0

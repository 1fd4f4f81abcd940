"""What is written to descriptors 1 and 2 behind Python's back: by child processes, and by C code.

Theory of operation
-------------------
Both are pipes. Whoever reads gives what came to the engine's log, and to the output of what runs. A
thread of its own reads as soon as something comes, so that no writer waits; the thread of user code
reads what is left before it prints, and when a request ends, so that the order is kept and nothing of
a request comes late. Who reads says so before, and until all is handed over: where the pipes are empty
and nobody reads, nothing is missing.

The warm process has the reading ends, too. What a process that died has not read, its last words, it
writes to the log, as it does where C code holds the interpreter's lock and fills a pipe, which nobody
in this process could read. How much that was stands on the board, and is told with the output of the
request. Code that was let on by such a read ends after its begin was counted; the lock on the log
is held until the bytes are counted: so no count comes late.
"""

from __future__ import annotations

import codecs
import os
import select
import sys
import threading
from collections.abc import Callable, Iterable, MutableSequence, Sequence
from contextlib import suppress
from dataclasses import dataclass
from io import RawIOBase
from typing import TextIO

from ctrlhub.engine.board import MISSED, RELIEFS, WIDTH, WORDS

PIPE_BYTES = 256 * 1024
"""So much may wait in each pipe; of many engines of one user, the system grants less."""

READ_BYTES = 64 * 1024
_READABLE: int = getattr(select, "EPOLLIN", 0)
READS = PIPE_BYTES // READ_BYTES + 1
"""So many take all that a pipe can have held, also where others go on writing."""

RELIEF_READS = 64
"""So many at once are read in the place of an engine: there are others."""

NAMES = ("stdout", "stderr")
"""What is written to descriptors 1 and 2."""

Take = Callable[[str, str], None]
Miss = Callable[[str, int], None]


@dataclass(frozen=True, slots=True)
class Pipes:
    """A pipe for each of the two descriptors: the ends to read, and those to write."""

    readers: tuple[int, ...]
    writers: tuple[int, ...]

    @classmethod
    def make(cls) -> Pipes:
        """Make both; reading never waits."""
        pairs = [os.pipe(), os.pipe()]
        for reader, _ in pairs:
            if sys.platform != "win32":
                os.set_blocking(reader, False)
                _enlarge(reader)
        return cls((pairs[0][0], pairs[1][0]), (pairs[0][1], pairs[1][1]))

    @property
    def all(self) -> tuple[int, ...]:
        """All four ends."""
        return (*self.readers, *self.writers)


def _enlarge(pipe: int) -> None:
    if sys.platform == "linux":
        import fcntl

        with suppress(OSError):  # more than this user may have: it stays as it is
            fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, PIPE_BYTES)


def read_some(pipe: int) -> bytes:
    """Return what waits in a pipe, or a part of it; empty for nothing."""
    try:
        return os.read(pipe, READ_BYTES)
    except BlockingIOError:
        return b""


def pour(pipe: int, log: int) -> tuple[int, bool]:
    """Write to a log what waits in a pipe; return how many bytes it was, and whether more can come."""
    nbytes = 0
    with suppress(BlockingIOError):
        for _ in range(RELIEF_READS):
            data = os.read(pipe, READ_BYTES)
            if not data:
                return nbytes, False
            _write(log, data)
            nbytes += len(data)
    return nbytes, True


def _write(log: int, data: bytes) -> None:
    with suppress(OSError):  # a full disk is no trouble of the code that prints
        while data:
            data = data[os.write(log, data) :]


def can_wait_for_pipes() -> bool:
    """Say whether a pipe can be waited for: on Windows only sockets can."""
    return sys.platform != "win32"


class Descriptors:
    """Descriptors 1 and 2 of this process, and what is written to them.

    Parameters
    ----------
    pipes
        What they are from `install` on.
    board
        The slot's part of the `Board`: it tells what was read in our place.
    wrote
        Told how many bytes were written to the log.

    Attributes
    ----------
    log : int
        A descriptor of the log, which 2 was before.
    strayed : callable
        Told of what was written while nothing ran.
    """

    def __init__(
        self,
        pipes: Pipes,
        board: MutableSequence[int] | None = None,
        wrote: Callable[[int], object] = int,
    ) -> None:
        self.log = -1
        self.wrote = wrote
        self._pipes = pipes
        self.strayed: Callable[[], object] = bool
        self._board = [0] * WIDTH if board is None else board
        self._reliefs = 0
        self._missed = tuple(0 for _ in MISSED)
        self._take: Take = _ignore
        self._miss: Miss = _ignore
        self._is_wanted: Callable[[], bool] = bool
        # Reentrant, since a signal's handler, or a finalizer, may print in the midst of a step.
        self._lock = threading.RLock()
        self._has_read = False
        self._decoders = [codecs.getincrementaldecoder("utf-8")("replace") for _ in NAMES]
        self._reading = False
        self._poll = _poll_of(pipes.readers)

    def install(self) -> tuple[TextIO, TextIO]:
        """Take over 1 and 2; return streams to write to the log with, in place of these."""
        self.log = os.dup(2)
        for number, writer in zip((1, 2), self._pipes.writers, strict=True):
            os.dup2(writer, number)  # the writer stays open: so the pipe has no end
        _write_lines()
        return writer_of(self.log), writer_of(self.log)

    def follow(self, take: Take, miss: Miss, is_wanted: Callable[[], bool]) -> None:
        """Begin to read.

        Parameters
        ----------
        take
            Gets what was written while something ran, as text, with the name of its stream.
        miss
            Gets how many bytes of a stream went to the log alone.
        is_wanted
            Says whether something runs.
        """
        self._take, self._miss, self._is_wanted = take, miss, is_wanted
        threading.Thread(target=self._read_on, name="ctrlhub-descriptors", daemon=True).start()

    def drain(self) -> bool:
        """Hand over what was written until now; return whether it was anything."""
        if not self._poll(0) and not self._reading:
            return False
        with self._lock:
            for _ in range(READS):
                if not self._poll(0):
                    break
                self._read(True)
        return True

    def mark(self) -> None:
        """Tell the nanny how long the log is: what comes behind is of what comes next."""
        with suppress(OSError):  # closed by user code
            self._board[WORDS] = os.fstat(self.log).st_size

    def end_request(self) -> bool:
        """Hand over what a request has written; half a character of it stays no other's."""
        is_relieved = self._board[RELIEFS] != self._reliefs
        if not self.drain() and not self._has_read and not is_relieved:
            return False
        if is_relieved:
            self._tell_missed()
        with self._lock:
            self._has_read = False
            for name, decoder in zip(NAMES, self._decoders, strict=True):
                if rest := decoder.decode(b"", final=True):
                    self._take(name, rest)
        return True

    def _tell_missed(self) -> None:
        """Tell how much of what a request has written was read in our place."""
        on_board = self._on_board_at_rest()
        with self._lock:
            before = self._missed
            self._reliefs, self._missed = on_board
            for name, now, then in zip(NAMES, self._missed, before, strict=True):
                if now != then:
                    self._miss(name, now - then)

    def _on_board_at_rest(self) -> tuple[int, tuple[int, ...]]:
        if sys.platform == "win32":
            return self._on_board()
        import fcntl

        with suppress(OSError):  # closed by user code, or no locks there: the count may come late
            fcntl.flock(self.log, fcntl.LOCK_SH)  # waits until what was read is counted
        on_board = self._on_board()
        with suppress(OSError):
            fcntl.flock(self.log, fcntl.LOCK_UN)
        return on_board

    def _on_board(self) -> tuple[int, tuple[int, ...]]:
        return self._board[RELIEFS], tuple(self._board[index] for index in MISSED)

    def _read_on(self) -> None:
        while self._poll(None):
            with self._lock:
                on_board = self._on_board()
                is_wanted = self._is_wanted()
                if not is_wanted:  # what was read in our place was no request's, either
                    self._reliefs, self._missed = on_board
                self._read(is_wanted)

    def _read(self, is_wanted: bool) -> None:
        self._reading = True
        for index, reader in enumerate(self._pipes.readers):
            try:
                data = read_some(reader)
            except OSError:  # user code has closed it, as all that is not its own
                self._poll = _nothing
                break
            if not data:
                continue
            _write(self.log, data)
            self.wrote(len(data))
            text = self._decoders[index].decode(data)
            if not is_wanted:
                self.strayed()
            else:
                self._has_read = True
                if text:
                    self._take(NAMES[index], text)
        self._reading = False


class LogAlone(Descriptors):
    """Descriptors 1 and 2 where pipes cannot be waited for: what is written there goes to the log alone."""

    def __init__(self, wrote: Callable[[int], object] = int) -> None:
        super().__init__(Pipes((), ()), None, wrote)
        self._poll = _nothing

    def install(self) -> tuple[TextIO, TextIO]:
        """Leave 1 and 2, which are the log; return streams to write to that with."""
        self.log = os.dup(2)
        return writer_of(self.log), writer_of(self.log)

    def follow(self, take: Take, miss: Miss, is_wanted: Callable[[], bool]) -> None:
        """Have nothing to read."""


def _poll_of(descriptors: Iterable[int]) -> Callable[[int | None], Sequence[object]]:
    """Return what waits for one of some descriptors to be readable; for several threads at once."""
    make_poller = getattr(select, "epoll", None)
    if make_poller is not None:
        poller = make_poller()
        for descriptor in descriptors:
            poller.register(descriptor, _READABLE)
        poll: Callable[[int | None], Sequence[object]] = poller.poll
        return poll
    return lambda timeout: select.select(tuple(descriptors), (), (), timeout)[0]


def writer_of(descriptor: int) -> TextIO:
    """Return a stream for a descriptor: line by line, so that the last words of a process get out."""
    return open(
        descriptor, "w", buffering=1, encoding="utf-8", errors="backslashreplace", closefd=False
    )


def binary_writer_of(descriptor: int) -> RawIOBase:
    """Return a stream of bytes for a descriptor, without a buffer."""
    return open(descriptor, "wb", buffering=0, closefd=False)


def _nothing(timeout: int | None) -> Sequence[object]:
    return ()


def _ignore(name: str, what: str | int) -> None:
    """Take what nobody wants."""


def _write_lines() -> None:
    """Have what C code prints leave line by line, as to a terminal: else it waits for 4096 bytes."""
    import ctypes

    line_by_line = 1
    with suppress(ValueError, AttributeError):  # another C library
        library = ctypes.CDLL(None)
        library.setvbuf(ctypes.c_void_p.in_dll(library, "stdout"), None, line_by_line, 0)

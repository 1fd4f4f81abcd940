"""Results of what was asked for by HTTP, on disk until they are fetched or too old: none is held in memory.

A result is acknowledged to the hub once it is here, and safe. A thread of its own writes and reads; what waits
to be written is found all the same.
"""

from __future__ import annotations

import logging
import time
from asyncio import wrap_future
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import islice, takewhile
from pathlib import Path
from threading import Lock, Timer
from typing import TypeVar

from ctrlhub.client.rows import Row
from ctrlhub.gateway.api.shelf_file import (
    FAILURES,
    ShelfFile,
    is_full,
    is_open,
    size_of_row,
    with_unread,
)
from ctrlhub.wire.errors import LimitExceeded, StoreError
from ctrlhub.wire.messages import Stream

T = TypeVar("T")

AT_ONCE = 2 * 1024 * 1024
"""So many bytes of rows are written in one transaction, or read for one answer; one row in any case."""

MOST_AT_ONCE = 512
"""And so many rows."""

MOST_OPEN = 8
"""And so many whose values are in files: each takes a descriptor for as long as somebody reads."""

AGAIN = 1.0
"""After so many seconds what could not be written is tried again."""

ROOM = 64 * 1024 * 1024
"""So many bytes of what was fetched go each time that it could not be, for want of room on the disk."""

TIDY = 60.0
"""So often (seconds) it is looked for what is too old."""

log = logging.getLogger(__name__)

Kept = Callable[[Stream, Collection[int]], object]
"""Told, in the shelf's thread, which results are safe."""


@dataclass(frozen=True, slots=True)
class Limits:
    """How much is kept.

    Parameters
    ----------
    size
        The most bytes. What was fetched makes room for what was not, oldest first; what was not makes no room,
        and no more is to be asked for.
    age
        For how long (seconds).
    """

    size: int
    age: float


class Shelf:
    """Results by the ids of their requests.

    Parameters
    ----------
    directory
        Where; it is made when there is something to keep.
    limits
        How much is kept.
    clock
        Tells the Unix time (seconds).
    """

    def __init__(
        self, directory: Path, limits: Limits, clock: Callable[[], float] = time.time
    ) -> None:
        self._directory = directory
        self._limits = limits
        self._clock = clock
        self._file: ShelfFile | None = None
        self._lock = Lock()
        self._waiting: dict[int, tuple[Row, Stream, Kept]] = {}
        self._is_writing = False
        self._fetched: set[int] = set()
        self._size = 0
        self._tidy_at = 0.0
        self._again: Timer | None = None
        self.trouble = ""
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="shelf")

    # ------------------------------------------------------------ from any thread

    def put(self, row: Row, stream: Stream, kept: Kept) -> None:
        """Keep a row, soon; one that is here already stays as it is, and `kept` is told all the same."""
        with self._lock:
            self._waiting.setdefault(row[0], (with_unread(row), stream, kept))
            begins = not self._is_writing
            self._is_writing = True
        if begins:
            self._do_later(self._write)

    def check_room(self) -> None:
        """See to it that there is room for more.

        Raises
        ------
        LimitExceeded
            There is none until somebody has fetched what is here.
        StoreError
            What is here cannot be written.
        """
        if self.trouble:
            raise StoreError(f"results cannot be kept now, and so nothing more is run: {self.trouble}")
        if self._size >= self._limits.size:
            self._do_later(self._tidy)
            raise LimitExceeded(
                f"results that nobody has fetched take {self._size} bytes, of {self._limits.size} that are kept "
                "(http.results_bytes): fetch them"
            )

    def fetched(self, numbers: Collection[int]) -> None:
        """Take note that somebody has results: they may make room for others."""
        self._fetched.update(numbers)
        if self._size >= self._limits.size:
            self._do_later(self._tidy)

    # ------------------------------------------------------------ from the event loop

    async def known(self, numbers: Sequence[int]) -> set[int]:
        """Return those of some requests whose results are here."""
        with self._lock:
            found = {number for number in numbers if number in self._waiting}
        if len(found) < len(numbers):
            found |= await self._do(lambda file: file.known(numbers))
        return found

    async def some(self, numbers: Sequence[int]) -> list[Row | None]:
        """Return the rows of the first of some requests, as many as memory has room for; None for one not here."""
        with self._lock:  # who has waited for them need not wait for the disk as well
            waiting: list[Row | None] = [self._waiting[n][0] for n in takewhile(self._waiting.__contains__, numbers)]
        return waiting or await self._do(partial(self._some, numbers[:MOST_AT_ONCE]))

    async def find(self, number: int) -> Row | None:
        """Return the row of a request."""
        return (await self.some([number]))[0]

    async def forget(self, session: int) -> None:
        """Forget what is here of a session: its number is another's now."""
        await self._do(partial(self._forget, session))

    async def _do(self, act: Callable[[ShelfFile], T]) -> T:
        future: Future[T] = self._thread.submit(lambda: act(self._opened()))
        try:
            return await wrap_future(future)
        except FAILURES as error:
            raise StoreError(f"results in {self._directory} cannot be read: {error}") from error

    def _do_later(self, act: Callable[[], object]) -> None:
        try:
            self._thread.submit(act).add_done_callback(_look_at)
        except RuntimeError:  # it is closed: the hub keeps what was not acknowledged
            log.info("results come after the end")

    # ------------------------------------------------------------ in the thread

    def _opened(self) -> ShelfFile:
        if self._file is None:
            self._file = ShelfFile.opened(self._directory)
            self._size = self._file.size()
        if self._clock() >= self._tidy_at:
            self._tidy()
        return self._file

    def _some(self, numbers: Sequence[int], file: ShelfFile) -> list[Row | None]:
        with self._lock:
            waiting = {number: self._waiting[number][0] for number in numbers if number in self._waiting}
        found: list[Row | None] = []
        sizes, left, opened = file.sizes(numbers), AT_ONCE, 0
        for number in numbers:
            row = waiting.get(number)
            left -= sizes.get(number, 0) if row is None else 0
            if found and (left < 0 or opened >= MOST_OPEN):
                break
            if row is None and number in sizes:
                row = file.row(number)
                opened += is_open(row)
            found.append(row)
        return found

    def _forget(self, session: int, file: ShelfFile) -> None:
        try:
            file.forget(session)
        finally:
            self._size = file.size()

    def _write(self) -> None:
        """Write what waits, as much as goes at once; what was asked for meanwhile has its turn before the rest."""
        with self._lock:
            waiting = list(islice(self._waiting.items(), MOST_AT_ONCE))
        some: dict[int, tuple[Row, Stream, Kept]] = {}
        left = AT_ONCE
        for number, each in waiting:
            left -= size_of_row(each[0])
            if some and left < 0:
                break
            some[number] = each
        try:
            file = self._opened()  # first: it tells how much there is
            self._size += file.add([row for row, _, _ in some.values()], self._clock())
            if self._size >= self._limits.size:
                self._tidy()
        except Exception as error:  # whatever it is: what is not kept is not acknowledged
            self._failed(error)
            return
        if self.trouble:
            log.warning("results are kept again")
            self.trouble = ""
        with self._lock:
            for number in some:
                del self._waiting[number]
            self._is_writing = bool(self._waiting)
        if self._is_writing:
            self._do_later(self._write)
        told: dict[tuple[Kept, Stream], list[int]] = {}
        for number, (_, stream, kept) in some.items():
            told.setdefault((kept, stream), []).append(number)
        for (kept, stream), numbers in told.items():
            kept(stream, numbers)

    def _failed(self, error: Exception) -> None:
        """Try again later: the hub keeps what is not acknowledged."""
        if self.trouble != (trouble := f"{error}"):
            self.trouble = trouble
            foreseen = isinstance(error, FAILURES)
            log.error("results cannot be kept in %s: %s", self._directory, error, exc_info=not foreseen)
        self._later(AGAIN, self._write)
        if self._file is not None and is_full(error):
            self._make_room(self._file)

    def _make_room(self, file: ShelfFile) -> None:
        """Forget something of what was fetched, although there might be more of it: the disk has no room."""
        try:
            self._mark(file)
            self._size -= file.forget_fetched(ROOM)
        except FAILURES as error:
            log.debug("nothing could be forgotten: %s", error)
            self._size = file.size()

    def _mark(self, file: ShelfFile) -> None:
        fetched = self._fetched.copy()
        file.mark_fetched(fetched)
        self._fetched -= fetched

    def _tidy(self) -> None:
        """Forget what is too old, and as much of what was fetched as others need the room of."""
        file, now = self._file, self._clock()
        if file is None:
            return
        self._tidy_at = now + TIDY
        try:
            self._mark(file)
            self._size -= file.forget_older(now - self._limits.age)
            if self._size >= self._limits.size:
                self._size -= file.forget_fetched(self._size - self._limits.size + 1)
        except BaseException:
            self._size = file.size()  # of some of it perhaps nothing is left
            raise
        if self._size:
            self._later(TIDY, self._look)

    def _look(self) -> None:
        try:
            self._opened()
        except FAILURES as error:
            log.error("results in %s cannot be looked through: %s", self._directory, error)

    def _later(self, seconds: float, act: Callable[[], object]) -> None:
        if self._again is None or not self._again.is_alive() or act == self._write:
            self._again = Timer(seconds, self._do_later, (act,))
            self._again.daemon = True
            self._again.start()

    def close(self) -> None:
        """Write what waits, and end."""
        self._thread.submit(self._close).result()
        self._thread.shutdown()

    def _close(self) -> None:
        if self._again is not None:
            self._again.cancel()
        if self._file is not None:
            try:
                self._file.mark_fetched(self._fetched)
                self._file.close()
            except FAILURES as error:
                log.error("results in %s are not left in good order: %s", self._directory, error)
            self._file = None


def _look_at(done: Future[object]) -> None:
    error = done.exception()
    if error is not None:
        log.error("results are not kept", exc_info=error)

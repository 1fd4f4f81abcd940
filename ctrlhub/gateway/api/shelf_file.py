"""The shelf's database: a row for each result, large values in files beside it. In one thread."""

from __future__ import annotations

import errno
import logging
import os
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from math import isnan
from pathlib import Path
from typing import Any
from weakref import finalize

import msgpack

from ctrlhub.client.rows import RAISED, Row
from ctrlhub.controller.stores.payload_files import FOOTER, PayloadFiles
from ctrlhub.gateway.api.outcomes import NotKept
from ctrlhub.wire.codec import size_of, size_of_extras
from ctrlhub.wire.errors import ResultLost
from ctrlhub.wire.ids import request_id, text_of, to_ranges
from ctrlhub.wire.messages import Buffer, Payload
from ctrlhub.wire.private import make_private_dir
from ctrlhub.wire.segments import nbytes_of
from ctrlhub.wire.unread import Unread
from ctrlhub.wire.untouched import origin_of

FAILURES = (sqlite3.Error, OSError)
"""What is raised where a disk is full, or what is on it is damaged."""

PASSING = (errno.EMFILE, errno.ENFILE, errno.ENOMEM)
"""What says nothing of a file, but that it cannot be opened just now."""

NO_ROOM = (errno.ENOSPC, errno.EDQUOT)
"""What says that the disk is full, or our part of it."""

DATABASE = "results.db"
VALUES = "values"

FILE_BYTES = 1024 * 1024
"""A value of so many bytes has a file of its own."""

PAGE = 16 * 1024
"""Values are long; larger pages make them cheaper."""

ROW_BYTES = 400
"""What a row takes beside its value and output."""

BUSY = 10.0
"""How long (seconds) the gateway before this one may take to let go of it."""

_SCHEMA = """
CREATE TABLE IF NOT EXISTS results (
    number INTEGER PRIMARY KEY, status INTEGER NOT NULL, engine INTEGER NOT NULL, started REAL NOT NULL,
    elapsed REAL NOT NULL, kept REAL NOT NULL, fetched INTEGER NOT NULL, size INTEGER NOT NULL,
    is_in_file INTEGER NOT NULL, sizes BLOB, extras BLOB, body BLOB
);
CREATE INDEX IF NOT EXISTS by_age ON results (fetched, kept, size);
"""

log = logging.getLogger(__name__)


class ShelfFile:
    """A database of results in a directory, which is this process's alone.

    Parameters
    ----------
    directory
        Where; it is made, closed to others.

    Raises
    ------
    sqlite3.Error, OSError
        It cannot be used.
    """

    def __init__(self, directory: Path) -> None:
        make_private_dir(directory)
        self._files = PayloadFiles(directory / VALUES)
        self._values = directory / VALUES
        path = directory / DATABASE
        path.touch(0o600)
        self._database = database = sqlite3.connect(
            path, timeout=BUSY, isolation_level=None, check_same_thread=False
        )
        try:
            for pragma in (
                "locking_mode = EXCLUSIVE",  # so that it needs no memory shared with others, which no network has
                f"page_size = {PAGE}", "auto_vacuum = INCREMENTAL", "journal_mode = WAL", "synchronous = FULL",
                "journal_size_limit = 16777216", "cache_size = -2000",
            ):  # fmt: skip
                database.execute(f"PRAGMA {pragma}").fetchall()
            database.executescript(_SCHEMA)
            rows = database.execute("SELECT number FROM results WHERE is_in_file")
            self._files.sweep({name_of(number) for (number,) in rows})
        except BaseException:
            database.close()
            raise

    @classmethod
    def opened(cls, directory: Path) -> ShelfFile:
        """Open it; what is damaged is set aside, and another one begun."""
        try:
            return cls(directory)
        except sqlite3.OperationalError:  # a disk is full, somebody else has it: it may be well
            raise
        except sqlite3.DatabaseError as error:
            aside = directory.with_name(f"{directory.name}.damaged-{os.getpid()}")
            os.replace(directory, aside)
            log.error("the results in %s cannot be read (%s): they are in %s now", directory, error, aside)
            return cls(directory)

    # ------------------------------------------------------------ writing

    def add(self, rows: Sequence[Row], now: float) -> int:
        """Add rows, but for those that are here; return how many bytes they take. They are on the disk then."""
        known = self.known([row[0] for row in rows])
        new = [row for row in rows if row[0] not in known]
        large = {row[0]: row[2] for row in new if size_of(row[2]) >= FILE_BYTES}
        self._files.write((name_of(number), payload) for number, payload in large.items())
        added = 0
        with self._transaction():
            for row in new:
                size = size_of_row(row)
                added += size
                self._insert(row, size, now, is_in_file=row[0] in large)
        return added

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        """Do all of it or nothing: one that stayed open would let none begin any more."""
        self._database.execute("BEGIN IMMEDIATE")
        try:
            yield
            self._database.execute("COMMIT")
        except BaseException:
            if self._database.in_transaction:
                self._database.execute("ROLLBACK")
            raise

    def _insert(self, row: Row, size: int, now: float, *, is_in_file: bool) -> None:
        number, status, payload, engine, started, elapsed, extras = row
        alone = type(payload) is bytes
        sizes = None if alone else msgpack.packb([nbytes_of(each) for each in payload])
        body = None if is_in_file else payload if alone else b"".join(map(_bytes_of, payload))
        if is_in_file and alone:
            sizes = msgpack.packb([len(payload)])
        packed = None if extras is None else msgpack.packb(extras, unicode_errors="surrogatepass", default=_bytes_of)
        self._database.execute(
            "INSERT INTO results VALUES (?, ?, ?, ?, ?, ?, 0, ?, ?, ?, ?, ?)",
            (number, status, engine, _number(started), _number(elapsed), now, size, is_in_file, sizes, packed, body),
        )

    def mark_fetched(self, numbers: Iterable[int]) -> None:
        """Take note that somebody has results."""
        ranges = to_ranges(sorted(numbers))
        if not ranges:
            return
        with self._transaction():
            self._database.executemany("UPDATE results SET fetched = 1 WHERE number BETWEEN ? AND ?", ranges)

    # ------------------------------------------------------------ forgetting

    def forget_older(self, kept: float) -> int:
        """Forget results that were kept before a time; return how many bytes they took."""
        return sum(self._forget("kept < ?", fetched, kept) for fetched in (0, 1))

    def _forget(self, which: str, fetched: int, value: float) -> int:
        where = f"FROM results WHERE fetched = ? AND {which}"
        found = self._database.execute(f"SELECT number, size, is_in_file {where}", (fetched, value)).fetchall()
        return self._remove(found)

    def forget_fetched(self, needed: int) -> int:
        """Forget results that somebody has, oldest first, until so many bytes are free; return how many."""
        found, freed = [], 0
        for number, size, is_in_file in self._database.execute(
            "SELECT number, size, is_in_file FROM results WHERE fetched = 1 ORDER BY kept"
        ):
            if freed >= needed:
                break
            found.append((number, size, is_in_file))
            freed += size
        return self._remove(found)

    def forget(self, session: int) -> None:
        """Forget the results of a session."""
        bounds = request_id(session, 0), request_id(session + 1, 0) - 1
        query = "SELECT number, size, is_in_file FROM results WHERE number BETWEEN ? AND ?"
        self._remove(self._database.execute(query, bounds).fetchall())

    def _remove(self, found: Sequence[tuple[int, int, int]]) -> int:
        if not found:
            return 0
        with self._transaction():
            self._database.executemany("DELETE FROM results WHERE number = ?", [(each[0],) for each in found])
        self._files.remove(name_of(number) for number, _, is_in_file in found if is_in_file)
        self._vacuum()
        return sum(size for _, size, _ in found)

    def _vacuum(self) -> None:
        """Give back to the system what is free."""
        self._database.executescript("PRAGMA incremental_vacuum")

    # ------------------------------------------------------------ reading

    def known(self, numbers: Sequence[int]) -> set[int]:
        """Return which of some requests have results here."""
        found: set[int] = set()
        for first, last in to_ranges(sorted(set(numbers))):
            query = "SELECT number FROM results WHERE number BETWEEN ? AND ?"
            found.update(number for (number,) in self._database.execute(query, (first, last)))
        return found

    def sizes(self, numbers: Sequence[int]) -> dict[int, int]:
        """Return how many bytes of memory the rows of requests take that are here."""
        found: dict[int, int] = {}
        query = "SELECT number, CASE is_in_file WHEN 0 THEN size ELSE ? END FROM results WHERE number BETWEEN ? AND ?"
        for first, last in to_ranges(sorted(set(numbers))):
            found.update(self._database.execute(query, (ROW_BYTES, first, last)))
        return found

    def row(self, number: int) -> Row:
        """Return a row that is here; a value in a file is `Unread`."""
        query = (
            "SELECT status, engine, started, elapsed, is_in_file, sizes, extras, body FROM results WHERE number = ?"
        )
        status, engine, started, elapsed, is_in_file, sizes, packed, body = self._database.execute(
            query, (number,)
        ).fetchone()
        parts = None if sizes is None else msgpack.unpackb(sizes)
        extras = None
        if packed is not None:
            extras = msgpack.unpackb(packed, strict_map_key=False, unicode_errors="surrogatepass")
        if is_in_file:
            try:
                payload: Payload = _parts_of(self._values / name_of(number), parts or ())
            except (OSError, ResultLost) as error:
                if isinstance(error, OSError) and error.errno in PASSING:
                    raise
                lost = NotKept(f"the value of {text_of(number)} cannot be read: {error}")
                return (number, RAISED, lost, engine, started, elapsed, extras)
        else:
            payload = body if parts is None else _cut(body, parts)
        return (number, status, payload, engine, started, elapsed, extras)

    def size(self) -> int:
        """Return how many bytes all take."""
        (size,) = self._database.execute("SELECT coalesce(sum(size), 0) FROM results").fetchone()
        return int(size)

    def close(self) -> None:
        """Close it."""
        self._database.close()


class OpenFile:
    """A file that is open for reading as long as anybody has this.

    Parameters
    ----------
    path
        Its path.
    """

    __slots__ = ("__weakref__", "descriptor")

    def __init__(self, path: Path) -> None:
        self.descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_BINARY", 0))
        finalize(self, os.close, self.descriptor)

    def read(self, start: int, nbytes: int) -> bytes:
        """Return some of its bytes, fewer at the end; to one reader at a time."""
        os.lseek(self.descriptor, start, os.SEEK_SET)
        return os.read(self.descriptor, nbytes)


class FilePart(Unread):
    """A part of a file, of which as much is read as is asked for, by one reader at a time.

    Parameters
    ----------
    file
        The file.
    start, nbytes
        Which part.
    """

    __slots__ = ("_file", "_start", "nbytes")

    def __init__(self, file: OpenFile, start: int, nbytes: int) -> None:
        self._file = file
        self._start = start
        self.nbytes = nbytes

    def read(self, start: int, nbytes: int) -> bytes:
        """Return some of its bytes.

        Raises
        ------
        ResultLost
            They are not there.
        """
        wanted = min(nbytes, self.nbytes - start)
        data = self._file.read(self._start + start, wanted)
        if len(data) < wanted:
            raise ResultLost(f"of {wanted} bytes of a value, {len(data)} are there")
        return data


def name_of(number: int) -> str:
    """Return the name of the file of a value."""
    return f"{text_of(number)}.value"


def is_full(error: Exception) -> bool:
    """Tell whether something has failed for want of room on the disk."""
    if isinstance(error, OSError):
        return error.errno in NO_ROOM
    return getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_FULL


def is_open(row: Row) -> bool:
    """Tell whether the value of a row is in a file that is open."""
    return type(row[2]) is tuple and len(row[2]) > 0 and isinstance(row[2][0], FilePart)


def size_of_row(row: Row) -> int:
    """Return how many bytes a row takes."""
    return ROW_BYTES + size_of(row[2]) + (size_of_extras(row[6]) if row[6] else 0)


def _number(value: float) -> float:
    """Return a number; 0 for what is none, as of an engine with a broken clock: SQLite would take it for nothing at all."""
    return 0.0 if isnan(value) else value


def _parts_of(path: Path, sizes: Sequence[int]) -> Payload:
    file = OpenFile(path)
    if os.fstat(file.descriptor).st_size != sum(sizes) + FOOTER.size:
        raise ResultLost(f"its file {path} is not whole")
    parts, at = [], 0
    for size in sizes:
        parts.append(FilePart(file, at, size))
        at += size
    return tuple(parts)


def _cut(body: bytes, sizes: Sequence[int]) -> Payload:
    parts, at, view = [], 0, memoryview(body)
    for size in sizes:
        parts.append(bytes(view[at : at + size]))
        at += size
    return tuple(parts)


def with_unread(row: Row) -> Row:
    """Return a row whose value stays in shared memory, if that is where it is."""
    return row if row[1] == RAISED else (*row[:2], unread(row[2]), *row[3:])


def unread(payload: Payload) -> Payload:
    """Return a payload whose parts are segments where they are: what is mapped counts as our memory once it is read."""
    if type(payload) is bytes:
        return payload
    return tuple(_segment_of(part) for part in payload)


def _segment_of(part: Buffer) -> Any:
    return (type(part) is memoryview and origin_of(part)) or part


def _bytes_of(part: Any) -> bytes:
    if isinstance(part, bytes | bytearray | memoryview):
        return bytes(memoryview(part).cast("B"))
    raise TypeError(f"a {type(part).__name__} is no part of a result")



"""A store in SQLite: in the write-ahead log, and on the disk, before a transaction is done."""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Callable, Collection, Sequence
from pathlib import Path

from ctrlhub.controller.core.history import GONE
from ctrlhub.controller.stores import packing, schema
from ctrlhub.controller.stores.changes import Changes
from ctrlhub.controller.stores.database import Contents
from ctrlhub.controller.stores.durable import DurableStore, unusable
from ctrlhub.controller.stores.file_systems import network_kind
from ctrlhub.controller.stores.mark import ASIDE, Damaged, Marker, has_content
from ctrlhub.controller.stores.payload_files import PayloadFiles
from ctrlhub.wire.errors import StoreError
from ctrlhub.wire.messages import Payload
from ctrlhub.wire.private import make_private_dir, sync_dir

FAILURES = (sqlite3.Error, OSError, UnicodeDecodeError)
"""What a database that cannot be used raises; the last, where SQLite says what is in a damaged one."""

DATABASE = "store.db"
PAYLOADS = "payloads"

BUSY = 2.0
"""How long (seconds) somebody else may hold the database before that is a failure."""

PAGE = 16 * 1024
"""Batches are long; larger pages make them cheaper."""

LOG_BYTES = 16 * 1024 * 1024
"""The write-ahead log is cut to so many bytes when it has been copied into the database."""

FREE_PAGES = 256
"""So many free pages, and a quarter of all, may stay in the database before it shrinks."""

AT_ONCE = 1024
"""So many pages are given back in one step."""

log = logging.getLogger(__name__)


class SqliteStore(DurableStore):
    """Keeps records on disk.

    Parameters
    ----------
    directory
        Where; it is made, closed to others.
    unix_offset
        What the hub's clock lacks to Unix time (seconds).
    call
        Has something called in the hub's loop; from any thread.

    Raises
    ------
    StoreError
        It cannot be used; the message says what to do.
    """

    def __init__(
        self, directory: Path, unix_offset: float, call: Callable[[Callable[[], None]], None]
    ) -> None:
        super().__init__(SqliteDatabase(directory), unix_offset, call)


class SqliteDatabase:
    """A database in a directory, with large payloads in files beside it.

    Parameters
    ----------
    directory
        Where; it is made, closed to others.

    Raises
    ------
    StoreError
        It cannot be used; the message says what to do.
    """

    kind = "sqlite"
    failures = FAILURES

    def __init__(self, directory: Path) -> None:
        self.where = str(directory)
        network = network_kind(directory.parent)
        if network:
            raise StoreError(
                f"the store cannot stand in {directory}: that is on a network file system "
                f"({network}), where SQLite is not safe. Put it on a local disk with "
                "--store sqlite:/var/tmp/NAME, or keep records in memory with --store memory"
            )
        self._path = directory / DATABASE
        self._aside = directory / ASIDE
        try:
            make_private_dir(directory)
            self.files = PayloadFiles(directory / PAYLOADS)
            self._marker = Marker(self._path)
            # What is there belongs to this database, or to one that was lost.
            self._is_sure = self._marker.mark is not None
            self.connection = _open(self._path, self._marker, self.files)
        except (schema.WrongSchema, Damaged, *self.failures) as error:
            raise unusable(self.where, error) from error

    def read(self) -> Contents:
        """Return what there is."""
        execute = self.connection.execute
        return Contents(
            execute("SELECT sequence, body FROM batches ORDER BY sequence"),
            execute("SELECT digest, body FROM functions"),
            execute("SELECT name, body FROM kept ORDER BY rowid"),
        )

    def read_payload(self, name: str, sizes: Sequence[int]) -> Payload:
        """Return the buffers of a file; `GONE` if it is not whole: then what is left of it is set aside."""
        payload = self.files.read(name, sizes)
        if payload == GONE:
            self.files.set_aside([name], self._aside)
        return payload

    def sweep(self, known: Collection[str]) -> None:
        """Remove files that nothing speaks of; if that may be the database's fault, set them aside."""
        if self._is_sure:
            self.files.sweep(known)
        elif count := self.files.set_aside(self.files.others(known), self._aside):
            log.warning(
                "the store in %s had no mark, and nothing in it speaks of %d files of payloads: they are "
                "in %s now; remove them if nothing is missing", self.where, count, self._aside,
            )  # fmt: skip

    def batch(self, sequence: int) -> bytes:
        """Return a batch."""
        query = "SELECT body FROM batches WHERE sequence = ?"
        body: bytes = self.connection.execute(query, (sequence,)).fetchone()[0]
        return body

    def commit(self, changes: Changes) -> None:
        """Carry out a transaction: files first, since it speaks of them; files that go, last."""
        self.files.write(changes.files.items())
        self._transact(changes)
        if self._marker.has_lost_log:
            self._replace_log()
        self._marker.keep(self.connection)
        try:
            self.files.remove(changes.gone_files)
        except OSError as error:  # swept at the next start
            log.warning("the store cannot remove files: %s", error)

    def _transact(self, changes: Changes) -> None:
        database = self.connection
        database.execute("BEGIN IMMEDIATE")
        try:
            each = database.executemany  # what goes makes room for what comes
            each("DELETE FROM batches WHERE sequence = ?", [(n,) for n in changes.gone_batches])
            each("DELETE FROM functions WHERE digest = ?", [(d,) for d in changes.gone_functions])
            each("DELETE FROM kept WHERE name = ?", [(name,) for name in changes.gone_names])
            for digest, body in changes.functions.items():
                packed = packing.pack(packing.pack_payload(body))
                database.execute("INSERT OR REPLACE INTO functions VALUES (?, ?)", (digest, packed))
            each("INSERT OR REPLACE INTO batches VALUES (?, ?)", changes.batches.items())
            each("INSERT OR REPLACE INTO kept VALUES (?, ?)", changes.kept.items())
            database.execute("COMMIT")
        except BaseException:
            if database.in_transaction:
                database.execute("ROLLBACK")
            raise

    def _replace_log(self) -> None:
        """Begin another write-ahead log; what stands in the one that somebody has removed is not lost."""
        (busy, *_) = self.connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        if busy:
            raise OSError("its write-ahead log was removed, and somebody else reads the database")
        log.warning("the write-ahead log in %s was removed while it is used: replaced", self.where)
        self.connection.close()
        self.connection = _open(self._path, self._marker, self.files)

    def make_room(self, goes_on: Callable[[], bool]) -> bool:
        """Give free pages back; return whether there are more than may stay."""
        execute = self.connection.execute
        shrunk = False
        while True:
            (free,) = execute("PRAGMA freelist_count").fetchone()
            (pages,) = execute("PRAGMA page_count").fetchone()
            more: bool = free > max(FREE_PAGES, pages // 4)
            if not more or (shrunk and not goes_on()):
                break
            # It makes a step a row, rows of no columns, of which `execute` takes the first alone.
            self.connection.executescript(f"PRAGMA incremental_vacuum({AT_ONCE})")
            shrunk = True
        if shrunk and not more:
            execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()  # till then the file is as it was
        return more

    def compact(self) -> None:
        """Give all free pages back."""
        self.connection.executescript("PRAGMA incremental_vacuum; PRAGMA wal_checkpoint(TRUNCATE)")

    def size(self) -> int:
        """Return how many bytes database and files take."""
        execute = self.connection.execute
        (pages,), (size,) = (execute(f"PRAGMA page_{of}").fetchone() for of in ("count", "size"))
        return int(pages * size) + self.files.size()

    def close(self) -> None:
        """Close it."""
        self.connection.close()


def _open(path: Path, marker: Marker, files: PayloadFiles) -> sqlite3.Connection:
    is_new = not has_content(path)
    if is_new:  # before SQLite removes a log that it finds beside no database
        marker.check_missing(has_payloads=bool(files))
        path.touch(mode=0o600)
        sync_dir(path.parent)  # before there is anything that must not go with the name
    has_rest = marker.check_log()  # before SQLite takes what it can read of it, and removes it
    database = sqlite3.connect(path, timeout=BUSY, isolation_level=None, check_same_thread=False)
    try:
        if is_new:
            database.execute(f"PRAGMA page_size = {PAGE}")
            database.execute("PRAGMA auto_vacuum = INCREMENTAL")
        else:
            marker.check(database)
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("PRAGMA synchronous = FULL")
        database.execute(f"PRAGMA journal_size_limit = {LOG_BYTES}")
        schema.migrate(database)
        marker.begin(database)
        if has_rest:  # else it would look like damage behind what comes
            database.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    except BaseException:
        database.close()
        raise
    return database

"""The store that outlives the hub: a journal (:mod:`journal`) in SQLite, written by a thread of its own.

A write is handed to the thread, which takes all that have come since it last looked, and makes one
transaction of them: in the write-ahead log, and on the disk before `done` is called. Where that fails,
for want of room or because somebody else holds the database, it is tried again until it does not; what
is to be stored waits meanwhile, and `state` says why.
"""

from __future__ import annotations

import logging
import sqlite3
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from queue import Empty, SimpleQueue

from ctrlhub.controller.core.effects import Operation
from ctrlhub.controller.core.saved import Saved, StoreState
from ctrlhub.controller.stores import packing, schema
from ctrlhub.controller.stores.changes import Changes
from ctrlhub.controller.stores.file_systems import network_kind
from ctrlhub.controller.stores.journal import Journal
from ctrlhub.controller.stores.payload_files import PayloadFiles
from ctrlhub.wire.errors import StoreError
from ctrlhub.wire.private import make_private_dir

DATABASE = "store.db"
PAYLOADS = "payloads"

AGAIN = 1.0
"""How long (seconds) after a failure it is tried again."""

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

Done = Callable[[], None]


class SqliteStore:
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
        self._directory = directory
        self._call = call
        self._journal = Journal(unix_offset)
        self._writes: SimpleQueue[tuple[Sequence[Operation], Done] | None] = SimpleQueue()
        self._closing = threading.Event()
        self.trouble = ""
        self._nbytes = 0
        self._shrinks = False
        network = network_kind(directory.parent)
        if network:
            raise StoreError(
                f"the store cannot stand in {directory}: that is on a network file system "
                f"({network}), where SQLite is not safe. Put it on a local disk with "
                "--store sqlite:/var/tmp/NAME, or keep records in memory with --store memory"
            )
        try:
            make_private_dir(directory)
            self._files = PayloadFiles(directory / PAYLOADS)
            self._database = self._open(directory / DATABASE)
        except (schema.WrongSchema, sqlite3.Error, OSError) as error:
            raise self._unusable(error) from error
        self._thread = threading.Thread(target=self._run, name="store", daemon=True)

    def _unusable(self, error: Exception) -> StoreError:
        return StoreError(
            f"the store in {self._directory} cannot be used ({error}): put it right, move it away, "
            "or choose another place with --store sqlite:DIRECTORY"
        )

    def _open(self, path: Path) -> sqlite3.Connection:
        path.touch(mode=0o600)
        database = sqlite3.connect(path, timeout=BUSY, isolation_level=None, check_same_thread=False)
        try:
            database.execute(f"PRAGMA page_size = {PAGE}")
            database.execute("PRAGMA auto_vacuum = INCREMENTAL")
            database.execute("PRAGMA journal_mode = WAL")
            database.execute("PRAGMA synchronous = FULL")
            database.execute(f"PRAGMA journal_size_limit = {LOG_BYTES}")
            schema.migrate(database)
        except BaseException:
            database.close()
            raise
        return database

    # ------------------------------------------------------------ what the hub calls

    def load(self) -> Saved:
        """Return what was stored, and begin to take writes.

        Raises
        ------
        StoreError
            It cannot be read.
        """
        execute = self._database.execute
        try:
            saved = self._journal.load(
                execute("SELECT sequence, body FROM batches ORDER BY sequence"),
                execute("SELECT digest, body FROM functions"),
                execute("SELECT name, body FROM kept ORDER BY rowid"),
                self._files.read,
            )
            self._files.sweep(self._journal.file_names())
            self._measure()
        except (packing.UnknownFormat, sqlite3.Error, OSError) as error:
            raise self._unusable(error) from error
        self._thread.start()
        return saved

    def write(self, operations: Sequence[Operation], done: Done) -> None:
        """Have operations stored; `done` is called in the hub's loop once they are on disk."""
        self._writes.put((operations, done))

    def state(self) -> StoreState:
        """Return how it is doing."""
        where, requests = str(self._directory), len(self._journal)
        return StoreState("sqlite", where, self.trouble, requests, self._nbytes)

    def close(self) -> None:
        """Store what was given, unless that fails now, and close."""
        self._closing.set()
        if self._thread.is_alive():
            self._writes.put(None)
            self._thread.join()
        self._database.close()

    # ------------------------------------------------------------ the thread

    def _run(self) -> None:
        try:
            while self._serve():
                pass
        except Exception as error:  # a bug: nothing that is not safe is to be acknowledged
            log.exception("the store has failed")
            self.trouble = f"it has failed ({error!r}): restart the hub"

    def _serve(self) -> bool:
        """Wait for writes, and make them; False once there will be none.

        While it waits it holds nothing of what was written: bulk data may go.
        """
        given = [self._writes.get()]
        while True:
            try:
                given.append(self._writes.get_nowait())
            except Empty:
                break
        writes = [each for each in given if each is not None]
        self._write(writes)
        return len(writes) == len(given)

    def _write(self, writes: Sequence[tuple[Sequence[Operation], Done]]) -> None:
        for operations, _ in writes:
            self._journal.write(operations)
        changes = self._journal.take()
        if changes and not self._persist(changes):
            return
        for _, done in writes:
            self._call(done)
        if changes.gone_batches or self._shrinks or self._journal.is_wasteful:
            self._tidy()

    def _persist(self, changes: Changes) -> bool:
        """Carry out a transaction, as often as it takes; False if it cannot be and we are to end."""
        while True:
            try:
                self._files.write(changes.files.items())
                self._transact(changes)
            except (sqlite3.Error, OSError) as error:
                self._note_trouble(error)
                if self._closing.wait(AGAIN):
                    log.error("the store ends, and has not stored the last changes")
                    return False
            else:
                break
        if self.trouble:
            log.warning("the store works again")
            self.trouble = ""
        try:
            self._files.remove(changes.gone_files)
        except OSError as error:  # swept at the next start
            log.warning("the store cannot remove files: %s", error)
        return True

    def _note_trouble(self, error: Exception) -> None:
        trouble = f"{error} ({self._directory})"
        if trouble != self.trouble:
            log.error("nothing can be stored: %s; trying again", trouble)
        self.trouble = trouble

    def _transact(self, changes: Changes) -> None:
        database = self._database
        database.execute("BEGIN IMMEDIATE")
        try:
            for digest, body in changes.functions.items():
                packed = packing.pack(packing.pack_payload(body))
                database.execute("INSERT OR REPLACE INTO functions VALUES (?, ?)", (digest, packed))
            each = database.executemany
            each("INSERT OR REPLACE INTO batches VALUES (?, ?)", changes.batches.items())
            each("DELETE FROM batches WHERE sequence = ?", [(n,) for n in changes.gone_batches])
            each("DELETE FROM functions WHERE digest = ?", [(d,) for d in changes.gone_functions])
            each("DELETE FROM kept WHERE name = ?", [(name,) for name in changes.gone_names])
            each("INSERT OR REPLACE INTO kept VALUES (?, ?)", changes.kept.items())
            database.execute("COMMIT")
        except BaseException:
            if database.in_transaction:
                database.execute("ROLLBACK")
            raise

    # ------------------------------------------------------------ room

    def _tidy(self) -> None:
        """Write again what little is alive among much that is not, and give room back."""
        journal = self._journal
        try:
            while journal.is_wasteful and not self._closing.is_set():
                query = "SELECT body FROM batches WHERE sequence = ?"
                row = self._database.execute(query, (journal.first,)).fetchone()
                journal.write_again(row[0])
                if not self._persist(journal.take()):
                    return
            self._shrink()
            self._measure()
        except (packing.UnknownFormat, sqlite3.Error, OSError) as error:
            self._note_trouble(error)

    def _shrink(self) -> None:
        """Give free pages back, as far as nobody waits; the rest goes with the next writes."""
        execute = self._database.execute
        shrunk = False
        while not self._closing.is_set():
            (free,) = execute("PRAGMA freelist_count").fetchone()
            (pages,) = execute("PRAGMA page_count").fetchone()
            self._shrinks = free > max(FREE_PAGES, pages // 4)
            if not self._shrinks or (shrunk and not self._writes.empty()):
                break
            # It makes a step a row, rows of no columns, of which `execute` takes the first alone.
            self._database.executescript(f"PRAGMA incremental_vacuum({AT_ONCE})")
            shrunk = True
        if shrunk and not self._shrinks:
            execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()  # till then the file is as it was

    def _measure(self) -> None:
        execute = self._database.execute
        (pages,), (size,) = (execute(f"PRAGMA page_{of}").fetchone() for of in ("count", "size"))
        self._nbytes = pages * size + self._files.size()


"""The mark of a store: a small file beside a database, by which it is known to be the one, and whole.

A database in SQLite that is missing, emptied, or without its write-ahead log looks like a new one, or like
an older state of itself. So it has an id and a *generation*, and the mark names both. The generation is
counted up whenever a new write-ahead log was begun, by a transaction in that log, and then in the mark:
a database whose generation is smaller than that of its mark has lost a log, or is a copy from before.
That costs no commit anything but those who begin a log, of some megabytes.
"""

from __future__ import annotations

import json
import logging
import os
import shutil
import sqlite3
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from ctrlhub.controller.stores.payload_files import write_file
from ctrlhub.controller.stores.write_ahead_log import look_at_log
from ctrlhub.wire.connection import Here
from ctrlhub.wire.private import make_private_dir, sync_dir

MARK = "mark"

ASIDE = "aside"
"""Where files go that nothing needs, if it is not sure that nothing should."""

LOG = "-wal"
"""What the name of a database's write-ahead log ends in."""

_RUN = slice(12, 24)
"""Where a log's header says which run through the file it is: a number and two salts."""

log = logging.getLogger(__name__)


class Damaged(Exception):
    """A store that has lost something; the text says what, and what can be done."""


@dataclass(frozen=True, slots=True)
class Mark:
    """What stands in the file.

    Attributes
    ----------
    store
        The id of the database.
    generation
        How many write-ahead logs it has had, at least.
    boot
        In which run of the system's kernel this was written; empty if that has no name.
    """

    store: str
    generation: int
    boot: str


class Marker:
    """Keeps the mark of a database, and refuses a database that is not the one, or is behind.

    Parameters
    ----------
    database
        Where it is, or will be.
    """

    def __init__(self, database: Path) -> None:
        self._database = database
        self._log = database.with_name(database.name + LOG)
        self._place = database.with_name(MARK)
        self.mark = _read(self._place)
        self._store = ""
        self._generation = 0
        self._run = b""

    def check_missing(self, *, has_payloads: bool) -> None:
        """See that nothing was ever stored here, where there is no database.

        Raises
        ------
        Damaged
            Something was.
        """
        proofs = [
            *(f"{path.name} is there" for path in (self._place, self._log) if has_content(path)),
            *(["there are files in payloads"] if has_payloads else []),
        ]
        if proofs:
            raise Damaged(
                f"{self._database.name} is missing or empty, and something was stored here, since "
                f"{' and '.join(proofs)}; put it back if there is a copy"
            )

    def check(self, database: sqlite3.Connection) -> None:
        """See that a database is the one that the mark is about, and not behind it.

        Raises
        ------
        Damaged
            It is not.
        """
        if self.mark is None:
            return
        known = "SELECT count(*) FROM sqlite_master WHERE name = 'about'"
        row = None
        if database.execute(known).fetchone() != (0,):
            row = database.execute("SELECT id, generation FROM about").fetchone()
        if row is None:
            raise self._not_the_last("has lost its tables")
        if row[0] != self.mark.store:
            raise self._not_the_last("is that of another store")
        if row[1] < self.mark.generation:
            raise self._not_the_last(
                f"lacks what was stored last (it is of generation {row[1]}, and there was a generation "
                f"{self.mark.generation})"
            )

    def check_log(self) -> bool:
        """See that the log is whole, but for what was being written at last.

        Returns
        -------
        bool
            Whether there is more in it than will be read.

        Raises
        ------
        Damaged
            Something is not whole that was acknowledged.
        """
        found = look_at_log(self._database, self._log, is_alone=True)
        if found is None:
            return False
        is_same_boot = self.mark is not None and self.mark.boot != "" and self.mark.boot == boot_id()
        # What was being written at last may be there in part: as the power failed, or, if it has not since,
        # as the hub was killed, or had no room. Then its index of the log says what was whole.
        known = found.known if is_same_boot and found.known is not None else 0
        if found.has_header and found.lost <= 1 and found.whole >= known:
            return found.has_rest
        what = f"{self._log.name} is damaged: {found.damage}"
        if self.mark is not None:
            raise self._refused(what)
        aside = self._database.with_name(ASIDE)
        make_private_dir(aside)
        copy = aside / f"{self._log.name}.{time.time_ns()}"
        shutil.copyfile(self._log, copy)
        log.error("%s; there is no mark, so what is before is taken as it is; it was copied to %s", what, copy)
        return True

    def certain_damage(self) -> str:
        """Return what is wrong with the log in any case; empty if nothing is, or a hub writes it now."""
        if not self._log.exists():
            return ""
        before = self._log.stat().st_mtime_ns
        found = look_at_log(self._database, self._log)
        if found is None or (found.has_header and found.lost <= 1):
            return ""
        unchanged = self._log.exists() and self._log.stat().st_mtime_ns == before
        return f"{self._log.name} is damaged: {found.damage}" if unchanged else ""

    def _not_the_last(self, what: str) -> Damaged:
        return self._refused(
            f"{self._database.name} {what}: its write-ahead log ({self._log.name}) was removed, or another "
            "file was put in its place"
        )

    def _refused(self, what: str) -> Damaged:
        return Damaged(
            f"{what}. Put back what belongs together if there is a copy; "
            f"`ctrl-hub store export` shows what is there; who removes the file {self._place} has it "
            "taken as it is, without what is missing"
        )

    def begin(self, database: sqlite3.Connection) -> None:
        """Take note of a database that is to be used."""
        self._store, self._generation = database.execute("SELECT id, generation FROM about").fetchone()

    @property
    def has_lost_log(self) -> bool:
        """Whether somebody has removed the log that the last commit went into.

        Raises
        ------
        OSError
            The database itself is gone.
        """
        os.stat(self._database)
        return not self._log.exists()

    def keep(self, database: sqlite3.Connection) -> None:
        """Bring the mark up to date, after a commit and before anybody hears of it.

        Raises
        ------
        OSError
            It cannot be.
        """
        if self._run_now() == self._run:
            return
        generation = self._generation + 1
        database.execute("UPDATE about SET generation = ?", (generation,))
        self.mark = Mark(self._store, generation, boot_id())
        write_file(self._place, (json.dumps(asdict(self.mark)).encode(),))
        sync_dir(self._place.parent)
        self._generation, self._run = generation, self._run_now()

    def _run_now(self) -> bytes:
        with open(self._log, "rb", buffering=0) as file:
            return file.read(_RUN.stop)[_RUN]


def _read(place: Path) -> Mark | None:
    try:
        found = json.loads(place.read_bytes())
        mark = Mark(str(found["store"]), int(found["generation"]), str(found["boot"]))
    except FileNotFoundError:
        return None
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        log.warning("%s is damaged (%s): a new one will be made", place, error)
        return None
    return mark


def boot_id() -> str:
    """Return what names this run of the system's kernel; empty if nothing does."""
    return Here.find().boot_id


def has_content(path: Path) -> bool:
    """Say whether there is a file, and something in it."""
    return path.exists() and path.stat().st_size > 0

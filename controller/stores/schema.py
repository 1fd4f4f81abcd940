"""The tables of a store, their version, and how a database of an older version becomes one of this."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

APPLICATION = 0x63746C68
"""What stands in the header of a database of ours: ``ctlh``."""

MIGRATIONS: Sequence[Sequence[str]] = (
    (
        "CREATE TABLE batches (sequence INTEGER PRIMARY KEY, body BLOB NOT NULL)",
        "CREATE TABLE functions (digest BLOB PRIMARY KEY, body BLOB NOT NULL)",
        "CREATE TABLE kept (name TEXT PRIMARY KEY, body BLOB NOT NULL)",
    ),
    (
        "CREATE TABLE about (id TEXT NOT NULL, generation INTEGER NOT NULL)",
        "INSERT INTO about VALUES (lower(hex(randomblob(16))), 0)",
    ),
)
"""What leads from each version to the next; a database's own stands in its ``user_version``."""

VERSION = len(MIGRATIONS)


class WrongSchema(Exception):
    """A database that this version cannot use; the text says why."""


def migrate(database: sqlite3.Connection) -> None:
    """Bring a database to this version.

    Raises
    ------
    WrongSchema
        It is another program's, or a later version's.
    """
    (version,) = database.execute("PRAGMA user_version").fetchone()
    (application,) = database.execute("PRAGMA application_id").fetchone()
    (tables,) = database.execute("SELECT count(*) FROM sqlite_master").fetchone()
    if application not in (APPLICATION, 0) or (not application and tables):
        raise WrongSchema("it is another program's database")
    if version > VERSION:
        raise WrongSchema(
            f"it was written by a later version of ctrl-hub (schema {version}, this one knows "
            f"{VERSION}): install that one"
        )
    for number in range(version, VERSION):
        database.execute("BEGIN IMMEDIATE")
        try:
            for statement in MIGRATIONS[number]:
                database.execute(statement)
            database.execute(f"PRAGMA application_id = {APPLICATION}")
            database.execute(f"PRAGMA user_version = {number + 1}")
        except BaseException:
            database.execute("ROLLBACK")
            raise
        database.execute("COMMIT")

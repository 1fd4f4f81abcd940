"""Whether a store that cannot be used may be again, with nobody but the system having done anything to it."""

from __future__ import annotations

import sqlite3

from ctrlhub.controller.stores.mark import Damaged
from ctrlhub.controller.stores.packing import UnknownFormat
from ctrlhub.controller.stores.schema import WrongSchema
from ctrlhub.wire.errors import StoreError

_FOR_GOOD = (WrongSchema, Damaged, UnknownFormat, ImportError, UnicodeDecodeError)

_PASSING = frozenset(
    {
        sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_FULL, sqlite3.SQLITE_READONLY,
        sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_NOMEM, sqlite3.SQLITE_PERM,
        sqlite3.SQLITE_PROTOCOL,
    }
)  # fmt: skip
"""Primary result codes of SQLite that say nothing about the database itself."""


def store_may_pass(error: StoreError) -> bool:
    """Say whether the store may be used later: it is locked, say, its disk full, or its server away."""
    cause = error.__cause__
    if cause is None or isinstance(cause, _FOR_GOOD):
        return False
    if isinstance(cause, sqlite3.Error):
        code: int | None = getattr(cause, "sqlite_errorcode", None)
        return code is not None and code & 0xFF in _PASSING
    return True

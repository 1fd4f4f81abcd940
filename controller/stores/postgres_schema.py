"""The tables of a store in PostgreSQL, their version, and how those of an older one become these."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, LiteralString

import psycopg

from ctrlhub.controller.stores.schema import WrongSchema

_FIRST: Sequence[LiteralString] = (
    "CREATE TABLE ctrlhub_batches (sequence bigint PRIMARY KEY, body bytea NOT NULL)",
    "CREATE TABLE ctrlhub_functions (digest bytea PRIMARY KEY, body bytea NOT NULL)",
    "CREATE TABLE ctrlhub_kept (name bytea PRIMARY KEY, body bytea NOT NULL, place bigserial)",
    "CREATE TABLE ctrlhub_payloads"
    " (name text, part integer, body bytea NOT NULL, PRIMARY KEY (name, part))",
    # What is in them seldom gets smaller, and the hub has better things to do than to wait for that.
    "ALTER TABLE ctrlhub_batches ALTER COLUMN body SET STORAGE EXTERNAL",
    "ALTER TABLE ctrlhub_payloads ALTER COLUMN body SET STORAGE EXTERNAL",
)

_SEALED: Sequence[LiteralString] = ()
"""Rows have checksums, which an earlier version of ctrl-hub cannot read."""

MIGRATIONS: Sequence[Sequence[LiteralString]] = (_FIRST, _SEALED)
"""What leads from each version to the next; that of the tables stands in ``ctrlhub_store``."""

VERSION = len(MIGRATIONS)


def migrate(connection: psycopg.Connection[tuple[Any, ...]]) -> None:
    """Bring the tables to this version; make them where there are none.

    Raises
    ------
    WrongSchema
        They are a later version's.
    """
    with connection.transaction():
        connection.execute(
            "CREATE TABLE IF NOT EXISTS ctrlhub_store (version integer NOT NULL, hub text NOT NULL)"
        )
        row = connection.execute("SELECT version FROM ctrlhub_store").fetchone()
        if row is None:
            connection.execute("INSERT INTO ctrlhub_store VALUES (0, '')")
        version: int = row[0] if row else 0
        refuse_later(version)
        for statements in MIGRATIONS[version:]:
            for statement in statements:
                connection.execute(statement)
        connection.execute("UPDATE ctrlhub_store SET version = %s", (VERSION,))


def refuse_later(version: int) -> None:
    """Refuse tables of a later version.

    Raises
    ------
    WrongSchema
        They are.
    """
    if version > VERSION:
        raise WrongSchema(
            f"it was written by a later version of ctrl-hub (schema {version}, this one knows "
            f"{VERSION}): install that one"
        )

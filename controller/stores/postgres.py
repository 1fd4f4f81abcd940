"""A store in PostgreSQL: one hub to a schema, everything in its tables.

Large payloads are there, too, in pieces, in the transaction that speaks of them: a hub that follows on
another host finds all. A connection that is lost is made again with the next transaction, which then
is carried out again as a whole; whether it was already makes no difference.
"""

from __future__ import annotations

import logging
import mmap
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from secrets import token_hex
from tempfile import TemporaryFile
from typing import Any, LiteralString

import psycopg

from ctrlhub.controller.core.history import GONE
from ctrlhub.controller.store_places import shown
from ctrlhub.controller.stores import packing
from ctrlhub.controller.stores.changes import Changes
from ctrlhub.controller.stores.database import Contents
from ctrlhub.controller.stores.durable import unusable
from ctrlhub.controller.stores.payload_files import in_buffers, portions
from ctrlhub.controller.stores.postgres_schema import migrate
from ctrlhub.controller.stores.postgres_session import (
    Connection,
    Unavailable,
    connect,
    lock,
    make_durable,
)
from ctrlhub.controller.stores.schema import WrongSchema
from ctrlhub.wire.messages import Payload

LOCK_PATIENCE = 10_000
"""How long (ms) a hub that starts waits for the end of the one before."""

LOCK_AGAIN = 2_000
"""The same for one whose connection was lost."""

GARBAGE_BYTES = 32 * 1024 * 1024
"""So much may be deleted before it is swept up; that is not left to the server, which waits longer."""

log = logging.getLogger(__name__)


class PostgresDatabase:
    """The tables of a store in the first schema of the search path.

    Parameters
    ----------
    url
        ``postgresql://...``; what it leaves out libpq finds (``PGPASSFILE``, a service).
    spool
        A directory for large payloads that are read: they are not held in memory.

    Raises
    ------
    StoreError
        It cannot be used; the message says what to do.
    """

    kind = "postgresql"
    failures = (psycopg.Error, Unavailable, OSError)

    def __init__(self, url: str, spool: Path) -> None:
        self.where = shown(url)
        self._url = url
        self._spool = spool
        self._hub = token_hex(16)
        self._garbage = 0
        try:
            self._connection = self._begin()
        except (WrongSchema, *self.failures) as error:
            raise unusable(self.where, error) from error

    # ------------------------------------------------------------ the connection

    def _begin(self) -> Connection:
        connection = connect(self._url)
        try:
            lock(connection, LOCK_PATIENCE)
            migrate(connection)
            warning = make_durable(connection)
            if warning:
                log.warning("%s: %s", self.where, warning)
            connection.execute("UPDATE ctrlhub_store SET hub = %s", (self._hub,))
        except BaseException:
            connection.close()
            raise
        return connection

    def _connected(self) -> Connection:
        """Return the connection, or another one, if nobody else has had the tables meanwhile."""
        if not self._connection.closed:
            return self._connection
        connection = connect(self._url)
        try:
            lock(connection, LOCK_AGAIN)
            if connection.execute("SELECT hub FROM ctrlhub_store").fetchone() != (self._hub,):
                raise Unavailable(
                    "another hub has used it meanwhile, so that this one does not know what is stored: "
                    "restart it"
                )
            make_durable(connection)
        except BaseException:
            connection.close()
            raise
        log.warning("connected again with %s", self.where)
        self._connection = connection
        return connection

    def close(self) -> None:
        """Close the connection, and so let go of the tables."""
        self._connection.close()

    # ------------------------------------------------------------ reading

    def read(self) -> Contents:
        """Return what there is."""
        return contents(self._connection)

    def read_payload(self, name: str, sizes: Sequence[int]) -> Payload:
        """Return the buffers of a large payload, on disk until they are used."""
        if sum(sizes) != sum(payload_sizes(self._connection, name)) or not sum(sizes):
            return GONE
        query = "SELECT body FROM ctrlhub_payloads WHERE name = %s ORDER BY part"
        with TemporaryFile(dir=self._spool) as file:
            for (piece,) in _rows(self._connection, query, (name,)):
                file.write(piece)
            file.flush()
            whole = memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
        return in_buffers(whole, sizes)

    def sweep(self, known: Collection[str]) -> None:
        """Remove large payloads that nothing speaks of."""
        self._connection.execute(
            "DELETE FROM ctrlhub_payloads WHERE name <> ALL(%s)", (list(known),)
        )

    def batch(self, sequence: int) -> bytes:
        """Return a batch."""
        query = "SELECT body FROM ctrlhub_batches WHERE sequence = %s"
        with self._connected().cursor(binary=True) as cursor:
            row = cursor.execute(query, (sequence,)).fetchone()
        if row is None:
            raise Unavailable(f"batch {sequence} is missing: somebody else has removed it")
        body: bytes = row[0]
        return body

    # ------------------------------------------------------------ writing

    def commit(self, changes: Changes) -> None:
        """Carry out a transaction; if the connection is lost, at once again with another."""
        connection = self._connected()
        try:
            self._transact(connection, changes)
        except psycopg.Error:
            if not connection.closed:
                raise
            self._transact(self._connected(), changes)

    def _transact(self, connection: Connection, changes: Changes) -> None:
        garbage = 0
        with connection.transaction(), connection.cursor() as cursor:
            for name, payload in changes.files.items():
                self._write_payload(cursor, name, payload)
            cursor.executemany(
                "INSERT INTO ctrlhub_functions VALUES (%b, %b)"
                " ON CONFLICT (digest) DO UPDATE SET body = EXCLUDED.body",
                [
                    (digest, packing.pack(packing.pack_payload(body)))
                    for digest, body in changes.functions.items()
                ],
            )
            cursor.executemany(
                "INSERT INTO ctrlhub_batches VALUES (%s, %b)"
                " ON CONFLICT (sequence) DO UPDATE SET body = EXCLUDED.body",
                list(changes.batches.items()),
            )
            garbage += _delete(
                cursor,
                "DELETE FROM ctrlhub_batches WHERE sequence = ANY(%s::bigint[])"
                " RETURNING octet_length(body)",
                changes.gone_batches,
            )
            garbage += _delete(
                cursor,
                "DELETE FROM ctrlhub_functions WHERE digest = ANY(%s::bytea[])"
                " RETURNING octet_length(body)",
                changes.gone_functions,
            )
            names = [_name(name) for name in changes.gone_names]
            _delete(cursor, "DELETE FROM ctrlhub_kept WHERE name = ANY(%s::bytea[]) RETURNING 0", names)
            cursor.executemany(
                "INSERT INTO ctrlhub_kept (name, body) VALUES (%b, %b)"
                " ON CONFLICT (name) DO UPDATE SET body = EXCLUDED.body, place = EXCLUDED.place",
                [(_name(name), body) for name, body in changes.kept.items()],
            )
            garbage += _delete(
                cursor,
                "DELETE FROM ctrlhub_payloads WHERE name = ANY(%s::text[])"
                " RETURNING octet_length(body)",
                changes.gone_files,
            )
        self._garbage += garbage

    def _write_payload(self, cursor: psycopg.Cursor[Any], name: str, payload: Payload) -> None:
        cursor.execute("DELETE FROM ctrlhub_payloads WHERE name = %s", (name,))
        buffers = (payload,) if isinstance(payload, bytes) else payload
        pieces = (piece for buffer in buffers for piece in portions(buffer))
        for part, piece in enumerate(pieces):
            cursor.execute(
                "INSERT INTO ctrlhub_payloads VALUES (%s, %s, %b)", (name, part, bytes(piece))
            )

    # ------------------------------------------------------------ room

    def make_room(self, goes_on: Callable[[], bool]) -> bool:
        """Sweep up if there is much; the tables then use the room again, and shrink at their ends."""
        if self._garbage < GARBAGE_BYTES:
            return False
        self._garbage = 0
        self._connected().execute("VACUUM ctrlhub_batches, ctrlhub_payloads, ctrlhub_functions")
        return False

    def compact(self) -> None:
        """Write the tables anew."""
        self._connected().execute("VACUUM FULL ctrlhub_batches, ctrlhub_payloads, ctrlhub_functions")

    def size(self) -> int:
        """Return how many bytes the tables take, with their indexes."""
        return tables_size(self._connected())


# ---------------------------------------------------------------- what others read, too


def contents(connection: Connection) -> Contents:
    """Return what stands in the tables."""
    return Contents(
        _rows(connection, "SELECT sequence, body FROM ctrlhub_batches ORDER BY sequence"),
        _rows(connection, "SELECT digest, body FROM ctrlhub_functions"),
        (
            (name.decode("utf-8", "surrogatepass"), body)
            for name, body in _rows(connection, "SELECT name, body FROM ctrlhub_kept ORDER BY place")
        ),
    )


def payload_sizes(connection: Connection, name: str) -> list[int]:
    """Return the sizes of the pieces of a large payload."""
    query = "SELECT octet_length(body) FROM ctrlhub_payloads WHERE name = %s"
    return [size for (size,) in connection.execute(query, (name,)).fetchall()]


def tables_size(connection: Connection) -> int:
    """Return how many bytes the tables take, with their indexes."""
    row = connection.execute(
        "SELECT sum(pg_total_relation_size(to_regclass(name))) FROM unnest(ARRAY['ctrlhub_batches',"
        " 'ctrlhub_payloads', 'ctrlhub_functions', 'ctrlhub_kept', 'ctrlhub_store']) AS names (name)"
    ).fetchone()
    return int(row[0]) if row else 0


def _rows(
    connection: Connection, query: LiteralString, values: Sequence[Any] = ()
) -> Iterator[tuple[Any, ...]]:
    """Yield rows as they come: nothing holds them all."""
    with closing(connection.cursor(binary=True)) as cursor:
        yield from cursor.stream(query, values)


def _delete(cursor: psycopg.Cursor[Any], query: LiteralString, keys: Sequence[Any]) -> int:
    """Delete rows; return how many bytes they had."""
    if not keys:
        return 0
    return sum(size for (size,) in cursor.execute(query, (list(keys),)).fetchall())


def _name(name: str) -> bytes:
    return name.encode("utf-8", "surrogatepass")

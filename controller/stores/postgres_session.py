"""A connection to a store in PostgreSQL, and the lock that keeps other hubs away."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TypeAlias

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from ctrlhub.controller.store_places import secrets
from ctrlhub.controller.stores.schema import APPLICATION

Connection: TypeAlias = psycopg.Connection[tuple[Any, ...]]

_DEFAULTS: Mapping[str, str | int] = {
    "connect_timeout": 10, "fallback_application_name": "ctrl-hub", "tcp_user_timeout": 20_000,
    "keepalives_idle": 10, "keepalives_interval": 5, "keepalives_count": 3,
}  # fmt: skip
"""What of libpq's parameters (s, but ms for ``tcp_user_timeout``) is told unless the URL says otherwise:
a server that has vanished is noticed."""

_AT_OTHER_END = (
    "SET tcp_keepalives_idle = 10", "SET tcp_keepalives_interval = 5", "SET tcp_keepalives_count = 3",
)  # fmt: skip
"""The same for the server: a hub that has vanished holds its lock no longer than that."""

_HOLDER = """
    SELECT pid, coalesce(host(client_addr), 'the host of the server'), backend_start
    FROM pg_locks JOIN pg_stat_activity USING (pid)
    WHERE locktype = 'advisory' AND granted AND objsubid = 1
    AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
    AND (classid::bigint << 32) | objid::bigint = %s
"""


class Unavailable(Exception):
    """The database cannot be used now, or not by this hub; the text says why."""


def connect(url: str) -> Connection:
    """Connect, to write or to read.

    Raises
    ------
    Unavailable
        It cannot be done; the text has no secrets.
    """
    with _without_secrets(url):
        asked = conninfo_to_dict(url)
        missing = {name: value for name, value in _DEFAULTS.items() if name not in asked}
        connection = psycopg.connect(make_conninfo(url, **missing), autocommit=True)
        # What a server says beside its answers is for its administrator.
        connection.execute("SET client_min_messages = warning")
        return connection


def lock(connection: Connection, patience: int) -> None:
    """Become the one hub that writes here, for as long as the connection lives.

    Parameters
    ----------
    patience
        How long (ms) another may take to go: a hub that was killed goes when the server has seen it.

    Raises
    ------
    Unavailable
        Another one is, or there is no schema to lock.
    """
    row = connection.execute(
        "SELECT oid::bigint FROM pg_namespace WHERE nspname = current_schema()"
    ).fetchone()
    if row is None:
        raise Unavailable("no schema of the search_path can be used: make one, or name another")
    key = APPLICATION << 32 | row[0]
    connection.execute("SELECT set_config('lock_timeout', %s, false)", (f"{patience}ms",))
    try:
        connection.execute("SELECT pg_advisory_lock(%s)", (key,))
    except psycopg.errors.LockNotAvailable as error:
        holder = connection.execute(_HOLDER, (key,)).fetchone()
        who = "" if holder is None else f": backend {holder[0]}, from {holder[1]}, since {holder[2]:%F %T}"
        raise Unavailable(
            f"another hub uses it{who}; stop that one, or give this one a database or schema of its own"
        ) from error
    finally:
        if not connection.closed:
            connection.execute("SET lock_timeout = 0")


def make_durable(connection: Connection) -> str:
    """See that what is committed is on disk; return a warning where the server is set to lose it."""
    for statement in _AT_OTHER_END:
        connection.execute(statement)
    row = connection.execute(
        "SELECT current_setting('synchronous_commit'), current_setting('fsync')"
    ).fetchone()
    assert row is not None
    if row[0] == "off":
        connection.execute("SET synchronous_commit = on")
    if row[1] == "off":
        return "the server does not write through to disk (fsync = off): a power cut loses what it has"
    return ""


@contextmanager
def _without_secrets(url: str) -> Iterator[None]:
    try:
        yield
    except psycopg.Error as error:
        raise Unavailable(scrubbed(str(error), url)) from None


def scrubbed(text: str, url: str) -> str:
    """Return a text without the secrets of a URL."""
    for secret in sorted(secrets(url), key=len, reverse=True):
        text = text.replace(secret, "...")
    return text

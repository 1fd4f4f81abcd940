"""From what ``--store`` says to a store. What only one kind needs is imported for that alone."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from ctrlhub.controller.store_places import is_postgresql
from ctrlhub.controller.stores.base import Store
from ctrlhub.controller.stores.memory import MemoryStore
from ctrlhub.wire.errors import StoreError
from ctrlhub.wire.places import Profile

if TYPE_CHECKING:
    from ctrlhub.controller.stores.durable import DurableStore


def open_store(
    store: str,
    profile: Profile,
    unix_offset: float,
    call: Callable[[Callable[[], None]], None],
) -> Store:
    """Open a store.

    Parameters
    ----------
    store
        What ``--store`` says.
    profile
        Whose it is: where it stands unless `store` says so, and what is read of it for a while.
    unix_offset
        What the hub's clock lacks to Unix time (seconds).
    call
        Has something called in the hub's loop; from any thread.

    Raises
    ------
    StoreError
        It cannot be used; the message says what to do.
    """
    return MemoryStore() if store == "memory" else open_durable(store, profile, unix_offset, call)


def open_durable(
    store: str,
    profile: Profile,
    unix_offset: float,
    call: Callable[[Callable[[], None]], None],
) -> DurableStore:
    """Open a store in a database; see `open_store`."""
    if is_postgresql(store):
        need_psycopg()
        from ctrlhub.controller.stores.durable import DurableStore
        from ctrlhub.controller.stores.postgres import PostgresDatabase

        return DurableStore(PostgresDatabase(store, profile.directory), unix_offset, call)
    from ctrlhub.controller.stores.sqlite import SqliteStore

    return SqliteStore(directory_of(store, profile), unix_offset, call)


def directory_of(store: str, profile: Profile) -> Path:
    """Return where a store in SQLite stands."""
    _, _, place = store.partition(":")
    return Path(place) if place else profile.store


def need_psycopg() -> None:
    """See that PostgreSQL can be reached from here at all.

    Raises
    ------
    StoreError
        It cannot.
    """
    try:
        importlib.import_module("psycopg")
    except ImportError as error:
        raise StoreError(
            f"a store in PostgreSQL needs psycopg ({error}): pip install 'ctrl-hub[postgres]'"
        ) from error

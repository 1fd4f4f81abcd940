"""Stores in SQLite as they lie on a disk: what tests of damage do with them."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import Any

from ctrlhub.controller.core.effects import Operation, SaveRequests
from ctrlhub.controller.stores.sqlite import DATABASE, SqliteStore
from tests.support.processes import until
from tests.support.stores import a_task

LOG = DATABASE + "-wal"
LARGE = b"x" * 1_100_000


def a_store(place: Path) -> SqliteStore:
    """Return a store that was not loaded."""
    return SqliteStore(place, 0.0, lambda call: call())


def write(store: SqliteStore, *operations: Operation) -> None:
    """Store something, and wait until it is safe."""
    done: list[int] = []
    store.write(operations, lambda: done.append(1))
    until(lambda: done, "it is stored")


def tasks(*numbers: int, payload: Any = b"x") -> Operation:
    """Return what stores tasks."""
    return SaveRequests([a_task(n, payload) for n in numbers])


def loaded(place: Path) -> Any:
    """Return what a hub finds in a store, which is closed again."""
    with closing(a_store(place)) as store:
        return store.load()


def contents(place: Path) -> dict[str, bytes]:
    """Return all files below a directory."""
    files = (path for path in place.rglob("*") if path.is_file())
    return {str(path.relative_to(place)): path.read_bytes() for path in files}


def leave(place: Path) -> Path:
    """Make a store with two tasks, the second with a payload in a file, whose hub has ended."""
    with closing(a_store(place)) as store:
        store.load()
        write(store, tasks(1))
        write(store, tasks(2, payload=LARGE))
    return place


def change(path: Path, at: int, content: bytes) -> None:
    """Overwrite a part of a file."""
    with open(path, "r+b") as file:
        file.seek(at)
        file.write(content)

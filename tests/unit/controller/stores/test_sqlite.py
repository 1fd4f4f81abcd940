"""A database on disk: what can be wrong with it, and how much room it takes."""

from __future__ import annotations

import sqlite3
import threading
import weakref
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ctrlhub.controller.core.effects import Expire, Fetched, Forget, SaveRequests, SaveResults
from ctrlhub.controller.stores import durable, schema, sqlite
from ctrlhub.controller.stores.sqlite import DATABASE, SqliteStore
from ctrlhub.wire.errors import StoreError
from tests.support.processes import until
from tests.support.stores import a_result, a_task


class Calls:
    """The hub's loop: what the store wants to have called."""

    def __init__(self) -> None:
        self.waiting: deque[Callable[[], None]] = deque()
        self.threads: set[int] = set()

    def soon(self, call: Callable[[], None]) -> None:
        """Take a call."""
        self.threads.add(threading.get_ident())
        self.waiting.append(call)

    def done(self) -> bool:
        """Do what there is; say whether there was any."""
        found = bool(self.waiting)
        while self.waiting:
            self.waiting.popleft()()
        return found


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """Where the store is."""
    return tmp_path / "store"


@pytest.fixture
def calls() -> Calls:
    """The hub's loop."""
    return Calls()


@pytest.fixture
def store(
    place: Path, calls: Calls, monkeypatch: pytest.MonkeyPatch
) -> Iterator[SqliteStore]:
    """A store that soon tries again."""
    monkeypatch.setattr(durable, "AGAIN", 0.05)
    monkeypatch.setattr(sqlite, "BUSY", 0.05)
    made = SqliteStore(place, 0.0, calls.soon)
    made.load()
    yield made
    made.close()


def write(store: SqliteStore, *numbers: int, payload: bytes = b"x") -> list[int]:
    """Store tasks; return a list that has an item once they are safe."""
    done: list[int] = []
    store.write([SaveRequests([a_task(n, payload) for n in numbers])], lambda: done.append(1))
    return done


def test_writes_are_made_elsewhere(store: SqliteStore, calls: Calls) -> None:
    """By a thread of the store's; nothing is called in the hub's but what it takes itself."""
    done = write(store, 1)
    until(lambda: calls.waiting, "the write is done")
    assert calls.threads == {store._thread.ident}
    assert done == []
    assert calls.done()
    assert done == [1]


def test_it_is_on_disk_before_it_is_said(store: SqliteStore, place: Path, calls: Calls) -> None:
    """Who reads the files then finds it, and the log is written through."""
    write(store, 1)
    until(calls.done, "the write is done")
    reader = sqlite3.connect(place / DATABASE)
    assert reader.execute("SELECT count(*) FROM batches").fetchone() == (1,)
    assert reader.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    reader.close()
    assert store._database.connection.execute("PRAGMA synchronous").fetchone() == (2,)


def test_nothing_is_held_that_was_written(store: SqliteStore, calls: Calls) -> None:
    """Bulk data goes when the hub lets go of it, also if nothing else is written."""

    class Bulk(bytearray):
        """What can be watched."""

    bulk = Bulk(2_000_000)
    gone = weakref.ref(bulk)
    store.write([SaveRequests([a_task(1, (bulk,))])], lambda: None)
    del bulk
    until(calls.done, "the write is done")
    until(lambda: gone() is None, "it is let go")


def test_files_are_private(store: SqliteStore, place: Path, calls: Calls) -> None:
    """As all of a profile's."""
    write(store, 1, payload=b"x" * 2_000_000)
    until(calls.done, "the write is done")
    for path in (place, place / "payloads"):
        assert path.stat().st_mode & 0o777 == 0o700
    for path in (*place.glob("store.db*"), *(place / "payloads").iterdir()):
        assert path.stat().st_mode & 0o777 == 0o600, path


def test_a_full_disk(store: SqliteStore, place: Path, calls: Calls) -> None:
    """Nothing is said to be safe that is not, and it is said why; when there is room, all is stored."""
    write(store, 1)
    until(calls.done, "the write is done")
    store._database.connection.execute("PRAGMA max_page_count = 1")
    done = write(store, 2, payload=b"x" * 500_000)
    more = write(store, 3)
    until(lambda: "full" in store.trouble, "it is said")
    assert store._database.where in store.state().trouble
    calls.done()
    assert not done
    assert not more
    store._database.connection.execute("PRAGMA max_page_count = 1000000")
    until(lambda: calls.done() and more, "it is stored")
    assert store.trouble == ""
    store.close()
    again = SqliteStore(place, 0.0, calls.soon)
    assert again.load().tasks.keys() == {1, 2, 3}
    again.close()


def test_files_that_cannot_be_written(
    store: SqliteStore, calls: Calls, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A payload that has no room is waited for like anything else."""
    room = threading.Event()
    write_files = store._database.files.write

    def write_or_fail(files: object) -> None:
        if not room.is_set():
            raise OSError(28, "No space left on device")
        write_files(files)  # type: ignore[arg-type]

    monkeypatch.setattr(store._database.files, "write", write_or_fail)
    done = write(store, 1, payload=b"x" * 2_000_000)
    until(lambda: "No space left" in store.trouble, "it is said")
    room.set()
    until(lambda: calls.done() and done, "it is stored")
    assert store.trouble == ""


def test_a_database_that_somebody_holds(store: SqliteStore, place: Path, calls: Calls) -> None:
    """The hub does not wait with it, and stores when it is let go."""
    holder = sqlite3.connect(place / DATABASE, isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    done = write(store, 1)
    until(lambda: "locked" in store.trouble, "it is said")
    assert not done
    holder.execute("ROLLBACK")
    holder.close()
    until(lambda: calls.done() and done, "it is stored")


def test_a_store_in_trouble_can_be_closed(store: SqliteStore) -> None:
    """It gives up what it cannot store, which nobody was told to be safe."""
    store._database.connection.execute("PRAGMA max_page_count = 1")
    done = write(store, 2, payload=b"x" * 500_000)
    until(lambda: store.trouble, "it is said")
    store.close()
    assert not done


@pytest.mark.parametrize("content", [b"no database", b"SQLite format 3\0" + b"x" * 100_000])
def test_a_damaged_database_is_left_as_it_is(place: Path, calls: Calls, content: bytes) -> None:
    """The error says where it is, and what to do."""
    place.mkdir(mode=0o700)
    path = place / DATABASE
    path.write_bytes(content)
    path.chmod(0o600)
    with pytest.raises(StoreError, match="move it away") as caught:
        SqliteStore(place, 0.0, calls.soon).load()
    assert str(place) in str(caught.value)
    assert path.read_bytes() == content


def test_damaged_content(store: SqliteStore, place: Path, calls: Calls) -> None:
    """A batch that is none is an error, not a hub without its requests."""
    write(store, 1)
    until(calls.done, "the write is done")
    store.close()
    database = sqlite3.connect(place / DATABASE)
    database.execute("UPDATE batches SET body = x'00'")
    database.commit()
    database.close()
    again = SqliteStore(place, 0.0, calls.soon)
    with pytest.raises(StoreError, match="no batch"):
        again.load()
    again.close()


def test_versions(place: Path, calls: Calls) -> None:
    """A later version's database is refused, and another program's; an empty one becomes ours."""
    SqliteStore(place, 0.0, calls.soon).close()
    database = sqlite3.connect(place / DATABASE)
    assert database.execute("PRAGMA user_version").fetchone() == (schema.VERSION,)
    database.execute(f"PRAGMA user_version = {schema.VERSION + 1}")
    database.close()
    with pytest.raises(StoreError, match="later version"):
        SqliteStore(place, 0.0, calls.soon)
    database = sqlite3.connect(place / DATABASE)
    database.execute("PRAGMA application_id = 77")
    database.close()
    with pytest.raises(StoreError, match="another program"):
        SqliteStore(place, 0.0, calls.soon)


def test_migrations_lead_from_each_version_to_the_next(
    place: Path, calls: Calls, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What an older version has stored is there afterwards."""
    old = SqliteStore(place, 0.0, calls.soon)
    old.load()
    write(old, 1)
    old.close()
    more = (*schema.MIGRATIONS, ("CREATE TABLE another (name TEXT)",))
    monkeypatch.setattr(schema, "MIGRATIONS", more)
    monkeypatch.setattr(schema, "VERSION", len(more))
    new = SqliteStore(place, 0.0, calls.soon)
    assert new.load().tasks.keys() == {1}
    assert new._database.connection.execute("SELECT count(*) FROM another").fetchone() == (0,)
    new.close()


def test_the_file_shrinks(store: SqliteStore, place: Path, calls: Calls) -> None:
    """When much was stored and is not needed any more."""

    def size() -> int:
        return sum(path.stat().st_size for path in place.iterdir() if path.is_file())

    requests = [a_task(n, b"x" * 60_000) for n in range(500)]
    store.write([SaveRequests(requests)], lambda: None)
    until(lambda: calls.done() and size() > 30_000_000, "it is large")
    store.write([SaveResults([a_result(n) for n in range(500)])], lambda: None)
    store.write([Fetched(((0, 499),))], lambda: None)
    store.write([Expire([task for _, task in requests[:499]])], lambda: None)
    number = 1000

    def is_small() -> bool:
        nonlocal number
        number += 1
        write(store, number)
        store.write([Forget(((number, number),))], lambda: None)
        calls.done()
        sizes = (place / DATABASE).stat().st_size, store.state().bytes
        return max(sizes) < 8_000_000

    until(is_small, "it is small, and says so")


def test_a_bug_acknowledges_nothing(
    store: SqliteStore, calls: Calls, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What has failed is not taken for stored, then or later."""

    def fail(*_: object) -> None:
        raise RuntimeError("a bug")

    monkeypatch.setattr(store._journal, "write", fail)
    done = write(store, 1)
    until(lambda: "a bug" in store.trouble, "it is said")
    monkeypatch.undo()
    more = write(store, 2)
    calls.done()
    assert not done
    assert not more

"""What a durable store does with a database that is slow, silent, or cannot tidy up."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Collection, Iterator, Sequence

import pytest

from ctrlhub.controller.core.effects import Forget, SaveRequests, SaveResults
from ctrlhub.controller.stores import durable
from ctrlhub.controller.stores.changes import Changes
from ctrlhub.controller.stores.database import Contents
from ctrlhub.controller.stores.durable import DurableStore
from ctrlhub.wire.messages import Payload
from tests.support.processes import until
from tests.support.stores import Disk, a_result, a_task


class SlowDatabase:
    """Carries out a transaction when it is let."""

    kind, where = "slow", "nowhere"
    failures = (OSError,)

    def __init__(self) -> None:
        self.disk = Disk()
        self.begun = threading.Semaphore(0)
        self.may_go_on = threading.Semaphore(0)
        self.sizes: list[int] = []
        self.untidy = False

    def read(self) -> Contents:
        """Return what there is."""
        return Contents(self.disk.batches.items(), self.disk.functions.items(), [])

    def read_payload(self, name: str, sizes: Sequence[int]) -> Payload:
        """Return a large payload."""
        return self.disk.open_file(name, sizes)

    def sweep(self, known: Collection[str]) -> None:
        """Do nothing."""

    def commit(self, changes: Changes) -> None:
        """Wait, and carry it out."""
        self.begun.release()
        assert self.may_go_on.acquire(timeout=60)
        self.sizes.append(sum(map(len, changes.batches.values())))
        self.disk.carry_out(changes)

    def batch(self, sequence: int) -> bytes:
        """Return a batch."""
        return self.disk.batches[sequence]

    def make_room(self, goes_on: Callable[[], bool]) -> bool:
        """Fail, if it is to."""
        if self.untidy:
            raise OSError(28, "No space left on device")
        return False

    def compact(self) -> None:
        """Have nothing to give back."""

    def size(self) -> int:
        """Return nothing of interest."""
        return 0

    def close(self) -> None:
        """Do nothing."""


@pytest.fixture
def database() -> SlowDatabase:
    """A database that waits."""
    return SlowDatabase()


@pytest.fixture
def store(database: SlowDatabase) -> Iterator[DurableStore]:
    """A store in it."""
    made = DurableStore(database, 0.0, calls.append)
    calls.clear()
    made.load()
    yield made
    for _ in range(1000):
        database.may_go_on.release()
    made.close()


calls: deque[Callable[[], None]] = deque()


def save(store: DurableStore, number: int, size: int) -> None:
    """Store a task that has ended, with a value of so many bytes."""
    store.write([SaveRequests([a_task(number)]), SaveResults([a_result(number, b"x" * size)])], lambda: None)


def test_much_that_waits(store: DurableStore, database: SlowDatabase) -> None:
    """The store says so, until it is stored; in transactions of a bearable size."""
    count, size = 100, 1_000_000
    for number in range(count):
        save(store, number, size)
    assert store.is_behind
    while database.begun.acquire(timeout=60) and sum(database.sizes) < (count - 20) * size:
        database.may_go_on.release()
    database.may_go_on.release()
    until(lambda: not store.is_behind, "it is not behind")
    assert max(database.sizes) < durable.TRANSACTION_BYTES + 2 * size


def test_little_that_waits(store: DurableStore) -> None:
    """However many writes: that is no reason to stop."""
    for number in range(1000):
        save(store, number, 100)
    assert not store.is_behind


def test_a_database_that_does_not_answer(
    store: DurableStore, database: SlowDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is said, though nothing has failed, as long as it lasts."""
    monkeypatch.setattr(durable, "SILENT", 0.05)
    assert store.trouble == ""
    save(store, 1, 10)
    until(lambda: "does not answer" in store.trouble, "it is said")
    assert store.state().trouble
    database.may_go_on.release()
    until(lambda: not store.trouble, "it is well again")


def test_an_end_without_an_answer(
    store: DurableStore, database: SlowDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The hub ends nevertheless."""
    monkeypatch.setattr(durable, "CLOSING", 0.05)
    save(store, 1, 10)
    assert database.begun.acquire(timeout=60)
    store.close()
    assert not database.sizes


def test_room_that_cannot_be_given_back(
    store: DurableStore, database: SlowDatabase, caplog: pytest.LogCaptureFixture
) -> None:
    """It is logged, once; requests are not refused for it."""
    database.untidy = True
    for _ in range(20):
        database.may_go_on.release()
    for number in range(1, 4):
        save(store, number, 10)
        until(lambda number=number: len(calls) == 2 * number - 1, "stored")  # type: ignore[misc]
        store.write([Forget(((number, number),))], lambda: None)
        until(lambda number=number: len(calls) == 2 * number, "forgotten")  # type: ignore[misc]
    until(lambda: "cannot give room back" in caplog.text, "it is logged")
    assert caplog.text.count("cannot give room back") == 1
    assert store.trouble == ""

"""Power cuts: what follows the last sync is lost, in part or as a whole; what was acknowledged is not."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ctrlhub.controller.core.effects import (
    Expire,
    Fetched,
    Keep,
    Operation,
    SaveRequests,
    SaveResults,
)
from ctrlhub.controller.core.saved import Saved
from ctrlhub.controller.core.tasks import Task
from ctrlhub.controller.stores import file_book, journal, mark, sqlite
from ctrlhub.controller.stores.sqlite import DATABASE, SqliteStore
from ctrlhub.wire.errors import StoreError
from tests.support.power import Disk, recording
from tests.support.processes import until
from tests.support.stores import a_result, a_task

LARGE = 20_000
"""In this test so many bytes have a file of their own."""

BATCH = 8
TURNS = 80


def arguments(number: int) -> bytes:
    """Return what a task was submitted with."""
    return number.to_bytes(4, "big") * ((LARGE // 2 if number % 7 == 0 else number % 900) + 1)


def value(number: int) -> bytes:
    """Return what a task has returned."""
    return number.to_bytes(4, "little") * ((LARGE // 3 if number % 5 == 0 else number % 700) + 1)


def work(disk: Disk) -> None:
    """Use a store as a hub does; what is asked and what is acknowledged is said to the disk.

    The half of each batch with odd ids ends with the next one, and after a while is forgotten.
    """
    store = SqliteStore(disk.place / "store", 0.0, lambda call: call())
    store._database.connection.execute("PRAGMA wal_autocheckpoint = 40")  # type: ignore[attr-defined]
    store.load()
    tasks: dict[int, Task] = {}
    acknowledged = 0

    def note(ids: range, odd: list[int]) -> None:
        nonlocal acknowledged
        disk.say(("acknowledged", ids))
        disk.say(("ended", odd))
        acknowledged += 1

    for turn in range(TURNS):
        ids = range(1 + turn * BATCH, 1 + (turn + 1) * BATCH)
        made = [a_task(number, arguments(number)) for number in ids]
        tasks.update(made)
        odd = [n - BATCH for n in ids if n > BATCH and n % 2]
        old = [tasks[n] for n in range(ids[0] - 6 * BATCH, ids[0] - 5 * BATCH) if n > 0 and n % 2]
        operations: list[Operation] = [
            SaveRequests(made), SaveResults([a_result(n, value(n)) for n in odd]),
            Fetched(tuple((n, n) for n in odd)), Expire(old), Keep("turn", turn),
        ]  # fmt: skip
        disk.say(("expires", [task.id for task in old]))
        store.write(operations, lambda ids=ids, odd=odd: note(ids, odd))  # type: ignore[misc]
        if turn % 3:  # else it gathers
            until(lambda turn=turn: acknowledged == turn + 1, "it is stored")  # type: ignore[misc]
    store.close()


@pytest.fixture(scope="module")
def disk(tmp_path_factory: pytest.TempPathFactory) -> Disk:
    """What was written, of all that a store does: checkpoints, rewriting, and shrinking included."""
    made = Disk(tmp_path_factory.mktemp("power"))
    with pytest.MonkeyPatch.context() as patch:
        for module in (file_book, journal):
            patch.setattr(module, "FILE_BYTES", LARGE)
        patch.setattr(journal, "WASTE", 50)
        patch.setattr(sqlite, "FREE_PAGES", 4)
        with recording(made):
            work(made)
    return made


@pytest.fixture(scope="module")
def another_boot(disk: Disk) -> Iterator[None]:
    """The system runs again, after the power has failed."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(mark, "boot_id", lambda: "another one")
        yield


def check(saved: Saved, said: list[tuple[str, Any]]) -> None:
    """Everything that was acknowledged is there, whole, and nothing that nobody has stored."""
    told: dict[str, set[int]] = {"acknowledged": set(), "ended": set(), "expires": set()}
    for word, ids in said:
        told[word].update(ids)
    acknowledged, ended, expired = told.values()
    assert acknowledged - expired <= saved.tasks.keys()
    assert ended - expired <= saved.results.keys() & saved.fetched
    if acknowledged:
        assert saved.kept["turn"] >= (max(acknowledged) - 1) // BATCH
        assert saved.functions == {b"f": b"code of f"}
    for number, task in saved.tasks.items():
        if number not in saved.results:  # large arguments go when it has ended
            assert whole(task.payload) == arguments(number)
    for number, outcome in saved.results.items():
        assert whole(outcome[2]) == value(number)


def whole(payload: Any) -> bytes:
    """Return the bytes of a payload."""
    return payload if isinstance(payload, bytes) else b"".join(map(bytes, payload))


@settings(max_examples=100)
@given(moment=st.floats(0, 1), chance=st.integers(0, 2**32))
def test_what_was_acknowledged_survives_a_power_cut(
    disk: Disk, another_boot: None, moment: float, chance: int
) -> None:
    """At any moment: the database is whole, the next hub has all, and can store more."""
    with TemporaryDirectory() as place:
        said = disk.cut(round(moment * len(disk.events)), Random(chance), Path(place))
        directory = Path(place) / "store"
        store = SqliteStore(directory, 0.0, lambda call: call())
        with closing(store):
            connection = store._database.connection  # type: ignore[attr-defined]
            assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
            check(store.load(), said)
            store.write([SaveRequests([a_task(10**6)])], lambda: None)
        again = SqliteStore(directory, 0.0, lambda call: call())
        with closing(again):
            assert 10**6 in again.load().tasks


def test_the_disk_forgets(disk: Disk, another_boot: None) -> None:
    """Or the test above would show nothing: without syncs, what was acknowledged is lost."""
    blind = Disk(disk.place)
    blind.events = [each for each in disk.events if each.what not in ("sync", "sync_dir")]
    lost = 0
    for chance in range(20):
        with TemporaryDirectory() as place:
            said = blind.cut(len(blind.events), Random(chance), Path(place))
            try:
                store = SqliteStore(Path(place) / "store", 0.0, lambda call: call())
                with closing(store):
                    check(store.load(), said)
            except (AssertionError, KeyError, StoreError):
                lost += 1
    assert lost


def test_the_disk_has_seen_all_that_a_store_does(disk: Disk) -> None:
    """Files that come and go, a log that is copied into the database, a database that shrinks."""
    kinds = {(event.what, event.name.rpartition(".")[2]) for event in disk.events if event.name}
    assert {("link", "request"), ("unlink", "request"), ("link", "result"), ("unlink", "result")} <= kinds
    numbers = {event.name: event.at for event in disk.events if event.what == "link"}
    of_database = {event.what for event in disk.events if event.of == numbers[DATABASE]}
    assert of_database == {"write", "sync", "truncate"}

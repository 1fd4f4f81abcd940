"""Damaged stores: a database that is missing, old, or another one is refused, and nothing is removed."""

from __future__ import annotations

import json
import re
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from ctrlhub.controller.stores import packing
from ctrlhub.controller.stores.looking import look
from ctrlhub.controller.stores.mark import ASIDE, MARK
from ctrlhub.controller.stores.passing import store_may_pass
from ctrlhub.controller.stores.sqlite import DATABASE, PAYLOADS
from ctrlhub.wire.errors import StoreError
from ctrlhub.wire.places import Profile
from tests.support.processes import until
from tests.support.stores_on_disk import (
    LARGE,
    LOG,
    a_store,
    change,
    contents,
    leave,
    loaded,
    tasks,
    write,
)


@pytest.fixture
def killed(tmp_path: Path) -> Path:
    """The store of a hub that was killed: two batches are in the log, and a payload in a file."""
    place = tmp_path / "store"
    with closing(a_store(place)) as store:
        store.load()
        write(store, tasks(1))
        write(store, tasks(2, payload=LARGE))
        return Path(shutil.copytree(place, tmp_path / "killed"))


@pytest.fixture
def stopped(tmp_path: Path) -> Path:
    """The store of a hub that has ended: everything is in the database."""
    return leave(tmp_path / "stopped")


def test_what_is_whole(killed: Path, stopped: Path) -> None:
    """The stores that are damaged below are well before."""
    assert loaded(killed).tasks.keys() == loaded(stopped).tasks.keys() == {1, 2}
    assert loaded(killed).tasks.keys() == {1, 2}


def lose_database(place: Path) -> None:
    """It is missing."""
    (place / DATABASE).unlink()


def empty_database(place: Path) -> None:
    """It is there, and nothing in it."""
    (place / DATABASE).write_bytes(b"")


def lose_all_but_payloads(place: Path) -> None:
    """Only files of payloads are left."""
    for path in place.iterdir():
        if path.is_file():
            path.unlink()


def lose_all_but_mark(place: Path) -> None:
    """Nothing is left but the mark."""
    for path in place.iterdir():
        if path.name != MARK:
            shutil.rmtree(path) if path.is_dir() else path.unlink()


@pytest.mark.parametrize(
    "damage", [lose_database, empty_database, lose_all_but_payloads, lose_all_but_mark]
)
@pytest.mark.parametrize("state", ["killed", "stopped"])
def test_a_database_that_is_missing(
    state: str, damage: Callable[[Path], None], request: pytest.FixtureRequest
) -> None:
    """It is refused, as often as it is tried, and what is left stays, also a log without a database."""
    place: Path = request.getfixturevalue(state)
    damage(place)
    before = contents(place)
    for _ in range(2):
        with pytest.raises(StoreError, match=r"is missing or empty, .* was stored here") as caught:
            a_store(place)
        assert "move it away" in str(caught.value)
        assert contents(place) == before


def lose_log(place: Path) -> None:
    """What was not in the database yet is missing."""
    (place / LOG).unlink()


def empty_log(place: Path) -> None:
    """It is there, and nothing in it."""
    (place / LOG).write_bytes(b"")


@pytest.mark.parametrize("damage", [lose_log, empty_log])
def test_a_log_that_is_missing(killed: Path, damage: Callable[[Path], None]) -> None:
    """The database without it is refused, and no file of a payload is removed."""
    damage(killed)
    payloads = contents(killed / PAYLOADS)
    for _ in range(2):
        with pytest.raises(StoreError, match=r"has lost its tables: its write-ahead log .* was removed"):
            a_store(killed)
        assert contents(killed / PAYLOADS) == payloads


def test_a_log_that_is_missing_later(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where logs have been copied into the database before: each one counts."""
    place = tmp_path / "store"
    with closing(a_store(place)) as store:
        store._database.connection.execute("PRAGMA wal_autocheckpoint = 10")
        store.load()
        for number in range(1, 59):
            write(store, tasks(number, payload=bytes(20_000)))
        store._database.connection.execute("PRAGMA wal_autocheckpoint = 0")
        write(store, tasks(59))  # which is in the log alone
        generation = json.loads((place / MARK).read_bytes())["generation"]
        copy = Path(shutil.copytree(place, tmp_path / "killed"))
    assert 2 < generation < 59
    whole = Path(shutil.copytree(copy, tmp_path / "whole"))
    assert loaded(whole).tasks.keys() == set(range(1, 60))
    (copy / LOG).unlink()
    with pytest.raises(StoreError, match=rf"lacks what was stored last .* generation {generation}\)"):
        a_store(copy)


def test_marks_cost_little(tmp_path: Path) -> None:
    """One for each log, and not for each commit."""
    place = tmp_path / "store"
    with closing(a_store(place)) as store:
        store.load()
        write(store, tasks(1))
        written = (place / MARK).stat().st_mtime_ns
        for number in range(2, 20):
            write(store, tasks(number))
        assert (place / MARK).stat().st_mtime_ns == written


def test_an_older_copy_of_a_database(stopped: Path, tmp_path: Path) -> None:
    """It is refused; whoever removes the mark takes it as it is, and finds what it does not know aside."""
    shutil.copy(stopped / DATABASE, tmp_path / "copy")
    with closing(a_store(stopped)) as store:
        store.load()
        write(store, tasks(3, payload=LARGE))
    shutil.copy(tmp_path / "copy", stopped / DATABASE)
    payloads = contents(stopped / PAYLOADS)
    with pytest.raises(StoreError, match="lacks what was stored last") as caught:
        a_store(stopped)
    assert f"who removes the file {stopped / MARK}" in str(caught.value)
    assert contents(stopped / PAYLOADS) == payloads
    (stopped / MARK).unlink()
    assert loaded(stopped).tasks.keys() == {1, 2}
    assert contents(stopped / PAYLOADS).keys() | contents(stopped / ASIDE).keys() == payloads.keys()
    assert len(contents(stopped / ASIDE)) == 1


def test_the_database_of_another_store(stopped: Path, tmp_path: Path) -> None:
    """It is refused, though it is whole."""
    with closing(a_store(tmp_path / "other")) as store:
        store.load()
        write(store, tasks(7))
    shutil.copy(tmp_path / "other" / DATABASE, stopped / DATABASE)
    with pytest.raises(StoreError, match="is that of another store"):
        a_store(stopped)


@pytest.mark.parametrize("content", [b"", b"\0\0", b"[]", b'{"store": "x"}'])
def test_a_damaged_mark(
    stopped: Path, content: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    """It is said, and made anew with the next commit; the database is whole."""
    (stopped / MARK).write_bytes(content)
    with closing(a_store(stopped)) as store:
        assert store.load().tasks.keys() == {1, 2}
        assert "is damaged" in caplog.text
        write(store, tasks(3))
    assert json.loads((stopped / MARK).read_bytes())["generation"] == 2
    assert loaded(stopped).tasks.keys() == {1, 2, 3}


def test_a_store_of_an_earlier_version(
    stopped: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """It had no mark, and gets one; files that nothing speaks of are set aside, not removed."""
    (stopped / MARK).unlink()
    with closing(sqlite3.connect(stopped / DATABASE)) as database:
        database.execute("DROP TABLE about")
        database.execute("PRAGMA user_version = 1")
    (stopped / PAYLOADS / "somebody's").write_bytes(b"only copy")
    with closing(a_store(stopped)) as store:
        assert store.load().tasks.keys() == {1, 2}
        write(store, tasks(3))
    assert contents(stopped / ASIDE) == {"somebody's": b"only copy"}
    assert str(stopped / ASIDE) in caplog.text
    assert loaded(stopped).tasks.keys() == {1, 2, 3}
    (stopped / DATABASE).unlink()
    with pytest.raises(StoreError, match="missing or empty"):
        a_store(stopped)


def test_files_of_no_transaction_are_removed(stopped: Path) -> None:
    """A hub that was killed may have written some: a database that is well does not name them."""
    (stopped / PAYLOADS / "0000000000000007.request").write_bytes(b"of nothing")
    assert loaded(stopped).tasks.keys() == {1, 2}
    assert contents(stopped / PAYLOADS).keys() == {"0000000000000002.request"}
    assert not (stopped / ASIDE).exists()


def test_a_log_that_is_removed_while_it_is_used(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """It is replaced with the next commit, and nothing is lost, neither what was in it nor what comes."""
    place = tmp_path / "store"
    with closing(a_store(place)) as store:
        store.load()
        write(store, tasks(1))
        (place / LOG).unlink()
        write(store, tasks(2))
        write(store, tasks(3))
        copy = Path(shutil.copytree(place, tmp_path / "killed"))
    assert "was removed while it is used" in caplog.text
    assert loaded(copy).tasks.keys() == {1, 2, 3}


def test_a_database_that_is_removed_while_it_is_used(tmp_path: Path) -> None:
    """Nothing is acknowledged any more, and it is said why."""
    place = tmp_path / "store"
    with closing(a_store(place)) as store:
        store.load()
        write(store, tasks(1))
        (place / DATABASE).unlink()
        done: list[int] = []
        store.write([tasks(2)], lambda: done.append(1))
        until(lambda: DATABASE in store.trouble, "it is said")
        assert not done


# ---------------------------------------------------------------- what stands in it


@pytest.fixture
def written(tmp_path: Path) -> Path:
    """A store with ten tasks, whose hub has ended."""
    with closing(a_store(tmp_path / "written")) as store:
        store.load()
        for number in range(1, 11):
            write(store, tasks(number, payload=bytes([number]) * 3000))
    return tmp_path / "written"


@pytest.mark.parametrize("number", [1, 5, 10])
def test_a_page_that_is_altered(written: Path, number: int) -> None:
    """A byte in the arguments of a task is enough: nothing is run that nobody has asked for."""
    content = (written / DATABASE).read_bytes()
    change(written / DATABASE, content.index(bytes([number]) * 3000) + 1500, b"\x63")
    before = (written / DATABASE).read_bytes()
    for _ in range(2):
        with closing(a_store(written)) as store, pytest.raises(StoreError, match="checksum is not right"):
            store.load()
    assert (written / DATABASE).read_bytes() == before


@pytest.mark.parametrize("stride", [1, 7, 97, 997])
def test_a_page_of_which_much_is_altered(written: Path, stride: int) -> None:
    """Also where SQLite says so in what is no text: the store is named, it may not pass, all is as it was."""
    content = bytearray((written / DATABASE).read_bytes())
    for place in range(4096, 16 * 1024, stride):
        content[place] ^= 0xFF
    (written / DATABASE).write_bytes(content)
    with pytest.raises(StoreError, match=re.escape(str(written))) as raised:
        a_store(written)
    assert re.search("malformed|not a database", str(raised.value))
    assert "put it right, move it away" in str(raised.value)
    assert not store_may_pass(raised.value)
    with pytest.raises(StoreError, match="cannot be read"):
        look(f"sqlite:{written}", Profile.named("default", written.parent))
    assert (written / DATABASE).read_bytes() == content


def test_a_function_that_is_missing(written: Path) -> None:
    """It is refused: its tasks could not be run."""
    with closing(sqlite3.connect(written / DATABASE)) as database, database:
        database.execute("DELETE FROM functions")
    with closing(a_store(written)) as store, pytest.raises(StoreError, match="1 functions are missing"):
        store.load()


def test_rows_of_an_earlier_version(written: Path) -> None:
    """They have no checksum, and are taken as they are."""
    with closing(sqlite3.connect(written / DATABASE)) as database, database:
        for table in ("batches", "functions", "kept"):
            database.execute(f"UPDATE {table} SET body = substr(body, 6)")
    with closing(a_store(written)) as store:
        saved = store.load()
        write(store, tasks(11))
    assert saved.tasks.keys() == set(range(1, 11))
    assert saved.functions == {b"f": b"code of f"}
    assert loaded(written).tasks.keys() == set(range(1, 12))


@pytest.mark.parametrize(
    "body", [None, 5, "text", b"", packing.pack((packing.FORMAT, 1, 2, 3, 4, 5, 6, 7)), packing.pack(7)],
    ids=["nothing", "a number", "text", "empty", "no rows", "no batch"],
)  # fmt: skip
def test_a_row_of_another_type_is_damage(body: Any) -> None:
    """As a page that is half another's may have it."""
    with pytest.raises(packing.UnknownFormat):
        packing.read_batch(body)

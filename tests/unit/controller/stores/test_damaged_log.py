"""A write-ahead log that is damaged is refused, one that a power cut or a kill has left is not."""

from __future__ import annotations

import os
import shutil
from contextlib import closing
from pathlib import Path

import pytest

from ctrlhub.controller.stores import mark
from ctrlhub.controller.stores.mark import ASIDE, MARK
from ctrlhub.wire.errors import StoreError
from tests.support.stores_on_disk import (
    LOG,
    a_store,
    change,
    contents,
    loaded,
    tasks,
    write,
)


@pytest.fixture
def with_log(tmp_path: Path) -> Path:
    """The store of a hub that was killed, with seven transactions and more in the log."""
    with closing(a_store(tmp_path / "store")) as store:
        store.load()
        for number in range(1, 8):
            write(store, tasks(number, payload=bytes([number]) * 20_000))
        return Path(shutil.copytree(tmp_path / "store", tmp_path / "killed"))


SHARES = [0.3, 0.5, 0.7, 0.9]


@pytest.mark.parametrize("share", SHARES)
def test_a_log_that_is_damaged(with_log: Path, share: float) -> None:
    """It is refused, as often as it is tried, with what is missing, and nothing is changed."""
    log = with_log / LOG
    change(log, int(log.stat().st_size * share), b"\xaa" * 64)
    before = {name: body for name, body in contents(with_log).items() if not name.endswith("-shm")}
    for _ in range(2):
        with pytest.raises(StoreError, match=r"store\.db-wal is damaged: frame \d+ of \d+ is not whole") as caught:
            a_store(with_log)
        assert f"who removes the file {with_log / MARK}" in str(caught.value)
        assert contents(with_log).items() >= before.items()


@pytest.mark.parametrize("at", [0, 10, 17, 30])
def test_a_log_whose_header_is_damaged(with_log: Path, at: int) -> None:
    """Then SQLite would read nothing of it."""
    change(with_log / LOG, at, b"\xaa\x55")
    with pytest.raises(StoreError, match=r"store\.db-wal is damaged: nothing in it can be read"):
        a_store(with_log)


@pytest.mark.parametrize("share", SHARES)
def test_what_is_before_the_damage_can_be_had(
    with_log: Path, share: float, caplog: pytest.LogCaptureFixture
) -> None:
    """By who removes the mark; the damaged log is kept aside."""
    log = with_log / LOG
    change(log, int(log.stat().st_size * share), b"\xaa" * 64)
    damaged = log.read_bytes()
    (with_log / MARK).unlink()
    with closing(a_store(with_log)) as store:
        found = store.load().tasks.keys()
        assert found == set(range(1, len(found) + 1))
        assert len(found) < 7
        write(store, tasks(8))
        copy = Path(shutil.copytree(with_log, with_log.parent / "again"))
    assert "taken as it is" in caplog.text
    assert list(contents(with_log / ASIDE).values()) == [damaged]
    assert loaded(copy).tasks.keys() == {*found, 8}


def test_a_transaction_that_a_power_cut_has_broken_off(
    with_log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The last one, of which only a part is there after another start of the system, was not acknowledged."""
    log = with_log / LOG
    change(log, log.stat().st_size - 30_000, b"\xaa" * 64)
    with pytest.raises(StoreError, match="1 transactions from there on cannot be read"):
        a_store(with_log)  # this system has not stood still since
    monkeypatch.setattr(mark, "boot_id", lambda: "another")
    with closing(a_store(with_log)) as store:
        assert store.load().tasks.keys() == set(range(1, 7))
        write(store, tasks(9))
        copy = Path(shutil.copytree(with_log, with_log.parent / "again"))
    assert loaded(copy).tasks.keys() == {*range(1, 7), 9}


@pytest.mark.parametrize("cut", [100, 10_000, 16_384, 20_000])
def test_a_hub_that_was_killed_as_it_wrote(tmp_path: Path, cut: int) -> None:
    """Or had no room: the last transaction is there in part, and was not acknowledged."""
    with closing(a_store(tmp_path / "store")) as store:
        store.load()
        for number in range(1, 7):
            write(store, tasks(number, payload=bytes([number]) * 20_000))
        killed = Path(shutil.copytree(tmp_path / "store", tmp_path / "killed"))
        write(store, tasks(7, payload=b"7" * 20_000))
        shutil.copy(tmp_path / "store" / LOG, killed / LOG)
    log = killed / LOG
    os.truncate(log, log.stat().st_size - cut)
    with closing(a_store(killed)) as store:
        assert store.load().tasks.keys() == set(range(1, 7))
        write(store, tasks(8))
        copy = Path(shutil.copytree(killed, tmp_path / "again"))
    assert loaded(copy).tasks.keys() == {*range(1, 7), 8}


def test_a_log_that_was_cut_off(with_log: Path) -> None:
    """Its index says that there was more."""
    log = with_log / LOG
    os.truncate(log, log.stat().st_size - 20_000)
    for _ in range(2):
        with pytest.raises(StoreError, match=r"store\.db-wal is damaged"):
            a_store(with_log)


def test_an_empty_log_of_a_power_cut(with_log: Path) -> None:
    """A log of zeros was never written: that the database lacks what was in it is said otherwise."""
    log = with_log / LOG
    log.write_bytes(bytes(log.stat().st_size))
    with pytest.raises(StoreError, match="has lost its tables"):
        a_store(with_log)

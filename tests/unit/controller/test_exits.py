"""What the exit code of a hub that cannot start says: whether another may."""

from __future__ import annotations

import errno
import sqlite3
from contextlib import closing, suppress
from pathlib import Path

import pytest

from ctrlhub.controller.exits import EXIT_AWAY, EXIT_START_FAILED, EXIT_UNUSABLE, exit_of
from ctrlhub.controller.stores.sqlite import SqliteDatabase
from ctrlhub.wire.errors import CtrlHubError, StoreError
from ctrlhub.wire.places import Profile
from ctrlhub.wire.private import StateError
from ctrlhub.wire.trouble import forget_trouble, note_trouble, noted_trouble


def opened(directory: Path) -> StoreError:
    """Return why a store cannot be opened."""
    with pytest.raises(StoreError) as caught:
        SqliteDatabase(directory)
    return caught.value


def test_a_store_that_somebody_has_locked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """That passes."""
    monkeypatch.setattr("ctrlhub.controller.stores.sqlite.BUSY", 0.01)
    SqliteDatabase(tmp_path / "store").close()
    with closing(sqlite3.connect(tmp_path / "store" / "store.db")) as other:
        other.execute("PRAGMA locking_mode = EXCLUSIVE")
        other.execute("BEGIN EXCLUSIVE")
        assert exit_of(opened(tmp_path / "store")) == EXIT_AWAY


def test_a_store_that_is_none(tmp_path: Path) -> None:
    """That does not pass, nor does one of a later version."""
    (tmp_path / "store").mkdir(mode=0o700)
    (tmp_path / "store" / "store.db").write_bytes(b"no database" * 1000)
    (tmp_path / "store" / "store.db").chmod(0o600)
    assert exit_of(opened(tmp_path / "store")) == EXIT_UNUSABLE
    SqliteDatabase(tmp_path / "later").close()
    with closing(sqlite3.connect(tmp_path / "later" / "store.db")) as database:
        database.execute("PRAGMA user_version = 9999")
    assert exit_of(opened(tmp_path / "later")) == EXIT_UNUSABLE


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS, errno.EACCES, errno.EDQUOT])
def test_what_the_system_refuses_now(number: int) -> None:
    """Wherever it comes from: the lock, the keys, a connection file."""
    refused = OSError(number, "no")
    assert exit_of(refused) == EXIT_AWAY
    wrapped = StateError("cannot write")
    with suppress(StateError):
        raise wrapped from refused
    assert exit_of(wrapped) == EXIT_AWAY


@pytest.mark.parametrize("error", [CtrlHubError("interface"), OSError("no free ports")])
def test_what_is_wrong_with_the_hub_itself(error: Exception) -> None:
    """It has failed, and is not tried for ever."""
    assert exit_of(error) == EXIT_START_FAILED


def test_a_note_is_read_by_others(tmp_path: Path) -> None:
    """It stays until somebody removes it, and leaves nothing then."""
    profile = Profile.named("default", tmp_path)
    assert noted_trouble(profile.directory) == ""
    note_trouble(profile.directory, "no space left")
    try:
        assert noted_trouble(profile.directory) == "no space left"
    finally:
        forget_trouble(profile.directory)
    assert noted_trouble(profile.directory) == ""
    forget_trouble(profile.directory)

"""What ``--store`` may say."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from ctrlhub.controller.config import HubConfig
from ctrlhub.controller.store_places import check_store, is_postgresql, secrets, shown
from ctrlhub.controller.stores.opening import open_store
from ctrlhub.wire.errors import StoreError
from ctrlhub.wire.places import Profile


@pytest.mark.parametrize("store", [
    "sqlite", "memory", "sqlite:/var/tmp/here", "postgresql://", "postgresql:///tasks",
    "postgres://me@one:5432,two/tasks", "postgresql://me:p%40ss@host/tasks?sslmode=require",
    "postgresql://%2Fvar%2Frun%2Fpostgresql/tasks", "postgresql:///?service=hub",
])  # fmt: skip
def test_stores(store: str) -> None:
    """All that may be meant."""
    check_store(store)
    assert HubConfig.from_json(HubConfig(store=store).to_json()).store == store
    assert is_postgresql(store) == store.startswith("postgres")


@pytest.mark.parametrize("store", [
    "", "redis", "sqlite:", "sqlite:not/absolute", "memory:", "mysql://host/tasks", "postgresql:tasks",
])  # fmt: skip
def test_what_is_no_store(store: str) -> None:
    """It is said what may stand there."""
    with pytest.raises(ValueError, match="sqlite or memory, sqlite:DIRECTORY"):
        check_store(store)


@pytest.mark.parametrize("url", [
    "postgresql://me:se@cret@host/tasks", "postgresql://me:se/cret@host/tasks",
    "postgresql://me:se#cret@host/tasks", "postgresql://me:se?cret@host/tasks",
    "postgresql://[me:cret@host/tasks",
])  # fmt: skip
def test_passwords_that_are_not_escaped(url: str) -> None:
    """Taken apart otherwise, pieces of them would be shown; it is said how to write them."""
    with pytest.raises(ValueError, match="%40 for @") as caught:
        check_store(url)
    assert "cret" not in str(caught.value)


def test_what_is_shown() -> None:
    """All but secrets."""
    url = "postgresql://me:se%40cret@one:5,two:6/tasks?sslmode=require&password=other&sslpassword=third"
    assert shown(url) == "postgresql://me@one:5,two:6/tasks?sslmode=require"
    assert secrets(url) == {"se%40cret", "se@cret", "other", "third"}
    for plain in ("postgresql:///tasks", "postgresql://me@host", "postgresql:///?host=/run/pg"):
        assert shown(plain) == plain
        assert not secrets(plain)


def test_postgresql_without_its_library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is said what to install."""
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(StoreError, match=r"pip install 'ctrl-hub\[postgres\]'"):
        open_store("postgresql:///tasks", Profile.named("default", tmp_path), 0.0, lambda call: call())

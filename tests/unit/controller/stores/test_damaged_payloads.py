"""Files of payloads that are missing, short or altered are named; nothing of them is run or delivered."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from ctrlhub.controller.core.effects import Fetched, SaveResults
from ctrlhub.controller.core.history import GONE
from ctrlhub.controller.stores.mark import ASIDE
from ctrlhub.controller.stores.sqlite import PAYLOADS
from ctrlhub.wire.errors import unpack_failure
from ctrlhub.wire.messages import Status
from tests.support.stores import a_result
from tests.support.stores_on_disk import (
    LARGE,
    a_store,
    change,
    contents,
    leave,
    loaded,
    tasks,
    write,
)


@pytest.fixture
def stopped(tmp_path: Path) -> Path:
    """The store of a hub that has ended: everything is in the database."""
    return leave(tmp_path / "stopped")


def lose(path: Path) -> None:
    """The file is missing."""
    path.unlink()


def cut(path: Path) -> None:
    """Its end is missing."""
    os.truncate(path, 1000)


def alter(path: Path) -> None:
    """Some of its bytes are others."""
    change(path, 500_000, b"\0" * 100)


def spoil_checksum(path: Path) -> None:
    """Its last byte is another."""
    change(path, path.stat().st_size - 1, b"\x55")


def take_another(path: Path) -> None:
    """The file is whole, and that of another request."""
    with closing(a_store(path.parents[1] / "other")) as store:
        store.load()
        write(store, tasks(7, payload=LARGE), SaveResults([a_result(7, LARGE)]), tasks(9, payload=LARGE))
    others = {each.suffix: each for each in (path.parents[1] / "other" / PAYLOADS).iterdir()}
    shutil.copy(others[path.suffix], path)


damages = pytest.mark.parametrize("damage", [lose, cut, alter, spoil_checksum, take_another])


@damages
def test_arguments_that_are_damaged(
    stopped: Path, damage: Callable[[Path], None], caplog: pytest.LogCaptureFixture
) -> None:
    """The request is there, without them, and named in log and state; given again they are stored."""
    damage(stopped / PAYLOADS / "0000000000000002.request")
    for _ in range(2):
        with closing(a_store(stopped)) as store:
            saved = store.load()
            assert saved.damaged == {2}
            assert saved.tasks[2].payload == GONE
            assert saved.tasks[1].payload == b"x"
            assert store.state().damage.endswith(": 0-2")
            assert store.trouble == ""
    assert "the payloads of 1 requests in the store are missing" in caplog.text
    with closing(a_store(stopped)) as store:
        store.load()
        write(store, tasks(1, 2, payload=LARGE))
        store._journal.check()
    saved = loaded(stopped)
    assert not saved.damaged
    assert saved.tasks[1].payload == b"x"
    assert b"".join(saved.tasks[2].payload) == LARGE


@damages
def test_a_value_that_is_damaged(stopped: Path, damage: Callable[[Path], None]) -> None:
    """The result is an error, fetched or not; arguments of what has ended are nobody's damage."""
    with closing(a_store(stopped)) as store:
        store.load()
        write(store, tasks(3), SaveResults([a_result(2, LARGE), a_result(3, LARGE)]), Fetched(((3, 3),)))
    assert contents(stopped / PAYLOADS).keys() == {f"000000000000000{n}.result" for n in (2, 3)}
    for path in (stopped / PAYLOADS).iterdir():
        damage(path)
    saved = loaded(stopped)
    assert saved.damaged == {2, 3}
    for number in (2, 3):
        _, status, payload, *_ = saved.results[number]
        assert status == Status.ERROR
        assert unpack_failure(payload).code == "result_lost"
    assert saved.fetched == {3}


def test_files_of_an_earlier_version(stopped: Path) -> None:
    """They have no checksum, and are taken as they are."""
    os.truncate(stopped / PAYLOADS / "0000000000000002.request", len(LARGE))
    saved = loaded(stopped)
    assert not saved.damaged
    assert b"".join(saved.tasks[2].payload) == LARGE


def test_many_are_named_in_part(stopped: Path) -> None:
    """What is said of damage is of a bounded length."""
    with closing(a_store(stopped)) as store:
        store.load()
        write(store, tasks(*range(10, 40), payload=LARGE))
    for path in (stopped / PAYLOADS).iterdir():
        path.unlink()
    with closing(a_store(stopped)) as store:
        assert len(store.load().damaged) == 31
        assert store.state().damage.endswith("0-28 and 11 more")


def test_what_is_left_of_a_damaged_file_is_kept(stopped: Path) -> None:
    """Some of it may be of use, also once its request has ended."""
    path = stopped / PAYLOADS / "0000000000000002.request"
    alter(path)
    content = path.read_bytes()
    for _ in range(2):
        assert loaded(stopped).damaged == {2}
        assert contents(stopped / ASIDE) == {path.name: content}

"""``ctrl-hub store``, without a hub."""

from __future__ import annotations

import json
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from ctrlhub.cli import main
from ctrlhub.cli.exits import Exit
from ctrlhub.controller.core.effects import Fetched, Operation, SaveRequests, SaveResults
from ctrlhub.controller.stores import durable
from ctrlhub.controller.stores.changes import Changes
from ctrlhub.controller.stores.sqlite import DATABASE, SqliteDatabase, SqliteStore
from ctrlhub.wire.errors import ResultLost
from ctrlhub.wire.failure import Failure, pack_failure
from ctrlhub.wire.places import Profile
from tests.support.stores import a_command, a_result, a_task
from tests.support.stores_on_disk import LOG, a_store, change, tasks, write


def run(state: Path, *arguments: str) -> Result:
    """Run the command in this process."""
    return CliRunner().invoke(
        main, ["store", *arguments, "--state-dir", str(state)], prog_name="ctrl-hub"
    )


def fill(directory: Path) -> SqliteStore:
    """Return a store in use, with two requests in history, one that has ended, and two that have not."""
    store = SqliteStore(directory, 0.0, lambda call: call())
    store.load()
    failure = pack_failure(Failure.from_error(ResultLost("it is lost")))
    _, failed = a_result(2, failure, {"stdout": "hello"})
    operations: list[Operation] = [
        SaveRequests([a_task(1), a_task(2), a_command(3), a_task(4), a_command(5)]),
        SaveResults([a_result(1), (2, (2, 1, *failed[2:])), (3, (3, 0, b"", -1, 0.0, 0.0, None))]),
        Fetched(((1, 2),)),
    ]
    store.write(operations, lambda: None)
    return store


@pytest.fixture
def state(tmp_path: Path) -> Path:
    """A state directory with a profile, and a store in it that no hub uses."""
    profile = Profile.named("default", tmp_path)
    profile.make()
    fill(profile.store).close()
    return tmp_path


def test_stats(state: Path) -> None:
    """What there is of each kind, for people and for programs."""
    found = json.loads(run(state, "stats", "--json").output)
    assert found["where"] == str(Profile.named("default", state).store)
    assert (found["tasks waiting or running"], found["commands waiting or running"]) == (1, 1)
    assert (found["results to be fetched"], found["requests in history"]) == (1, 2)
    assert found["bytes"] > 0
    assert "2  requests in history" in run(state, "stats").output


def test_stats_while_a_hub_uses_it(tmp_path: Path) -> None:
    """Nothing has to be stopped."""
    store = fill(Profile.named("default", tmp_path).store)
    try:
        assert run(tmp_path, "stats").exit_code == Exit.OK
    finally:
        store.close()


def test_export(state: Path) -> None:
    """Each request is a line of JSON, in order."""
    records = [json.loads(line) for line in run(state, "export").output.splitlines()]
    assert [record["msg_id"] for record in records] == [f"0-{n}" for n in range(1, 6)]
    states = [record["status"] for record in records]
    assert states == ["ok", "error", "ok", "queued", "queued"]
    assert records[1]["error"] == "ResultLost: it is lost"
    assert records[1]["stdout"] == "hello"
    assert records[4]["action"] == "apply"
    assert records[0]["completed"] >= records[0]["started"] > 0
    assert (records[2]["started"], records[2]["completed"]) == (None, None)  # it has never run
    file = state / "exported"
    assert run(state, "export", str(file)).exit_code == Exit.OK
    assert len(file.read_text().splitlines()) == 5


def test_purge(state: Path) -> None:
    """What has ended goes, and the rest stays."""
    assert "3 requests forgotten" in run(state, "purge").output
    records = [json.loads(line) for line in run(state, "export").output.splitlines()]
    assert [record["msg_id"] for record in records] == ["0-4", "0-5"]


def test_purge_gives_the_room_back(tmp_path: Path) -> None:
    """All of it, also where a hub would leave free pages for what comes."""
    directory = Profile.named("default", tmp_path).store
    with closing(SqliteStore(directory, 0.0, lambda call: call())) as store:
        store.load()
        store.write([SaveRequests([a_task(n, bytes(100_000)) for n in range(1, 31)])], lambda: None)
    assert (directory / DATABASE).stat().st_size > 2_500_000
    assert "30 requests forgotten" in run(tmp_path, "purge", "--all").output
    assert (directory / DATABASE).stat().st_size < 500_000


def test_purge_of_what_cannot_be_changed(state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is not said that something was forgotten."""

    def commit(database: SqliteDatabase, changes: Changes) -> None:
        raise sqlite3.OperationalError("database or disk is full")

    monkeypatch.setattr(SqliteDatabase, "commit", commit)
    monkeypatch.setattr(durable, "CLOSING", 0.1)
    result = run(state, "purge")
    assert result.exit_code == Exit.BAD_STATE
    assert "nothing was forgotten: database or disk is full" in result.output
    assert len(run(state, "export").output.splitlines()) == 5


def test_purge_of_a_running_hub(state: Path) -> None:
    """It is refused, with the hub's pid."""
    with Profile.named("default", state).hub_lock():
        result = run(state, "purge")
    assert result.exit_code == Exit.ALREADY_RUNNING
    assert "0-1" in run(state, "export").output


def test_another_directory(tmp_path: Path) -> None:
    """That of a store elsewhere."""
    fill(tmp_path / "elsewhere").close()
    result = run(tmp_path, "stats", "--directory", str(tmp_path / "elsewhere"))
    assert "2  requests in history" in result.output


@pytest.mark.parametrize("command", ["stats", "export", "purge"])
def test_a_database_that_is_missing(state: Path, command: str) -> None:
    """Where something was stored it is not said that nothing ever was."""
    (Profile.named("default", state).store / DATABASE).unlink()
    result = run(state, command)
    assert result.exit_code == Exit.BAD_STATE
    assert "is missing or empty, and something was stored here" in result.output


def test_a_log_that_is_damaged(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """What is before the damage is shown, and it is said that something is missing."""
    store = Profile.named("default", tmp_path).store
    with closing(a_store(tmp_path / "used")) as used:
        used.load()
        for number in range(1, 8):
            write(used, tasks(number, payload=bytes(20_000)))
        assert not caplog.text
        run(tmp_path, "stats", "--directory", str(tmp_path / "used"))
        assert not caplog.text
        store.parent.mkdir(parents=True)
        shutil.copytree(tmp_path / "used", store)
    log = store / LOG
    change(log, log.stat().st_size // 2, b"\xaa" * 64)
    assert 0 < len(run(tmp_path, "export").output.splitlines()) < 7
    assert "store.db-wal is damaged" in caplog.text


def test_a_database_that_is_not_the_last_one(
    state: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """What it has is shown, and it is said that something is missing; nothing is changed."""
    store = Profile.named("default", state).store
    copy = (store / DATABASE).read_bytes()
    again = SqliteStore(store, 0.0, lambda call: call())
    again.load()
    again.write([SaveRequests([a_task(6)])], lambda: None)
    again.close()
    (store / DATABASE).write_bytes(copy)
    assert len(run(state, "export").output.splitlines()) >= 5
    assert "lacks what was stored last" in caplog.text
    assert (store / DATABASE).read_bytes() == copy
    assert "lacks what was stored last" in run(state, "purge").output


@pytest.mark.parametrize("command", ["stats", "export", "purge"])
def test_there_is_none(tmp_path: Path, command: str) -> None:
    """It is said where it was looked for, and nothing is made there."""
    result = run(tmp_path, command)
    assert result.exit_code == Exit.BAD_STATE
    assert str(tmp_path) in result.output
    assert not list(tmp_path.iterdir())

"""A store in PostgreSQL when something is wrong: with the server, the connection, or who uses it."""

from __future__ import annotations

import json
import os
import signal
from collections import deque
from collections.abc import Callable
from pathlib import Path
from random import Random

import psycopg
import pytest
from click.testing import CliRunner, Result

from ctrlhub.cli import main
from ctrlhub.cli.exits import Exit
from ctrlhub.controller.core.effects import Expire, Fetched, SaveRequests, SaveResults
from ctrlhub.controller.core.history import GONE
from ctrlhub.controller.core.tasks import Task
from ctrlhub.controller.stores import durable, postgres, postgres_schema
from ctrlhub.controller.stores.durable import DurableStore
from ctrlhub.controller.stores.journal import Journal
from ctrlhub.controller.stores.postgres import PostgresDatabase, contents
from ctrlhub.wire.errors import StoreError
from tests.support.postgres import PostgresServer
from tests.support.processes import until
from tests.support.stores import a_result, a_task


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Stores soon try again, and soon find that another hub does not go."""
    monkeypatch.setattr(durable, "AGAIN", 0.05)
    monkeypatch.setattr(postgres, "LOCK_PATIENCE", 200)


class Hub:
    """A store, and what it was told to have stored."""

    def __init__(self, url: str, place: Path) -> None:
        self._calls: deque[Callable[[], None]] = deque()
        self.store = DurableStore(PostgresDatabase(url, place), 0.0, self._calls.append)
        self.found = self.store.load()
        self.saved: set[int] = set()

    def save(self, *numbers: int, payload: bytes = b"x") -> None:
        """Store tasks; see `saved`."""
        self.store.write(
            [SaveRequests([a_task(n, payload) for n in numbers])], lambda: self.saved.update(numbers)
        )

    def has(self, *numbers: int) -> bool:
        """Say whether these were acknowledged."""
        while self._calls:
            self._calls.popleft()()
        return self.saved.issuperset(numbers)


def other(url: str, place: Path) -> set[int]:
    """Return what the next hub finds."""
    hub = Hub(url, place)
    hub.store.close()
    return {*hub.found.tasks}


def test_a_server_that_is_killed(own_postgres_server: PostgresServer, tmp_path: Path) -> None:
    """It is said that nothing can be stored; when it is back, all goes on, and all is there."""
    url = own_postgres_server.new_database()
    hub = Hub(url, tmp_path)
    hub.save(1)
    until(lambda: hub.has(1), "it is stored")
    own_postgres_server.kill()
    hub.save(2, payload=b"y" * 2_000_000)
    until(lambda: hub.store.trouble, "it is said")
    hub.save(3)
    assert not hub.has(2)
    assert hub.store.state().where in hub.store.trouble
    own_postgres_server.start()
    until(lambda: hub.has(1, 2, 3), "all is stored")
    assert not hub.store.trouble
    hub.store.close()
    assert other(url, tmp_path) == {1, 2, 3}


@pytest.mark.parametrize("seed", range(2))
def test_a_server_that_is_killed_again_and_again(
    own_postgres_server: PostgresServer, tmp_path: Path, seed: int
) -> None:
    """At any moment of a load: what was acknowledged is there, and in the end all of it."""
    moments = Random(seed)
    url = own_postgres_server.new_database()
    hub = Hub(url, tmp_path)
    number = 0
    for _ in range(3):
        for _ in range(moments.randint(5, 40)):
            hub.save(*range(number, number + 5), payload=b"x" * moments.choice((10, 5_000, 1_500_000)))
            number += 5
        moment = moments.randint(0, number)
        until(lambda moment=moment: hub.has(*range(moment)), "some of it is stored")  # type: ignore[misc]
        own_postgres_server.kill()
        hub.has()
        own_postgres_server.start()
        with psycopg.connect(url) as connection:
            saved = Journal(0.0).load(*contents(connection), lambda name, sizes: GONE)
            assert hub.saved <= saved.tasks.keys()
    until(lambda: hub.has(*range(number)), "all is stored")
    hub.store.close()
    assert other(url, tmp_path) == set(range(number))


def test_a_connection_that_is_lost(postgres_server: PostgresServer, tmp_path: Path) -> None:
    """Another one is made, and nobody notices."""
    url = postgres_server.new_database()
    hub = Hub(url, tmp_path)
    for number in range(5):
        postgres_server.sql(
            "postgres", "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname LIKE 'store%'",
        )  # fmt: skip
        hub.save(number)
        until(lambda number=number: hub.has(number), "it is stored")  # type: ignore[misc]
    hub.store.close()
    assert other(url, tmp_path) == set(range(5))


def test_a_server_that_does_not_answer(
    own_postgres_server: PostgresServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """That is said, too, though nothing has failed; when it answers, all goes on."""
    monkeypatch.setattr(durable, "SILENT", 0.3)
    hub = Hub(own_postgres_server.new_database(), tmp_path)
    hub.save(1)
    until(lambda: hub.has(1), "it is stored")
    pids = own_postgres_server.processes()
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        hub.save(2)
        until(lambda: "does not answer" in hub.store.trouble, "it is said")
        assert not hub.has(2)
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)
    until(lambda: hub.has(2), "it is stored")
    assert not hub.store.trouble
    hub.store.close()


def test_two_hubs(postgres_server: PostgresServer, tmp_path: Path) -> None:
    """The second is refused, and told what to do; in a schema of its own it is welcome."""
    url = postgres_server.new_database()
    first = Hub(url, tmp_path)
    with pytest.raises(StoreError, match=r"another hub uses it.*of its own"):
        PostgresDatabase(url, tmp_path)
    postgres_server.sql(url.rpartition("/")[2], "CREATE SCHEMA second")
    second = Hub(f"{url}?options=-csearch_path%3Dsecond", tmp_path)
    second.save(2)
    first.save(1)
    until(lambda: first.has(1) and second.has(2), "both store")
    first.store.close()
    second.store.close()
    assert other(url, tmp_path) == {1}


def test_a_hub_that_another_has_followed(postgres_server: PostgresServer, tmp_path: Path) -> None:
    """Cut off, and back when another has had the tables: it changes nothing any more, and says so."""
    url = postgres_server.new_database()
    cut_off = Hub(url, tmp_path)
    cut_off.save(1)
    until(lambda: cut_off.has(1), "it is stored")
    cut_off.store._database._connection.close()  # type: ignore[attr-defined]
    follower = Hub(url, tmp_path)
    cut_off.save(2)
    until(lambda: "another hub uses it" in cut_off.store.trouble, "it cannot", patience=20)
    follower.save(3)
    until(lambda: follower.has(3), "the other one can")
    follower.store.close()
    until(lambda: "another hub has used it" in cut_off.store.trouble, "it must not")
    assert not cut_off.has(2)
    cut_off.store.close()
    assert other(url, tmp_path) == {1, 3}


def test_versions(
    postgres_server: PostgresServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What an older version has stored is there after a migration; a later version's is refused."""
    url = postgres_server.new_database()
    old = Hub(url, tmp_path)
    old.save(1)
    old.store.close()
    more = (*postgres_schema.MIGRATIONS, ("CREATE TABLE ctrlhub_more (name text)",))
    monkeypatch.setattr(postgres_schema, "MIGRATIONS", more)
    monkeypatch.setattr(postgres_schema, "VERSION", len(more))
    assert other(url, tmp_path) == {1}
    with psycopg.connect(url) as connection:
        assert connection.execute("SELECT count(*) FROM ctrlhub_more").fetchone() == (0,)
    monkeypatch.undo()
    monkeypatch.setattr(postgres, "LOCK_PATIENCE", 5000)
    with pytest.raises(StoreError, match="later version"):
        PostgresDatabase(url, tmp_path)


def test_passwords_are_not_shown(
    postgres_server: PostgresServer, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Neither in state, nor in errors, however the URL is wrong."""
    url = postgres_server.new_database()
    told = url.replace("tests@", "tests:se%40cret@")
    hub = Hub(told, tmp_path)
    assert hub.store.state().where == url
    hub.store.close()
    for wrong in (
        told.replace("tests:", "nobody:"),
        told + "?connect_timeout=never",
        "postgresql://tests:se%40cret@nowhere.invalid/db?connect_timeout=2",
        "postgresql:///db?host=/nowhere&password=se%40cret",
    ):
        with pytest.raises(StoreError) as caught:
            PostgresDatabase(wrong, tmp_path)
        for said in (str(caught.value), caplog.text):
            assert "se@cret" not in said
            assert "se%40cret" not in said


def test_a_password_in_a_file(
    own_postgres_server: PostgresServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody has to type it; a wrong one is an error that does not show it."""
    own_postgres_server.require_password("hub", "right")
    own_postgres_server.sql("postgres", "CREATE DATABASE owned OWNER hub")
    url = own_postgres_server.url("owned", "hub")
    with pytest.raises(StoreError, match="no password supplied"):
        PostgresDatabase(url, tmp_path)
    with pytest.raises(StoreError, match="authentication failed") as caught:
        PostgresDatabase(url.replace("hub@", "hub:wrong-one@"), tmp_path)
    assert "wrong-one" not in str(caught.value)
    file = tmp_path / "passwords"
    file.touch(mode=0o600)
    file.write_text("*:*:*:hub:right\n")
    monkeypatch.setenv("PGPASSFILE", str(file))
    hub = Hub(url, tmp_path)
    hub.save(1)
    hub.store.close()
    assert other(url, tmp_path) == {1}


def test_room_is_used_again(
    postgres_server: PostgresServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However much was stored and has gone, the tables take a few times what there is at once."""
    monkeypatch.setattr(postgres, "GARBAGE_BYTES", 4_000_000)
    hub = Hub(postgres_server.new_database(), tmp_path)
    former: list[Task] = []
    for turn in range(20):
        numbers = range(100 * turn, 100 * turn + 100)
        tasks = [a_task(n, b"x" * (2_000_000 if n % 100 == 0 else 20_000)) for n in numbers]
        hub.store.write(
            [
                SaveRequests(tasks), SaveResults([a_result(n) for n in numbers]),
                Fetched(((numbers[0], numbers[-1]),)), Expire(former),
            ],
            lambda turn=turn: hub.saved.add(turn),  # type: ignore[misc]
        )  # fmt: skip
        former = [task for _, task in tasks]
        until(lambda turn=turn: hub.has(turn), "it is stored")  # type: ignore[misc]
    assert hub.store.state().bytes < 30_000_000
    hub.store.close()


def command(state: Path, *arguments: str) -> Result:
    """Run ``ctrl-hub store`` in this process."""
    return CliRunner().invoke(main, ["store", *arguments, "--state-dir", str(state)])


def test_the_command(postgres_server: PostgresServer, tmp_path: Path) -> None:
    """It looks while a hub runs, makes room when none does, and shows no password."""
    url = postgres_server.new_database()
    told = url.replace("tests@", "tests:secret@")
    nothing = command(tmp_path, "stats", "--store", told)
    assert nothing.exit_code == Exit.BAD_STATE
    assert "no store" in nothing.output
    hub = Hub(url, tmp_path)
    hub.save(1, 2, payload=b"x" * 2_000_000)
    hub.store.write([SaveResults([a_result(1)])], lambda: hub.saved.add(-1))
    until(lambda: hub.has(1, -1), "it is stored")
    shown = command(tmp_path, "stats", "--store", told)
    assert "1  tasks waiting" in shown.output
    assert "secret" not in nothing.output + shown.output
    assert '"request_bytes": 2000000' in command(tmp_path, "export", "--store", told).output
    refused = command(tmp_path, "purge", "--store", told)
    assert refused.exit_code == Exit.BAD_STATE
    assert "another hub uses it" in refused.output
    hub.store.close()
    assert "1 requests forgotten" in command(tmp_path, "purge", "--store", told).output
    assert other(url, tmp_path) == {2}
    assert "1 requests forgotten" in command(tmp_path, "purge", "--all", "--store", told).output
    assert json.loads(command(tmp_path, "stats", "--json", "--store", told).output)["bytes"] < 500_000

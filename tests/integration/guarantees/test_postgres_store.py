"""Guarantee 1 with a store in PostgreSQL: hub and server are killed, and nothing is lost."""

from __future__ import annotations

from collections.abc import Iterator

import psutil
import pytest

from ctrlhub import Client, StoreError
from tests.support.hubs import replace_hub
from tests.support.journal import Journal
from tests.support.postgres import PostgresServer
from tests.support.processes import Command, until
from tests.support.work import double


@pytest.fixture
def url(own_postgres_server: PostgresServer) -> str:
    """A database, and a password that nobody asks for."""
    return own_postgres_server.new_database().replace("tests@", "tests:hidden@")


@pytest.fixture
def client(command: Command, url: str) -> Iterator[Client]:
    """A client of two engines and a hub that stores there."""
    command.start("-n", "2", "--store", url)
    with Client() as client:
        yield client
    assert command.run("stop").returncode == 0


def test_hubs_killed_under_load(client: Client, journal: Journal) -> None:
    """Tasks that wait and run are the next hub's, and each ends once."""
    balanced = client.load_balanced_view()
    count, kills = 900, 3
    for k in range(kills):
        numbers = range(k * count // kills, (k + 1) * count // kills)
        journal.submit(balanced, journal.noting(double), numbers)
        more = len(journal.runs()) + 50
        until(lambda more=more: len(journal.runs()) >= more, "work goes on")  # type: ignore[misc]
        replace_hub(client)
    journal.check(again=range(count))
    assert [journal.result(n).get() for n in range(count)] == [2 * n for n in range(count)]
    [record] = client.db_query({"msg_id": journal.result(0).msg_ids[0]})
    assert record["status"] == "ok"


def test_a_server_that_is_killed_and_comes_back(
    client: Client, own_postgres_server: PostgresServer, journal: Journal
) -> None:
    """What is new is refused with the reason, what was accepted runs; then all goes on by itself."""
    balanced = client.load_balanced_view()
    journal.submit(balanced, journal.noting(double), range(300))
    client.flush(60)
    own_postgres_server.kill()
    client[1].apply_async(int)
    until(lambda: client.status()["store"]["trouble"], "it is said")
    with pytest.raises(StoreError, match="cannot store requests now"):
        client[1].apply_sync(int)
    journal.check()
    own_postgres_server.start()
    until(lambda: not client.status()["store"]["trouble"], "it stores again")
    assert client[:].apply_sync(int) == [0, 0]
    assert [journal.result(n).get() for n in range(300)] == [2 * n for n in range(300)]


def test_the_password_is_nobodys_business(client: Client, command: Command) -> None:
    """Nor in what processes were told by their command lines, besides what the user has done."""
    store = client.status()["store"]
    assert store["kind"] == "postgresql"
    assert "hidden" not in f"{store}{command.run('status').stdout}{command.run('list').stdout}"
    for path in command.state.rglob("*"):
        assert not path.is_file() or b"hidden" not in path.read_bytes(), path
    typed = command.started[0].pid
    lines = [" ".join(psutil.Process(pid).cmdline()) for pid in command.left() if pid != typed]
    assert len(lines) >= 3
    assert not [line for line in lines if "hidden" in line]

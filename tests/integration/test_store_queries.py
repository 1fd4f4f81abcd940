"""What a client can ask of what has ended, whatever the store; and of a hub that was killed meanwhile."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from ctrlhub import Client
from ctrlhub.controller.stores.looking import look
from ctrlhub.wire.places import Profile
from tests.support.hubs import replace_hub
from tests.support.postgres import PostgresServer
from tests.support.processes import Command, until

KINDS = ("memory", "sqlite", "postgresql")


@pytest.fixture(params=KINDS)
def store(request: pytest.FixtureRequest) -> str:
    """A store of each kind, as ``--store`` names it."""
    if request.param == "postgresql":
        server: PostgresServer = request.getfixturevalue("postgres_server")
        return server.new_database()
    return str(request.param)


@pytest.fixture
def client(command: Command, store: str) -> Iterator[Client]:
    """A client of two engines and a hub that has this store."""
    command.start("-n", "2", "--store", store)
    with Client() as client:
        yield client
    assert command.run("stop").returncode == 0


def test_history_of_every_store(client: Client, command: Command, store: str) -> None:
    """Found by what is known of it, in order; forgotten when it is purged; and all of that as well
    when the hub was killed, but for one that stores in memory.
    """
    failing = client[0].apply_async(lambda: 1 / 0)
    assert isinstance(failing.exception(60), ZeroDivisionError)
    ended = [client.load_balanced_view().apply_async(abs, -number) for number in range(5)]
    assert [result.get(60) for result in ended] == list(range(5))
    ids = [result.msg_ids[0] for result in ended]

    def check() -> None:
        assert [record["msg_id"] for record in client.db_query({"msg_id": {"$in": ids}})] == ids
        [failed] = client.db_query({"status": "error"}, keys=["msg_id", "engine_id"])
        assert (failed["msg_id"], failed["engine_id"]) == (failing.msg_ids[0], 0)
        assert set(client.hub_history()) == {*failing.msg_ids, *ids}
        assert client.get_result(ids[3]).get(60) == 3

    until(lambda: len(client.hub_history()) == 6, "receipts have come")
    check()
    if store != "memory":
        profile = Profile.named("default", command.state)
        until(lambda: len(look(store, profile)[0].fetched) == 6, "all is stored")
        replace_hub(client)
        check()
    client.purge_hub_results(ids[:2])
    assert set(client.hub_history()) == {*failing.msg_ids, *ids[2:]}
    client.purge_hub_results("all")
    assert client.hub_history() == []

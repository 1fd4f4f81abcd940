"""A store that has lost the files of payloads: their requests end with an error, or are given again."""

from __future__ import annotations

import pytest

from ctrlhub.controller.config import HubConfig
from ctrlhub.controller.stores.changes import Kind
from ctrlhub.wire.errors import unpack_failure
from ctrlhub.wire.messages import Status
from tests.support.peers import ScriptedClient, ScriptedEngine
from tests.support.world import World

LARGE = b"x" * 1_100_000
SETTLED = 12.0


class Scene:
    """A hub with a client; an engine comes when the test says so."""

    def __init__(self) -> None:
        self.world = World(HubConfig(session_ttl=100.0))
        self.client = self.world.joined(ScriptedClient("client"))
        self.ran: list[tuple[int, int]] = []

    def store(self) -> None:
        """Let everything arrive, and be stored."""
        self.world.tick(self.client)
        self.world.run()
        self.world.commit()
        self.world.run()

    def damage(self, kind: Kind) -> None:
        """Kill the hub; another finds its store without files of this kind."""
        self.world.store.disk.lose(kind)
        self.world.restart_hub(remembers=True)

    def engine(self) -> ScriptedEngine:
        """Return an engine that has joined."""
        return self.world.joined(ScriptedEngine("engine", self.ran))

    def pass_time(self, engine: ScriptedEngine | None = None, seconds: float = SETTLED) -> None:
        """Let time pass, and an engine work."""
        for _ in range(int(2 * seconds)):
            self.world.pass_time(0.5)
            while engine is not None and engine.work():
                pass
            self.world.commit()
            self.world.run()



def check_lost(client: ScriptedClient, number: int) -> None:
    """See that a client has heard what became of a request."""
    status, payload, _ = client.ends[number]
    failure = unpack_failure(payload)
    assert (status, failure.code) == (Status.ERROR, "result_lost")
    assert "damaged in the hub's store" in failure.evalue


@pytest.fixture
def scene() -> Scene:
    """A hub and a client."""
    return Scene()


def test_a_living_client_gives_arguments_again(scene: Scene) -> None:
    """It has them; the task is run once, and what was given again is stored as anything."""
    numbers = scene.client.tasks(LARGE, b"small")
    scene.store()
    scene.damage(Kind.REQUEST)
    assert scene.world.store.journal._spoilt == {numbers[0]}
    scene.pass_time(seconds=3.0)
    assert scene.world.tasks._spoilt == {}
    scene.world.kill(scene.client)
    scene.world.restart_hub(remembers=True)  # another one finds the arguments
    assert scene.world.tasks._records[numbers[0]].payload == (LARGE,)
    scene.pass_time(scene.engine())
    assert sorted(number for number, _ in scene.ran) == sorted(numbers)
    assert not scene.world.tasks._spoilt


def test_arguments_that_nobody_gives_again(scene: Scene) -> None:
    """The task ends with an error that says so, and that waits for who comes to the session."""
    client = scene.client
    [lost, other] = client.tasks(LARGE, b"small")
    [command] = client.command([5], LARGE)
    scene.store()
    wires = scene.world.wires.pop(client)
    scene.damage(Kind.REQUEST)
    here = scene.world.tasks.numbers_of(scene.world.tasks._spoilt[lost].session)
    assert sorted(here) == sorted([lost, other])
    assert scene.world.tasks.find(lost) == (scene.world.tasks._spoilt[lost], None)
    scene.pass_time(scene.engine())
    assert [number for number, _ in scene.ran] == [other]
    for requests in client.outstanding.values():  # as one that has forgotten them
        for wanted in requests.values():
            wanted.accepted = True
    scene.world.restart_hub(remembers=True)  # it was stored
    scene.world.wires[client] = wires
    assert not scene.world.tasks._spoilt
    scene.pass_time()
    for number in (lost, command):
        check_lost(client, number)
    assert client.results([other]) == [b"result of small"]


def test_who_follows_is_told(scene: Scene) -> None:
    """Another client that waits for the result, and a task that is to have it."""
    [lost] = scene.client.tasks(LARGE)
    scene.store()
    scene.world.kill(scene.client)
    scene.damage(Kind.REQUEST)
    other = scene.world.joined(ScriptedClient("other"))
    other.follow([lost])
    scene.pass_time()
    check_lost(other, lost)


def test_the_client_never_comes_back(scene: Scene) -> None:
    """When its session ends nothing is left, in the hub or in the store."""
    scene.client.tasks(LARGE)
    scene.store()
    scene.world.kill(scene.client)
    scene.damage(Kind.REQUEST)
    scene.pass_time(seconds=120.0)
    assert not scene.world.tasks._spoilt
    assert not scene.world.tasks._records
    scene.world.restart_hub(remembers=True)
    assert not scene.world.tasks._records


def test_a_value_that_is_damaged(scene: Scene) -> None:
    """Its client gets an error; the task is not run again, since its first result was final."""
    engine = scene.engine()
    [number] = scene.client.tasks(LARGE)
    scene.store()
    wires = scene.world.wires.pop(scene.client)
    scene.pass_time(engine, 2.0)
    assert scene.world.store.ended() == {number}
    scene.damage(Kind.RESULT)
    scene.world.wires[scene.client] = wires
    scene.pass_time(engine, 3.0)
    check_lost(scene.client, number)
    assert len(scene.ran) == 1

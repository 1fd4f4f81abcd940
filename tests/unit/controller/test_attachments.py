"""Sessions that outlive their clients: left, attached to by another process, kept by the next hub."""

from __future__ import annotations

from typing import Any

import pytest

from ctrlhub.controller.config import HubConfig
from ctrlhub.link.states import State
from ctrlhub.wire import messages as m
from ctrlhub.wire.errors import unpack_failure
from ctrlhub.wire.ids import counter_of, from_ranges, to_ranges
from ctrlhub.wire.messages import Status, Stream
from tests.support.peers import ScriptedClient, ScriptedEngine, Wanted
from tests.support.world import World

TTL, KEPT = 100.0, 1000.0


class Scene:
    """A world with a client and an engine, both joined."""

    def __init__(self) -> None:
        self.world = World(HubConfig(session_ttl=TTL, detached_ttl=KEPT))
        self.ran: list[tuple[int, int]] = []
        self.engine = self.world.joined(ScriptedEngine("engine", self.ran))
        self.client = self.world.joined(ScriptedClient("client"))
        self.world.run()

    @property
    def number(self) -> int:
        """The number of the session."""
        return self.client.session

    def say(self, client: ScriptedClient | None = None) -> None:
        """Let a client say what it has to say, and everything arrive and be stored."""
        self.world.tick(client or self.client)
        self.world.run()
        self.world.commit()
        self.world.run()

    def work_off(self) -> None:
        """Let time pass, and the engine work, until nothing is left to do."""
        for _ in range(20):
            self.world.pass_time(0.5)
            while self.engine.work():
                pass
            self.world.commit()
        self.world.run()

    def call(self, client: ScriptedClient, method: str, **arguments: Any) -> m.Answer:
        """Call a method of the interface for sessions; return its answer."""
        number = client.call("sessions", method, **arguments)
        self.say(client)
        return client.answers[number]

    def detach(self, **arguments: Any) -> None:
        """Let the client leave its session, and its process end."""
        assert not self.call(self.client, "detach", **arguments).code
        self.world.kill(self.client)

    def attached(self, key: str, **fields: Any) -> ScriptedClient:
        """Attach another process."""
        fields = {"session": self.number, "attach": True, **fields}
        other = self.world.add(ScriptedClient(key, **fields))
        self.world.run()
        other._counter = iter(range(other.registered.first if other.registered else 1, 1 << 39))  # type: ignore[assignment]
        return other

    def fetch(self, client: ScriptedClient, numbers: list[int]) -> list[tuple[int, bytes]]:
        """Ask for results, and wait for them; return how each ended."""
        for number in numbers:
            stream = Stream.TASK if number in self.tasks else Stream.MULTIENGINE
            client.outstanding[stream][number] = Wanted(b"", b"", accepted=True)
        client.call("history", "follow", requests=to_ranges(numbers))
        self.say(client)
        self.work_off()
        self.say(client)
        return [client.ends[number][:2] for number in numbers]

    tasks: tuple[int, ...] = ()

    def unfetched(self, client: ScriptedClient) -> list[int]:
        """Return what the hub says is left in the session."""
        value = self.call(client, "unfetched").value
        assert value["after"] is None
        return list(from_ranges(value["requests"]))


@pytest.fixture
def scene() -> Scene:
    """A world with a client and an engine."""
    return Scene()


def test_what_a_client_has_left_goes_on_and_is_fetched_by_another(scene: Scene) -> None:
    """Long after a vanished client would have been given up; each result once."""
    numbers = scene.client.tasks(b"one", b"!two", b"three")
    scene.tasks = tuple(numbers)
    [command] = scene.client.command([0], b"four")
    scene.say()
    scene.detach()
    scene.work_off()
    scene.world.pass_time(2 * TTL, step=5.0)
    other = scene.attached("other")
    assert other.state is State.JOINED
    assert scene.unfetched(other) == sorted([*numbers, command])
    assert other.ends == {}, "nothing comes that was not asked for"
    assert scene.fetch(other, [*numbers, command]) == [
        (Status.OK, b"result of one"), (Status.ERROR, b"result of !two"),
        (Status.OK, b"result of three"), (Status.OK, b"result of four"),
    ]  # fmt: skip
    assert scene.unfetched(other) == []
    assert sorted(n for n, _ in scene.ran) == sorted([*numbers, command])


def test_what_has_not_ended_is_sent_when_it_has(scene: Scene) -> None:
    """To who has asked for it, and is attached by then; what was not asked for stays."""
    numbers = scene.client.tasks(b"one", b"two")
    scene.tasks = tuple(numbers)
    scene.say()
    scene.detach()
    other = scene.attached("other")
    assert scene.fetch(other, numbers[:1]) == [(Status.OK, b"result of one")]
    assert numbers[1] not in other.ends
    assert scene.unfetched(other) == numbers[1:]


def test_what_was_sent_and_not_acknowledged_is_sent_to_the_next(scene: Scene) -> None:
    """A process that ends before it has taken a result takes none away."""
    numbers = scene.client.tasks(b"one")
    scene.tasks = tuple(numbers)
    scene.say()
    scene.detach()
    scene.work_off()
    second = scene.attached("second")
    second.reads = False
    assert scene.fetch(second, numbers) == [(Status.OK, b"result of one")]
    scene.world.kill(second)
    third = scene.attached("third", take_over=True)
    assert scene.unfetched(third) == numbers
    assert scene.fetch(third, numbers) == [(Status.OK, b"result of one")]
    assert scene.unfetched(third) == []


def test_what_the_gateway_has_left_is_taken_up_at_once(scene: Scene) -> None:
    """The hub sees its process end, and nobody waits for its silence; who is alive says hello and goes on."""
    numbers = scene.client.tasks(b"one")
    scene.tasks = tuple(numbers)
    scene.say()
    alive = scene.world.joined(ScriptedClient("alive"))
    assert alive.registration.pid == scene.client.registration.pid
    keeper = scene.world.switchboard.gateway
    keeper.want(scene.world.now)
    keeper.started(scene.client.registration.pid)
    scene.world.kill(scene.client)
    keeper.ended("it was killed", scene.world.now)
    second = scene.attached("second")
    assert second.state is State.JOINED
    assert scene.fetch(second, numbers) == [(Status.OK, b"result of one")]
    again = alive.tasks(b"two")
    scene.say(alive)
    scene.work_off()
    assert alive.results(again) == [b"result of two"]


def test_ids_of_another_process_are_others(scene: Scene) -> None:
    """None is used twice, whatever the one before has used; requests of both go on side by side."""
    old = scene.client.tasks(b"old")
    scene.say()
    scene.detach()
    second = scene.attached("second")
    new = second.tasks(b"new")
    assert new[0] >> 40 == old[0] >> 40
    assert counter_of(new[0]) > counter_of(old[0])
    scene.say(second)
    scene.work_off()
    assert second.results(new) == [b"result of new"]
    third = scene.attached("third", take_over=True)
    assert third.registered is not None
    assert third.registered.first > counter_of(new[0])


def test_two_are_never_attached(scene: Scene) -> None:
    """The second is refused, and told how to take it over; then the first one is told."""
    numbers = scene.client.tasks(b"one")
    scene.tasks = tuple(numbers)
    scene.say()
    second = scene.attached("second")
    assert second.state is State.GONE
    assert second.refused is not None
    assert second.refused.code == "session_attached"
    assert "takeover=True" in second.refused.message
    third = scene.attached("third", take_over=True)
    assert third.state is State.JOINED
    assert "taken over" in scene.client.said_goodbye
    assert scene.fetch(third, numbers) == [(Status.OK, b"result of one")]
    assert scene.client.ends == {}
    scene.world.pass_time(5.0)
    assert scene.client.session != third.session or scene.client.state is not State.JOINED


def test_a_vanished_client_can_be_replaced(scene: Scene) -> None:
    """Once it is given up, no word of it is needed."""
    numbers = scene.client.tasks(b"one")
    scene.tasks = tuple(numbers)
    scene.say()
    scene.world.kill(scene.client)
    scene.world.pass_time(5.0)
    assert scene.attached("early").state is State.GONE
    scene.world.pass_time(10.0)
    other = scene.attached("other")
    assert scene.fetch(other, numbers) == [(Status.OK, b"result of one")]


def test_there_is_no_such_session(scene: Scene) -> None:
    """It is said, and no other one is given."""
    other = scene.attached("other", session=scene.number + 7)
    assert other.refused is not None
    assert other.refused.code == "no_such_session"
    assert "ctrl-hub sessions" in other.refused.message


def test_it_ends_when_its_time_is_over(scene: Scene) -> None:
    """That of its client's wish: what has not run is cancelled, what has is history."""
    scene.client.tasks(b"one")
    scene.say()
    scene.detach(keep=50.0)
    scene.world.pass_time(40.0)
    assert len(scene.world.tasks._tasks) == 1
    scene.world.pass_time(15.0)
    assert scene.world.tasks._tasks == {}
    assert scene.attached("other").state is State.GONE


@pytest.mark.parametrize("keep", [0, -1.0, float("inf"), "long", True])
def test_times_that_are_none(scene: Scene, keep: Any) -> None:
    """The client is told, and stays attached."""
    answer = scene.call(scene.client, "detach", keep=keep)
    assert answer.code == "invalid_request"
    numbers = scene.client.tasks(b"one")
    scene.say()
    scene.work_off()
    assert scene.client.results(numbers)


def test_who_closes_an_attached_client_leaves_the_session_again(scene: Scene) -> None:
    """As long as something is left in it."""
    numbers = scene.client.tasks(b"one", b"two")
    scene.tasks = tuple(numbers)
    scene.say()
    scene.detach(keep=500.0)
    second = scene.attached("second")
    scene.fetch(second, numbers[:1])
    second.goodbye(scene.world.now)
    scene.say(second)
    scene.world.kill(second)
    scene.world.pass_time(300.0, step=5.0)
    third = scene.attached("third")
    assert scene.fetch(third, numbers[1:]) == [(Status.OK, b"result of two")]
    third.goodbye(scene.world.now)
    scene.say(third)
    scene.world.kill(third)
    assert scene.attached("fourth").state is State.GONE, "nothing was left"


def test_the_last_word_of_a_client_may_be_a_receipt(scene: Scene) -> None:
    """What it says to have when it leaves is fetched, of all streams; the rest is left."""
    numbers = scene.client.tasks(b"one", b"two")
    [command] = scene.client.command([0], b"three")
    scene.tasks = tuple(numbers)
    scene.say()
    scene.detach()
    second = scene.attached("second")
    second.reads = False
    scene.fetch(second, [*numbers, command])
    second.send(Stream.HUB, m.Goodbye(received=to_ranges([numbers[0], command])))
    scene.say(second)
    third = scene.attached("third")
    assert scene.unfetched(third) == numbers[1:]


def test_the_next_hub_has_it(scene: Scene) -> None:
    """Whenever that begins: detached before, or attached by another process, with its own requests."""
    numbers = scene.client.tasks(b"one", b"two")
    scene.tasks = tuple(numbers)
    scene.say()
    scene.detach()
    scene.work_off()
    scene.world.restart_hub(remembers=True)
    scene.world.pass_time(2 * TTL, step=5.0)
    second = scene.attached("second")
    more = second.tasks(b"three")
    scene.say(second)
    scene.world.restart_hub(remembers=True)
    scene.work_off()
    scene.say(second)
    assert second.results(more) == [b"result of three"]
    assert set(second.ends) == set(more), "nothing comes that was not asked for"
    assert scene.unfetched(second) == numbers
    scene.world.restart_hub(remembers=True)
    scene.work_off()
    expected = [(Status.OK, b"result of one"), (Status.OK, b"result of two")]
    assert scene.fetch(second, numbers) == expected


def test_a_restart_does_not_begin_anew_to_count(scene: Scene) -> None:
    """Neither for who has detached nor for who has vanished."""
    other = scene.world.joined(ScriptedClient("other"))
    other.tasks(b"vanished")
    scene.say(other)
    scene.world.kill(other)
    scene.client.tasks(b"detached")
    scene.say()
    scene.detach(keep=150.0)
    scene.world.kill(scene.engine)
    for _ in range(4):
        scene.world.pass_time(20.0)
        scene.world.commit()
        scene.world.restart_hub(remembers=True)
    assert len(scene.world.tasks._tasks) == 2
    scene.world.pass_time(45.0)  # 125 s, of which ten to be given up
    scene.world.commit()
    assert len(scene.world.tasks._tasks) == 1
    scene.world.restart_hub(remembers=True)
    scene.world.pass_time(30.0)
    assert scene.world.tasks._tasks == {}


def test_a_hub_that_is_stopped_keeps_all(scene: Scene) -> None:
    """Clients are told so, and where; the time without a hub does not count."""
    numbers = scene.client.tasks(b"one")
    scene.tasks = tuple(numbers)
    [command] = scene.client.command([0], b"two")
    scene.say()
    scene.world._carry_out(scene.world.switchboard.shut_down("enough"))
    scene.world.commit()
    scene.world.run()
    assert scene.client.said_goodbye == "enough"
    scene.world.kill(scene.client)
    scene.world.kill(scene.engine)
    scene.world.now += 10 * TTL
    scene.world.restart_hub(remembers=True)
    scene.engine = scene.world.joined(ScriptedEngine("another", scene.ran))
    assert scene.engine.engine_id == 0, "ids are free"
    scene.world.pass_time(TTL / 2)
    other = scene.attached("other")
    assert scene.fetch(other, numbers) == [(Status.OK, b"result of one")]
    [(status, failure)] = scene.fetch(other, [command])
    assert status == Status.ERROR
    assert "whether this command was run is not known" in unpack_failure(failure).evalue
    assert [number for number, _ in scene.ran] == numbers


def test_which_there_are(scene: Scene) -> None:
    """With what is left in each; one that nobody is attached to can be ended by anybody."""
    scene.client.tasks(b"one", b"two")
    scene.say()
    scene.engine.work()
    other = scene.world.joined(ScriptedClient("other"))
    scene.detach(keep=50.0)
    scene.work_off()
    mine, its = scene.call(other, "list").value
    if mine["session"] == other.session:
        mine, its = its, mine
    assert (its["state"], its["expires"], its["outstanding"]) == ("attached", None, 0)
    assert (mine["state"], mine["outstanding"], mine["results"]) == ("detached", 0, 2)
    assert scene.world.now < mine["expires"] < scene.world.now + 50.0
    assert scene.call(other, "end", session=other.session).code == "session_attached"
    assert scene.call(other, "end", session=12345).code == "no_such_session"
    assert not scene.call(other, "end", session=scene.number).code
    assert scene.world.tasks._tasks == {}
    assert len(scene.call(other, "list").value) == 1


def test_what_was_not_accepted_of_the_former_process_is_dropped(scene: Scene) -> None:
    """Functions that only it had are not waited for; nor its failures heeded."""
    scene.client.sends_functions = False
    lost = scene.client.tasks(b"one", function=b"never sent")
    scene.client.command([0], b"two", function=b"never sent either")
    scene.say()
    other = scene.attached("other", take_over=True)
    new, [command] = other.tasks(b"three"), other.command([0], b"four")
    scene.say(other)
    scene.work_off()
    assert other.results([*new, command]) == [b"result of three", b"result of four"]
    assert scene.unfetched(other) == []
    assert lost[0] not in dict(scene.ran)


def test_what_a_former_process_followed_is_nobody_s(scene: Scene) -> None:
    """The one that is attached has not asked for it."""
    other = scene.world.joined(ScriptedClient("other"))
    numbers = other.tasks(b"other's")
    scene.say(other)
    scene.client.call("history", "follow", requests=to_ranges(numbers))
    scene.say()
    third = scene.attached("third", take_over=True)
    scene.work_off()
    scene.say(other)
    assert other.results(numbers)
    assert third.ends == {}
    asked = third.call("history", "follow", requests=to_ranges(numbers))
    third.outstanding[Stream.TASK][numbers[0]] = Wanted(b"", b"")
    scene.say(third)
    assert not third.answers[asked].code
    assert third.results(numbers) == [b"result of other's"]

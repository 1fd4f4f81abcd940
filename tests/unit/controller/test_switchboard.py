"""The switchboard: who gets in, who may say what, who is silent, who is gone."""

from __future__ import annotations

import itertools
import string
from typing import Any

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ctrlhub.controller.config import HubConfig
from ctrlhub.controller.core.effects import Connection
from ctrlhub.controller.interfaces.base import exposed
from ctrlhub.controller.permissions import PERMITTED
from ctrlhub.wire import messages as m
from ctrlhub.wire.codec import encode
from ctrlhub.wire.limits import MAX_SESSION, PROTOCOL_MAJOR
from ctrlhub.wire.security import HubKeys, KeyPair, KeyRegistry
from tests.support.exchange import BULK, Exchange, Line, rows_of
from tests.support.peers import ScriptedClient, ScriptedEngine, registration
from tests.support.world import World

HUB, TASK, MULTIENGINE = m.Stream.HUB, m.Stream.TASK, m.Stream.MULTIENGINE
ENGINE, CLIENT, NANNY = m.Role.ENGINE, m.Role.CLIENT, m.Role.NANNY
SPOKEN = (HUB, MULTIENGINE, TASK)


@pytest.fixture
def exchange() -> Exchange:
    """A hub with nobody there."""
    return Exchange()


def a_peer(exchange: Exchange, name: str, role: m.Role, **fields: Any) -> Line:
    """Return a peer that has joined."""
    line = Line(exchange, name)
    line.register(role, **fields)
    line.heard()
    return line


def refused(messages: list[m.Message]) -> str:
    """Return the code of the only answer, a refusal."""
    [message] = messages
    assert isinstance(message, m.Refused), message
    return message.code


class TestRegister:
    """How a peer gets its session."""

    def test_the_answer(self) -> None:
        """What a peer needs to know, and for a client the engines of the moment."""
        exchange = Exchange(HubConfig(beat=1, suspect=3, lost=9, hub_lease=5, session_ttl=7))
        engine, client = Line(exchange, "e"), Line(exchange, "c")
        first = engine.register(ENGINE)
        assert (first.engine_id, first.epoch, first.resumed) == (0, "epoch", False)
        assert (first.beat, first.suspect, first.lease, first.engines) == (1, 3, 5, ())
        second = client.register(CLIENT)
        assert (second.engine_id, second.lease, second.events) == (-1, 7, 1)
        assert [each["id"] for each in second.engines] == [0]
        assert first.token != second.token
        assert second.subscription not in (b"", second.token, first.subscription)

    @pytest.mark.parametrize("role", [ENGINE, CLIENT, NANNY])
    def test_registering_again_resumes(self, exchange: Exchange, role: m.Role) -> None:
        """With or without the token: the same process has the same session, from anywhere."""
        line = a_peer(exchange, "peer", role)
        first = line.registered
        assert first is not None
        for token, address in ((b"", "peer"), (first.token, "peer"), (first.token, "elsewhere")):
            again = m.Register(**({f: getattr(line.said, f) for f in (
                "role", "key", "incarnation", "pid", "host", "versions")} | {"token": token}))  # fmt: skip
            [answer] = Line(exchange, address).say(HUB, again)
            assert isinstance(answer, m.Registered)
            assert (answer.session, answer.token, answer.engine_id, answer.resumed) == (
                first.session, first.token, first.engine_id, True
            )  # fmt: skip
        assert len(exchange.switchboard.sessions) == 1

    def test_an_unknown_token_registers_anew(self, exchange: Exchange) -> None:
        """A hub that does not know it says so; the wish for the old number is then granted."""
        line = Line(exchange, "peer")
        said = registration(CLIENT, "key", token=b"of a former hub", session=77)
        assert refused(line.say(HUB, said)) == "unknown_session"
        assert len(exchange.switchboard.sessions) == 0
        assert line.register(CLIENT, session=77).session == 77

    def test_a_token_belongs_to_its_key(self, exchange: Exchange) -> None:
        """Another peer does not get in with it."""
        client = a_peer(exchange, "client", CLIENT)
        assert client.registered is not None
        said = registration(CLIENT, "other", token=client.registered.token)
        assert refused(Line(exchange, "thief").say(HUB, said)) == "unknown_session"

    def test_an_engine_that_is_reborn(self, exchange: Exchange) -> None:
        """Keeps number and id; what the process before had is gone, and so are its connections."""
        client = a_peer(exchange, "client", CLIENT)
        before = a_peer(exchange, "old address", ENGINE, key="engine")
        client.submit(1)
        client.command(2, 0)
        assert before.registered is not None
        exchange.events()
        after = a_peer(exchange, "new address", ENGINE, key="engine")
        assert after.registered is not None
        assert after.registered.session == before.registered.session
        assert after.registered.token != before.registered.token
        assert (after.registered.engine_id, after.registered.resumed) == (0, False)
        assert exchange.events() == [("unregistered", 0), ("registered", 0)]
        assert before.results((client.id(1), 0)) == [m.SayHello()]
        assert exchange.tasks._tasks[client.id(1)].attempt == 1

    def test_a_client_that_is_reborn(self, exchange: Exchange) -> None:
        """Has nothing to do with the requests of the process before, which counted like it."""
        before = a_peer(exchange, "old address", CLIENT, key="client")
        before.submit(1)
        after = a_peer(exchange, "new address", CLIENT, key="client")
        assert after.registered is not None
        assert not after.registered.resumed
        assert exchange.tasks.summary()["queued"] == 0
        assert any(isinstance(each, m.Accepted) for each in after.submit(1))
        assert exchange.tasks.summary()["queued"] == 1
        assert before.say(HUB, m.Beat()) == [m.SayHello()]

    def test_a_key_is_of_one_role(self, exchange: Exchange) -> None:
        """A client does not take an engine's place."""
        a_peer(exchange, "engine", ENGINE)
        said = registration(CLIENT, "engine")
        assert refused(Line(exchange, "x").say(HUB, said)) == "registration_refused"
        assert list(exchange.switchboard.controller.engines) == [0]

    @pytest.mark.parametrize("stream", BULK)
    def test_on_the_hub_stream_only(self, exchange: Exchange, stream: m.Stream) -> None:
        """Small and never behind data."""
        answer = Line(exchange, "x").say(stream, registration(CLIENT, "x"))
        assert refused(answer) == "authentication"

    @pytest.mark.parametrize("role", ["", "hub", "ENGINE", "x" * 5000])
    def test_roles_that_do_not_exist(self, exchange: Exchange, role: str) -> None:
        """Are refused, and not repeated at length."""
        said = m.Register(role, "k", b"1", 1, "here", {})
        [answer] = Line(exchange, "x").say(HUB, said)
        assert isinstance(answer, m.Refused)
        assert len(answer.message) < 200

    @pytest.mark.parametrize(
        "fields",
        [
            {"key": ""},
            {"key": "k" * 257},
            {"host": "h" * 257},
            {"incarnation": b"i" * 257},
            {"versions": {"python": "3.11.0"} | {str(n): "" for n in range(40)}},
            {"versions": {"python": "3.11.0", "x": "y" * 4096}},
        ],
    )
    def test_nothing_large_is_kept(self, exchange: Exchange, fields: dict[str, Any]) -> None:
        """What a session keeps for its life is bounded."""
        said = {"role": "client", "key": "k", "incarnation": b"1", "pid": 1, "host": "here",
                "versions": {"python": "3.11.0"}}  # fmt: skip
        answer = Line(exchange, "x").say(HUB, m.Register(**(said | fields)))
        assert refused(answer) == "invalid_request"
        assert len(exchange.switchboard.sessions) == 0

    @pytest.mark.parametrize("role", [ENGINE, CLIENT])
    @pytest.mark.parametrize("python", ["3.10.9", "2.7.18", "4.0.0", "?", ""])
    def test_another_python_is_refused_with_a_table(
        self, exchange: Exchange, role: m.Role, python: str
    ) -> None:
        """Functions could not travel; the text names both versions."""
        said = m.Register(role.value, "k", b"1", 1, "here", {"python": python, "extra": "9"})
        [answer] = Line(exchange, "x").say(HUB, said)
        assert isinstance(answer, m.Refused)
        assert answer.code == "version_mismatch"
        assert "3.11" in answer.message
        assert "extra" in answer.message

    def test_another_patch_level_is_welcome_and_a_nanny_needs_no_version(
        self, exchange: Exchange
    ) -> None:
        """Nannies carry no functions."""
        for role, python in ((CLIENT, "3.11.99"), (NANNY, "3.9.1")):
            said = m.Register(role.value, role.value, b"1", 1, "here", {"python": python})
            [answer] = Line(exchange, role.value).say(HUB, said)
            assert isinstance(answer, m.Registered)

    @pytest.mark.parametrize("role", [ENGINE, CLIENT, NANNY])
    def test_another_protocol_is_refused(self, exchange: Exchange, role: m.Role) -> None:
        """In what the peer says of itself."""
        versions = {"python": "3.11.0", "protocol": "2"}
        said = m.Register(role.value, "k", b"1", 1, "here", versions)
        assert refused(Line(exchange, "x").say(HUB, said)) == "protocol_mismatch"

    def test_another_protocol_is_refused_in_the_envelope(self, exchange: Exchange) -> None:
        """Whatever it carries: the answer names both versions."""
        header = msgpack.packb((PROTOCOL_MAJOR + 1, "from the future", {"a": 1}))
        [answer] = Line(exchange, "x").say_bytes(HUB, header)
        assert isinstance(answer, m.Refused)
        assert answer.code == "protocol_mismatch"
        assert f"protocol {PROTOCOL_MAJOR + 1}" in answer.message

    def test_max_engines(self) -> None:
        """One more is refused by name, and leaves no trace; a place that frees up is given."""
        exchange = Exchange(HubConfig(max_engines=2))
        first = a_peer(exchange, "0", ENGINE)
        a_peer(exchange, "1", ENGINE)
        late = Line(exchange, "2")
        assert refused(late.say(HUB, registration(ENGINE, "late"))) == "too_many_engines"
        assert len(exchange.switchboard.sessions) == 2
        first.say(HUB, m.Goodbye())
        assert late.register(ENGINE).engine_id == 0

    def test_max_sessions(self) -> None:
        """One peer too many is refused; those who are here may come back."""
        exchange = Exchange(HubConfig(max_sessions=1))
        line = a_peer(exchange, "first", CLIENT)
        answer = Line(exchange, "x").say(HUB, registration(CLIENT, "x"))
        assert refused(answer) == "limit_exceeded"
        assert isinstance(line.say(HUB, line.said)[0], m.Registered)

    def test_wished_engine_ids(self, exchange: Exchange) -> None:
        """Granted when free, else the lowest free one; nonsense does no harm."""
        wishes = [(5, 5), (5, 0), (-1, 1), (2**62, 2), (3, 3)]
        for n, (wish, given_id) in enumerate(wishes):
            line = Line(exchange, str(n))
            assert line.register(ENGINE, engine_id=wish).engine_id == given_id

    def test_a_stopped_hub_takes_no_engines(self, exchange: Exchange) -> None:
        """While it says goodbye."""
        exchange.switchboard.shut_down("enough")
        answer = Line(exchange, "x").say(HUB, registration(ENGINE, "x"))
        assert refused(answer) == "controller_stopped"


class TestHello:
    """How connections are bound."""

    @pytest.mark.parametrize("stream", BULK)
    def test_a_token_binds_a_connection(self, exchange: Exchange, stream: m.Stream) -> None:
        """From any address; the connection before is no longer the peer's."""
        line = a_peer(exchange, "here", CLIENT)
        assert line.registered is not None
        elsewhere = Line(exchange, "elsewhere")
        assert elsewhere.say(stream, m.Received(((1, 1),))) == [m.SayHello()]
        answers = elsewhere.say(stream, m.Hello(line.registered.token))
        assert answers == [m.Welcome("epoch")]
        assert elsewhere.say(stream, m.Received(((1, 1),))) == []
        assert line.say(stream, m.Received(((1, 1),))) == [m.SayHello()]

    @pytest.mark.parametrize("token", [b"", b"guessed", b"x" * 1000])
    def test_a_wrong_token_binds_nothing(self, exchange: Exchange, token: bytes) -> None:
        """The peer is asked to join."""
        a_peer(exchange, "client", CLIENT)
        for stream in BULK:
            assert Line(exchange, "x").say(stream, m.Hello(token)) == [m.SayHello()]

    def test_a_subscription_is_no_token(self, exchange: Exchange) -> None:
        """A topic travels openly on iopub."""
        line = a_peer(exchange, "client", CLIENT)
        assert line.registered is not None
        hello = m.Hello(line.registered.subscription)
        assert Line(exchange, "x").say(TASK, hello) == [m.SayHello()]

    def test_only_on_bulk_streams_and_only_of_those_who_use_them(self, exchange: Exchange) -> None:
        """Not on the hub stream, not by a nanny."""
        client, nanny = a_peer(exchange, "c", CLIENT), a_peer(exchange, "n", NANNY)
        for line, stream in ((client, HUB), (nanny, TASK), (nanny, MULTIENGINE)):
            assert line.registered is not None
            assert line.say(stream, m.Hello(line.registered.token)) == [m.SayHello()]

    @pytest.mark.parametrize("stream", SPOKEN)
    def test_an_unknown_connection_is_asked_to_say_hello(
        self, exchange: Exchange, stream: m.Stream
    ) -> None:
        """Whatever it says."""
        for message in (m.Beat(), m.Results(()), m.Goodbye(), m.Call(1, "query", "status", {})):
            assert Line(exchange, "x").say(stream, message) == [m.SayHello()]

    def test_a_peer_whose_connection_broke_is_asked_to_join_again(self, exchange: Exchange) -> None:
        """It may not know of it, and have nothing to say: nothing would ever come to it."""
        client = a_peer(exchange, "client", CLIENT)
        exchange.switchboard.disconnected(Connection(0, TASK, b"client"))
        exchange.turn()
        assert client.heard() == [m.SayHello()]
        exchange.switchboard.disconnected(Connection(0, HUB, b"client"))
        exchange.switchboard.disconnected(Connection(0, HUB, b"nobody"))
        exchange.turn()
        assert client.heard() == []

    @pytest.mark.parametrize("stream", BULK)
    @pytest.mark.parametrize("way", ["up", "down"])
    def test_a_connection_that_breaks_in_silence_comes_to_light(
        self, stream: m.Stream, way: str
    ) -> None:
        """Both ends wait for each other, nobody says anything: a beat finds out."""
        world = World()
        engine = world.joined(ScriptedEngine("engine"))
        client = world.joined(ScriptedClient("client"))
        [number] = client.tasks(b"x") if stream is TASK else client.command([0])
        world.tick(client)
        if way == "up":
            world.run()
            engine.work()
            world.tick(engine)
            world.cut(engine, stream, 99)
        else:
            world.deliver(client, "up", stream)
            world.cut(engine, stream, 0)
        for _ in range(4):
            world.pass_time(1.0)
            engine.work()
        assert client.results([number]) == [b"result of x"]


class TestLife:
    """Beats, suspicion, loss, death and leaving."""

    @pytest.mark.parametrize("role", [ENGINE, CLIENT, NANNY])
    def test_a_beat_is_answered(self, exchange: Exchange, role: m.Role) -> None:
        """On the hub stream; the bulk streams are felt for."""
        line = a_peer(exchange, "peer", role)
        answers = line.say(HUB, m.Beat())
        expected = [m.Beat()] + ([] if role is NANNY else [m.Welcome("epoch")] * 2)
        assert answers == expected

    def test_suspect_recovered_lost(self, exchange: Exchange) -> None:
        """Clients hear of each; the id is kept for the engine."""
        client, engine = a_peer(exchange, "client", CLIENT), a_peer(exchange, "engine", ENGINE)
        exchange.events()

        def wait(seconds: float) -> None:
            exchange.pass_time(seconds)
            client.say(HUB, m.Beat())

        wait(3.0)
        assert exchange.events() == [("suspect", 0)]
        engine.say(HUB, m.Beat())
        assert exchange.events() == [("recovered", 0)]
        wait(2.9)
        assert exchange.events() == []
        wait(0.1)
        assert exchange.events() == [("suspect", 0)]
        wait(7.0)
        [lost] = exchange.published
        assert isinstance(lost.message, m.EngineEvent)
        assert "not heard of for 10 s" in lost.message.engine["cause"]
        assert exchange.events() == [("unregistered", 0)]
        assert engine.say(HUB, m.Beat()) == [m.SayHello()]
        a_peer(exchange, "newcomer", ENGINE)
        assert exchange.events() == [("registered", 1)]
        [answer] = engine.say(HUB, engine.said)
        assert isinstance(answer, m.Registered)
        assert (answer.engine_id, answer.resumed) == (0, True)

    def test_events_are_numbered_without_gaps(self, exchange: Exchange) -> None:
        """A client compares them with the number in its registration."""
        client = a_peer(exchange, "client", CLIENT)
        for n in range(3):
            a_peer(exchange, f"engine {n}", ENGINE)
        a_peer(exchange, "engine 1", ENGINE)
        numbers = [p.message.number for p in exchange.published
                   if isinstance(p.message, m.EngineEvent)]  # fmt: skip
        assert client.registered is not None
        assert numbers == list(range(client.registered.events + 1, client.registered.events + 6))
        assert client.register(CLIENT, key="again").events == numbers[-1]

    def test_events_go_to_clients_on_their_own_topics(self, exchange: Exchange) -> None:
        """And to nobody else."""
        lines = [a_peer(exchange, name, CLIENT) for name in "ab"]
        a_peer(exchange, "engine", ENGINE)
        topics = {publish.topic for publish in exchange.published}
        assert topics == {line.registered.subscription for line in lines if line.registered}

    @pytest.mark.parametrize("how", ["beat", "register", "hello", "vouched"])
    def test_ways_to_recover(self, exchange: Exchange, how: str) -> None:
        """Any message, registering again, a hello, and the nanny's word."""
        client, engine = a_peer(exchange, "client", CLIENT), a_peer(exchange, "engine", ENGINE)
        nanny = a_peer(exchange, "nanny", NANNY)
        exchange.pass_time(3.0)
        exchange.events()
        client.submit(1)
        assert rows_of(engine.heard()) == []
        assert engine.registered is not None
        if how == "vouched":
            nanny.say(HUB, m.Beat(("engine", "nobody", "client", "nanny")))
        elif how == "hello":
            engine.say(TASK, m.Hello(engine.registered.token))
        else:
            engine.say(HUB, m.Beat() if how == "beat" else engine.said)
        assert exchange.events() == [("recovered", 0)]
        assert rows_of(engine.heard()) == [(client.id(1), 0)]

    def test_an_engine_that_holds_the_gil_is_vouched_for(self, exchange: Exchange) -> None:
        """Minutes without a word are no death while the nanny sees the process."""
        client = a_peer(exchange, "client", CLIENT)
        a_peer(exchange, "engine", ENGINE)
        nanny = a_peer(exchange, "nanny", NANNY)
        exchange.events()
        for _ in range(120):
            exchange.pass_time(1.0)
            nanny.say(HUB, m.Beat(("engine",)))
            client.say(HUB, m.Beat())
        assert exchange.events() == []

    def test_only_nannies_vouch(self, exchange: Exchange) -> None:
        """Another engine's word is nothing."""
        a_peer(exchange, "engine", ENGINE)
        other = a_peer(exchange, "other", ENGINE)
        client = a_peer(exchange, "client", CLIENT)
        exchange.events()
        for _ in range(3):
            exchange.pass_time(1.0)
            for line in (other, client):
                line.say(HUB, m.Beat(("engine",)))
        assert exchange.events() == [("suspect", 0)]

    def test_a_death_without_a_successor(self, exchange: Exchange) -> None:
        """The engine is gone at once, with its cause and last words; its id is free again."""
        a_peer(exchange, "client", CLIENT)
        engine, nanny = a_peer(exchange, "engine", ENGINE), a_peer(exchange, "nanny", NANNY)
        exchange.published.clear()
        nanny.say(HUB, m.EngineDied("engine", engine.said.incarnation, "signal SIGKILL", "last"))
        [publish] = exchange.published
        assert isinstance(publish.message, m.EngineEvent)
        assert publish.message.event == "unregistered"
        assert "SIGKILL" in publish.message.engine["cause"]
        assert "last" in publish.message.engine["cause"]
        assert exchange.switchboard.sessions.of_key("engine") is None
        assert a_peer(exchange, "newcomer", ENGINE).registered.engine_id == 0  # type: ignore[union-attr]

    def test_a_death_with_a_successor(self, exchange: Exchange) -> None:
        """The id stays for the engine that the nanny starts in its place, and nobody else's."""
        engine, nanny = a_peer(exchange, "engine", ENGINE), a_peer(exchange, "nanny", NANNY)
        death = m.EngineDied("engine", engine.said.incarnation, "exit 1", restarting=True)
        nanny.say(HUB, death)
        assert engine.say(TASK, m.Results(())) == [m.SayHello()]
        assert a_peer(exchange, "newcomer", ENGINE).registered.engine_id == 1  # type: ignore[union-attr]
        again = a_peer(exchange, "new address", ENGINE, key="engine")
        assert again.registered is not None
        assert (again.registered.engine_id, again.registered.resumed) == (0, False)
        nanny.say(HUB, death)
        assert sorted(exchange.switchboard.controller.engines) == [0, 1], "old news was believed"

    @pytest.mark.parametrize(
        ("key", "incarnation"), [("nobody", b"1"), ("client", None), ("engine", b"other")]
    )
    def test_a_death_of_someone_else(
        self, exchange: Exchange, key: str, incarnation: bytes | None
    ) -> None:
        """An unknown key, a client's, a former process: nothing happens."""
        client = a_peer(exchange, "client", CLIENT)
        a_peer(exchange, "engine", ENGINE)
        nanny = a_peer(exchange, "nanny", NANNY)
        nanny.say(HUB, m.EngineDied(key, incarnation or client.said.incarnation, "x"))
        assert len(exchange.switchboard.sessions) == 3
        assert list(exchange.switchboard.controller.engines) == [0]

    def test_goodbye(self, exchange: Exchange) -> None:
        """Nothing is kept for who leaves on purpose, not even the id."""
        client, engine = a_peer(exchange, "client", CLIENT), a_peer(exchange, "engine", ENGINE)
        nanny = a_peer(exchange, "nanny", NANNY)
        exchange.events()
        for line in (engine, client, nanny):
            assert line.say(HUB, m.Goodbye("enough")) == []
            assert line.say(HUB, m.Beat()) == [m.SayHello()]
        assert exchange.events() == [("unregistered", 0)]
        assert len(exchange.switchboard.sessions) == 0
        assert exchange.switchboard.next_deadline() is None or exchange.pass_time(99) is None
        assert a_peer(exchange, "newcomer", ENGINE).registered.engine_id == 0  # type: ignore[union-attr]

    def test_a_lost_engine_must_register_before_anything_else(self, exchange: Exchange) -> None:
        """A hello with its token binds nothing; registered, it is given nothing on a connection
        of before, which may be gone.
        """
        client, engine = a_peer(exchange, "client", CLIENT), a_peer(exchange, "engine", ENGINE)
        assert engine.registered is not None
        hello = m.Hello(engine.registered.token)
        exchange.pass_time(10.0)
        for stream in BULK:
            assert engine.say(stream, hello) == [m.SayHello()]
        client.register(CLIENT)
        client.submit(1)
        engine.heard()
        engine.say(HUB, engine.said)
        assert rows_of(engine.heard()) == []
        assert engine.say(TASK, m.Results(())) == [m.SayHello()]
        assert rows_of(engine.say(TASK, hello)) == [(client.id(1), 0)]

    def test_a_lost_session_expires(self, exchange: Exchange) -> None:
        """After `session_ttl` nothing is left of it, and nothing is due."""
        a_peer(exchange, "client", CLIENT)
        a_peer(exchange, "engine", ENGINE)
        exchange.pass_time(10.0)
        assert len(exchange.switchboard.sessions) == 2
        exchange.pass_time(600.0)
        assert len(exchange.switchboard.sessions) == 0
        exchange.pass_time(10.0)
        assert exchange.switchboard.next_deadline() is None

    def test_deadlines_are_kept_by_looking_when_told(self, exchange: Exchange) -> None:
        """Whoever ticks at `next_deadline` misses nothing."""
        exchange.turn()
        exchange.pass_time(60.0)
        a_peer(exchange, "engine", ENGINE)
        story, start = [], exchange.now
        while len(exchange.switchboard.sessions) and exchange.now < start + 700:
            due = exchange.switchboard.next_deadline()
            assert due is not None
            exchange.pass_time(max(0.0, due - exchange.now) + 1e-9)
            states = [e["state"] for e in exchange.switchboard._peers.described()]
            story.append((round(exchange.now - start), states))
        assert story == [(3, ["suspect"]), (10, []), (610, [])]
        assert round(exchange.now - start) == 610

    def test_shutting_down(self, exchange: Exchange) -> None:
        """Everyone is told, each in its words."""
        lines = [a_peer(exchange, r.value, r) for r in (ENGINE, CLIENT, NANNY)]
        effects = exchange.switchboard.shut_down("enough")
        said = {e.connection.address: e.message for e in effects}  # type: ignore[union-attr]
        assert [said[line.address] for line in lines] == [
            m.Shutdown("enough"), m.Goodbye("enough"), m.Shutdown("enough")
        ]  # fmt: skip


class TestCalls:
    """Small methods of interfaces, over the hub stream."""

    def test_unknown_names(self, exchange: Exchange) -> None:
        """Name what there is."""
        client = a_peer(exchange, "client", CLIENT)
        answer = client.call("jobs", "status")
        assert answer.code == "unknown_interface"
        assert "multiengine, query, tasks" in answer.message
        answer = client.call("query", "nothing")
        assert "status" in answer.message

    @pytest.mark.parametrize(
        "method",
        ["_engines", "__init__", "__class__", "call", "engine", "register_engine", "summary",
         "engines", "outbox", "name", "", "status.__func__"],
    )  # fmt: skip
    def test_only_exposed_methods_can_be_called(self, exchange: Exchange, method: str) -> None:
        """Neither private ones, nor inherited ones, nor attributes."""
        client = a_peer(exchange, "client", CLIENT)
        for interface in ("query", "tasks", "multiengine"):
            assert client.call(interface, method).code == "unknown_interface"

    @pytest.mark.parametrize(
        "arguments", [{"bad": 1}, {"caller": 1}, {"key": 1, "more": 2}]
    )
    def test_arguments_must_fit(self, exchange: Exchange, arguments: dict[str, Any]) -> None:
        """The text says what does not."""
        client = a_peer(exchange, "client", CLIENT)
        answer = client.call("query", "revoke", **arguments)
        assert answer.code == "invalid_request"
        assert "query.revoke" in answer.message

    def test_what_a_method_raises_reaches_the_caller(
        self, exchange: Exchange, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """And nobody else."""
        monkeypatch.setattr(exchange.tasks, "summary", lambda: 1 / 0)
        client = a_peer(exchange, "client", CLIENT)
        answer = client.call("query", "status")
        assert (answer.code, "ZeroDivisionError" in answer.message) == ("internal", True)
        assert client.say(HUB, m.Beat())[0] == m.Beat()

    @pytest.mark.parametrize("value", [object(), {1: object()}, 2**70, {"a": {1, 2}}])
    def test_a_value_that_cannot_travel(
        self, exchange: Exchange, monkeypatch: pytest.MonkeyPatch, value: Any
    ) -> None:
        """Is an error of that call; an interface of one's own must not end the hub."""

        @exposed
        def odd(caller: Any) -> Any:
            return value

        monkeypatch.setattr(exchange.tasks, "odd", odd, raising=False)
        client = a_peer(exchange, "client", CLIENT)
        assert client.call("tasks", "odd").code == "internal"

    def test_status(self, exchange: Exchange) -> None:
        """The object that the command line prints."""
        client, engine = a_peer(exchange, "client", CLIENT), a_peer(exchange, "engine", ENGINE)
        client.submit(1, 2)
        status = client.call("query", "status").value
        assert set(status) == {"profile", "hub", "engines", "tasks"}
        assert set(status["hub"]) == {"pid", "started", "version", "ports", "http"}
        assert status["engines"] == (
            {"id": 0, "pid": 4711, "host": "here", "state": "busy", "running": 1, "queued": 0},
        )
        assert status["tasks"] == {"queued": 1, "running": 1, "done": 0, "failed": 0}
        assert client.call("query", "queue_status").value == {
            "0": {"queue": 0, "tasks": 1}, "unassigned": 1
        }  # fmt: skip
        assert engine.registered is not None

    def test_interfaces_tell_their_methods(self, exchange: Exchange) -> None:
        """So a client can be made for one that it does not know."""
        value = a_peer(exchange, "client", CLIENT).call("query", "interfaces").value
        assert set(value) == {"multiengine", "tasks", "query"}
        assert value["tasks"] == ("cancel", "counts")

    def test_the_hub_can_be_stopped(self, exchange: Exchange) -> None:
        """The answer still arrives."""
        client = a_peer(exchange, "client", CLIENT)
        assert client.call("query", "shutdown_hub").code == ""
        assert len(exchange.stopped) == 1

    def test_interfaces_that_are_not_exposed(self) -> None:
        """Are not there; the others work without them."""
        exchange = Exchange(HubConfig(interfaces=("query",)))
        client = a_peer(exchange, "client", CLIENT)
        assert client.call("query", "status").value["tasks"]["queued"] == 0
        assert client.call("tasks", "counts").code == "unknown_interface"
        rows = ((client.id(1), 0, b""),)
        submit = m.SubmitTasks(((b"f", 0, 0, ""),), rows, ((b"f", b""),))
        assert refused(client.say(TASK, submit)) == "unknown_interface"


# ---------------------------------------------------------------- who may say what


def every_message(line: Line) -> dict[type[m.Message], m.Message]:
    """Return a well-formed message of each kind, as this peer would send it."""
    first = line.id(1)
    key, ranges = "k" * 40, ((first, first),)
    made: tuple[m.Message, ...] = (
        m.Enrol(key), m.Enrolled(key), registration(CLIENT, "another"),
        m.Registered(1, b"t", 0, "e", False, b"s", 1.0, 3.0, 9.0), m.Refused("error", "x"),
        m.Hello(line.registered.token if line.registered else b""), m.Welcome("e"), m.SayHello(),
        m.Beat(), m.EngineDied("nobody", b"1", "x"), m.Goodbye(), m.Call(1, "query", "status", {}),
        m.Answer(1), m.Interrupt(ranges), m.Signal(key, "SIGINT"), m.Shutdown(),
        m.EngineEvent(1, "registered", {}), m.Command(first, (0,), "push", (b"",)),
        m.RunCommand(first, "push", b""), m.SubmitTasks((), ()), m.RunTasks((), ()),
        m.Accepted(ranges), m.Results(()), m.Stored(ranges), m.Completed(()), m.Received(ranges),
        m.NeedFunctions((b"d",)), m.Functions(()),
    )  # fmt: skip
    return {type(message): message for message in made}


def test_there_is_an_example_of_every_message() -> None:
    """A new message enters the matrix below."""
    line = a_peer(Exchange(), "x", CLIENT)
    assert set(every_message(line)) == set(m.KINDS.values())


JOINING = (m.Enrol, m.Register, m.Hello)
MATRIX = [*itertools.product(sorted(m.KINDS), m.Role, SPOKEN)]


@pytest.mark.parametrize(("kind", "role", "stream"), MATRIX)
def test_who_may_say_what_where(kind: str, role: m.Role, stream: m.Stream) -> None:
    """Every message, from every role, on every stream: heard where the table says, else refused;
    and a refusal changes nothing.
    """
    exchange = Exchange()
    line = a_peer(exchange, "peer", role)
    cls = m.KINDS[kind]
    message = every_message(line)[cls]
    if role is NANNY and stream is not HUB:
        expected = "refused" if cls in (m.Enrol, m.Register) else "hello"
    elif cls in JOINING:
        expected = {m.Enrol: "refused", m.Register: "registered", m.Hello: "welcome"}[cls]
        if (cls is m.Register) != (stream is HUB):
            expected = {m.Register: "refused", m.Hello: "hello"}.get(cls, expected)
        if cls is m.Hello and stream is not HUB:
            expected = "welcome"
    else:
        streams, roles = PERMITTED.get(cls, (frozenset(), frozenset()))
        expected = "heard" if stream in streams and role in roles else "refused"
    answers = line.say(stream, message)
    kinds = {type(answer) for answer in answers}
    if expected == "heard":
        assert not kinds & {m.Refused, m.SayHello}
        assert exchange.switchboard.refused == 0
    else:
        assert kinds == {
            "refused": {m.Refused}, "hello": {m.SayHello}, "welcome": {m.Welcome},
            "registered": {m.Registered},
        }[expected]  # fmt: skip
    if expected == "refused":
        assert exchange.switchboard.refused == 1
        assert isinstance(answers[0], m.Refused)
        assert answers[0].code == "authentication"
        assert line.registered is not None
        assert exchange.switchboard.sessions.of_number(line.registered.session) is not None


# ---------------------------------------------------------------- over TCP


class Listening(Exchange):
    """A hub that listens with CURVE: every message comes with the key that was proved."""

    def __init__(self, config: HubConfig | None = None) -> None:
        self.hub_keys = HubKeys.generate()
        self.keys = KeyRegistry(self.hub_keys)
        super().__init__(config, self.keys)

    def enrolment(self, role: m.Role) -> str:
        """Return the enrolment key of a role."""
        return self.hub_keys.enrolment[role].public

    def peer(self, role: m.Role, name: str = "peer") -> Line:
        """Return a peer whose key is enrolled, and let in."""
        key = KeyPair.generate().public
        line = Line(self, name, self.enrolment(ENGINE if role is NANNY else role))
        assert line.say(HUB, m.Enrol(key)) == [m.Enrolled(key)]
        line = Line(self, name, key)
        for stream in m.Stream:
            assert self.keys.allows(stream, key)
        return line


@pytest.fixture
def listening() -> Listening:
    """A hub over TCP with nobody there."""
    return Listening()


class TestKeys:
    """Who speaks is who has the key."""

    @pytest.mark.parametrize("role", [ENGINE, CLIENT, NANNY])
    def test_enrol_register_hello(self, listening: Listening, role: m.Role) -> None:
        """The way in."""
        line = listening.peer(role)
        assert line.user is not None
        registered = line.register(role, line.user)
        assert registered.session
        assert line.say(HUB, m.Beat())[0] == m.Beat()

    def test_enrolling_again_is_harmless(self, listening: Listening) -> None:
        """The answer may have been lost."""
        line = Line(listening, "x", listening.enrolment(CLIENT))
        key = KeyPair.generate().public
        for _ in range(2):
            assert line.say(HUB, m.Enrol(key)) == [m.Enrolled(key)]

    @pytest.mark.parametrize("role", [ENGINE, CLIENT])
    def test_an_enrolment_key_may_only_enrol(self, listening: Listening, role: m.Role) -> None:
        """Nothing else is heard from it, on any stream."""
        line = Line(listening, "x", listening.enrolment(role))
        said = [registration(role, listening.enrolment(role)), m.Hello(b"t"), m.Beat(),
                m.Goodbye(), m.Call(1, "query", "status", {}), m.Results(())]  # fmt: skip
        for stream, message in itertools.product(SPOKEN, said):
            assert refused(line.say(stream, message)) == "authentication"

    def test_only_an_enrolment_key_enrols(self, listening: Listening, exchange: Exchange) -> None:
        """Not a registered one, not an unknown one, not over ipc, not on another stream."""
        key = KeyPair.generate().public
        registered = listening.peer(CLIENT)
        lines = [(registered, HUB), (Line(listening, "x", KeyPair.generate().public), HUB),
                 (Line(listening, "x", ""), HUB), (Line(listening, "x"), HUB),
                 (Line(exchange, "x"), HUB),
                 (Line(listening, "x", listening.enrolment(CLIENT)), TASK)]  # fmt: skip
        for line, stream in lines:
            assert refused(line.say(stream, m.Enrol(key))) == "authentication"
        assert listening.keys.role_of(key) is None

    def test_a_key_is_enrolled_for_its_role(self, listening: Listening) -> None:
        """An engine's key does not register as a client, nor a client's as engine or nanny."""
        for enrolled, wrong in ((ENGINE, CLIENT), (CLIENT, ENGINE), (CLIENT, NANNY)):
            line = listening.peer(enrolled)
            assert line.user is not None
            answer = line.say(HUB, registration(wrong, line.user))
            assert refused(answer) == "authentication"
        assert len(listening.switchboard.sessions) == 0

    def test_a_key_does_not_register_for_another(self, listening: Listening) -> None:
        """The key in the message is the key of the connection."""
        one, two = listening.peer(ENGINE, "one"), listening.peer(ENGINE, "two")
        assert one.user is not None
        one.register(ENGINE, one.user)
        answer = two.say(HUB, registration(ENGINE, one.user, incarnation=one.said.incarnation))
        assert refused(answer) == "authentication"

    def test_a_key_does_not_speak_for_another(self, listening: Listening) -> None:
        """With a stolen token, or from an address that another had: nothing is heard."""
        one, two = listening.peer(CLIENT, "one"), listening.peer(CLIENT, "two")
        assert one.user is not None
        assert two.user is not None
        one.register(CLIENT, one.user)
        two.register(CLIENT, two.user)
        assert one.registered is not None
        for stream in BULK:
            assert two.say(stream, m.Hello(one.registered.token)) == [m.SayHello()]
        impostor = Line(listening, "one", two.user)
        impostor.registered = one.registered
        assert impostor.submit(1) == [m.SayHello()]
        assert impostor.say(HUB, m.Goodbye()) == [m.SayHello()]
        assert len(listening.switchboard.sessions) == 2

    def test_a_revoked_key_is_not_heard(self, listening: Listening) -> None:
        """At its next message, though its connection stands: ZAP asks at the handshake only."""
        client, engine = listening.peer(CLIENT, "client"), listening.peer(ENGINE, "engine")
        assert client.user is not None
        assert engine.user is not None
        client.register(CLIENT, client.user)
        engine.register(ENGINE, engine.user)
        listening.events()
        assert client.call("query", "revoke", key=engine.user).value is True
        assert listening.events() == [("unregistered", 0)]
        for stream, message in itertools.product(SPOKEN, (m.Beat(), m.Results(()), m.Hello(b""))):
            assert refused(engine.say(stream, message)) == "authentication"
        assert refused(engine.say(HUB, engine.said)) == "authentication"
        again = Line(listening, "again", listening.enrolment(ENGINE))
        assert refused(again.say(HUB, m.Enrol(engine.user))) == "authentication"
        assert client.call("query", "revoke", key=engine.user).value is False

    def test_a_client_may_revoke_itself(self, listening: Listening) -> None:
        """It gets its answer, and is heard no more."""
        client = listening.peer(CLIENT)
        assert client.user is not None
        client.register(CLIENT, client.user)
        assert client.call("query", "revoke", key=client.user).value is True
        assert refused(client.say(HUB, m.Beat())) == "authentication"

    @pytest.mark.parametrize("role", [ENGINE, CLIENT])
    def test_a_key_ends_with_its_session(self, listening: Listening, role: m.Role) -> None:
        """It may enrol again."""
        line = listening.peer(role)
        assert line.user is not None
        line.register(role, line.user)
        line.say(HUB, m.Goodbye())
        assert listening.keys.role_of(line.user) is None
        assert refused(line.say(HUB, m.Beat())) == "authentication"
        enrol = Line(listening, "again", listening.enrolment(role))
        assert enrol.say(HUB, m.Enrol(line.user)) == [m.Enrolled(line.user)]

    def test_refused_peers_do_not_fill_the_list_of_keys(self) -> None:
        """A peer that is not let in leaves its place to others; one that is in keeps its own."""
        listening = Listening(HubConfig(max_engines=1))
        first = listening.peer(ENGINE, "first")
        assert first.user is not None
        first.register(ENGINE, first.user)
        for n in range(20):
            line = listening.peer(ENGINE, f"late {n}")
            assert line.user is not None
            assert refused(line.say(HUB, registration(ENGINE, line.user))) == "too_many_engines"
        assert len(listening.keys._used) + len(listening.keys._unused) == 1
        assert first.say(HUB, m.Beat())[0] == m.Beat()

    def test_a_reborn_client_keeps_its_key(self, listening: Listening) -> None:
        """The former process's session ends; the key speaks for the new one."""
        line = listening.peer(CLIENT)
        assert line.user is not None
        line.register(CLIENT, line.user)
        line.register(CLIENT, line.user)
        assert line.say(HUB, m.Beat())[0] == m.Beat()


# ---------------------------------------------------------------- any bytes


@pytest.fixture(scope="module")
def busy() -> tuple[Exchange, list[Line]]:
    """A hub at work, and a peer of each role, and one of none."""
    exchange = Exchange()
    lines = [a_peer(exchange, r.value, r) for r in m.Role] + [Line(exchange, "nobody")]
    client = next(line for line in lines if line.address == b"client")
    client.submit(1, 2, 3)
    client.command(4, 0)
    return exchange, lines


DEEP = b"\x91" * 5000
NASTY = [
    b"", b"\x00", b"\xc1", b"\xff" * 100, b"GET / HTTP/1.1\r\n\r\n", DEEP, DEEP[:511], DEEP[:1023],
    b"\xdd\xff\xff\xff\xff", b"\xdf\xff\xff\xff\xff", b"\xdb\xff\xff\xff\xff",
    b"\xc6\xff\xff\xff\xff", b"\xc9\xff\xff\xff\xff\x01", b"\xdd\x00\x0f\xff\xff" * 400,
    msgpack.packb(None), msgpack.packb([]), msgpack.packb({}), msgpack.packb([1]),
    msgpack.packb([1, "beat"]), msgpack.packb([1, "beat", None]), msgpack.packb([1, "beat", []]),
    msgpack.packb([1, None, {}]), msgpack.packb([True, "beat", {}]), msgpack.packb([1, "x", {}]),
    msgpack.packb([2**64 - 1, "beat", {}]), msgpack.packb([1, "beat", {1: 2}]),
    msgpack.packb([1, "beat", {"vouches": [1]}]), msgpack.packb([1, "beat", {"vouches": "k"}]),
    b"\x93\x01\x91" + DEEP[:900] + b"\x80", msgpack.packb([1, "x" * 10**6, {}]),
    msgpack.packb([1, "\x1b[31m\n\x00", {}]), b"\x93\x01\xa4\xff\xfe\xfd\xfc\x80",
    msgpack.packb([1, "hello", {"token": b"", "held": [[0, 2**64 - 1]]}]),
    msgpack.packb([1, "received", {"requests": [[0, 2**63 - 1]] * 1000}]),
    msgpack.packb([1, "results", {"rows": [[1, 0, 0, [0, 1], 0.0, 0.0, None]]}]),
    msgpack.packb([1, "results", {"rows": [[1, 0, 0, b"", float("nan"), float("inf"), None]]}]),
]  # fmt: skip


@pytest.mark.parametrize("header", NASTY, ids=range(len(NASTY)))
def test_no_bytes_raise(busy: tuple[Exchange, list[Line]], header: bytes) -> None:
    """From anyone, on any stream, with and without frames: answered, and nothing has changed."""
    exchange, lines = busy
    before = exchange.tasks.summary()
    for line, stream, frames in itertools.product(lines, SPOKEN, ((), (b"",), (b"x",) * 9)):
        answers = line.say_bytes(stream, header, frames)
        known = m.Refused | m.SayHello | m.Welcome | m.Beat | m.Stored
        assert all(isinstance(answer, known) for answer in answers)
        for answer in answers:
            if isinstance(answer, m.Refused):
                assert len(answer.message) <= 4096
    assert exchange.tasks.summary() == before


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats() | st.binary()
    | st.text(string.printable) | st.sampled_from([b"token 1", b"token 3", "engine", "client"]),
    lambda inner: st.lists(inner, max_size=4)
    | st.dictionaries(st.text(string.ascii_letters, max_size=8), inner, max_size=4),
    max_leaves=12,
)  # fmt: skip


@given(
    kind=st.sampled_from(sorted(m.KINDS)),
    field=st.integers(0, 20),
    value=VALUES,
    who=st.integers(0, 3),
    stream=st.sampled_from(SPOKEN),
)
def test_no_field_raises(kind: str, field: int, value: Any, who: int, stream: m.Stream) -> None:
    """Real messages with one field replaced by anything: the hub goes on and stays consistent."""
    exchange = Exchange()
    lines = [a_peer(exchange, r.value, r) for r in m.Role] + [Line(exchange, "nobody")]
    client = next(line for line in lines if line.address == b"client")
    client.submit(1)
    line = lines[who]
    message = every_message(line if line.registered else client)[m.KINDS[kind]]
    major, name, body = msgpack.unpackb(encode(message)[0])
    if body:
        body[sorted(body)[field % len(body)]] = value
    line.say_bytes(stream, msgpack.packb((major, name, body)))
    for answer in line.heard(m.Refused):
        assert isinstance(answer, m.Refused)
        assert answer.code != "internal", answer.message
    assert isinstance(a_peer(exchange, "late", CLIENT).call("query", "status").value, dict)


def test_a_bug_in_a_handler_ends_nothing(
    exchange: Exchange, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The peer is told, the log says why, and the next message is heard."""
    client = a_peer(exchange, "client", CLIENT)
    monkeypatch.setattr(exchange.tasks._functions, "learn", lambda *_: 1 / 0)
    answers = client.submit(1)
    assert refused(answers) == "internal"
    assert "ZeroDivisionError" in caplog.text
    assert client.say(HUB, m.Beat())[0] == m.Beat()


def test_refusals_do_not_flood_the_log(
    exchange: Exchange, caplog: pytest.LogCaptureFixture
) -> None:
    """A thousand bad messages are counted; a few are told."""
    line = Line(exchange, "x")
    for _ in range(1000):
        line.say_bytes(HUB, b"\xff" * 50)
    assert exchange.switchboard.refused == 1000
    assert len([r for r in caplog.records if r.levelname == "WARNING"]) <= 21


def test_session_numbers_fit_into_request_ids(exchange: Exchange) -> None:
    """Also those that are wished for."""
    for wish in (MAX_SESSION, MAX_SESSION + 1, 2**62):
        line = Line(exchange, f"{wish}")
        assert 0 < line.register(CLIENT, session=wish).session <= MAX_SESSION
        assert any(isinstance(each, m.Accepted) for each in line.submit(1))

"""Joining: who gets a session, and which connections speak for it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import msgpack
import pytest

from ctrlhub.controller.config import HubConfig
from ctrlhub.controller.core.effects import Connection
from ctrlhub.controller.core.sessions import Sessions
from ctrlhub.wire import messages as m
from ctrlhub.wire.limits import PROTOCOL_MAJOR
from tests.support.exchange import BULK, VERSIONS, Exchange, Line
from tests.support.peerage import (
    CLIENT,
    ENGINE,
    HUB,
    MULTIENGINE,
    NANNY,
    SPOKEN,
    TASK,
    a_peer,
    exchange,
    refused,
)
from tests.support.peers import ScriptedClient, ScriptedEngine, registration
from tests.support.world import World

__all__ = ["exchange"]


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

    def test_an_engine_that_demands_an_id(self, exchange: Exchange) -> None:
        """It gets that one, whichever is free first; after a hub's restart, too."""
        engine = Line(exchange, "rank")
        assert engine.register(ENGINE, engine_id=3, exact_id=True).engine_id == 3
        assert Line(exchange, "other").register(ENGINE).engine_id == 0
        engine.say(HUB, m.Goodbye())
        assert Line(exchange, "next").register(ENGINE, engine_id=3, exact_id=True).engine_id == 3

    def test_an_id_that_is_demanded_twice(self, exchange: Exchange) -> None:
        """Who comes second is refused, and told who has it; so is who demands what is no id."""
        a_peer(exchange, "client", CLIENT)
        Line(exchange, "first").register(ENGINE)
        for wish, text in ((0, "id 0 is taken: process"), (-1, "no engine id"), (9999, "no engine id")):
            said = registration(ENGINE, "second", engine_id=wish, exact_id=True)
            [answer] = Line(exchange, "second").say(HUB, said)
            assert isinstance(answer, m.Refused)
            assert answer.code == "registration_refused"
            assert text in answer.message
        assert list(exchange.switchboard.controller.engines) == [0]
        assert exchange.switchboard.sessions.of_key("second") is None

    def test_an_id_of_an_engine_that_was_lost(self, exchange: Exchange) -> None:
        """Is given to who demands it; but not while a nanny restarts its engine."""
        first, nanny = Line(exchange, "first"), a_peer(exchange, "nanny", NANNY)
        first.register(ENGINE)
        assert first.said is not None
        nanny.say(HUB, m.EngineDied("first", first.said.incarnation, "of a test", restarting=True))
        said = registration(ENGINE, "second", engine_id=0, exact_id=True)
        [answer] = Line(exchange, "second").say(HUB, said)
        assert isinstance(answer, m.Refused)
        assert "being restarted" in answer.message

    def test_who_was_lost_comes_back_to_another_id(self, exchange: Exchange) -> None:
        """Its own was demanded by an engine that takes no other."""
        first, second = a_peer(exchange, "first", ENGINE), Line(exchange, "second")
        assert first.registered is not None
        exchange.pass_time(20)
        assert second.register(ENGINE, engine_id=0, exact_id=True).engine_id == 0
        again = registration(ENGINE, "first", token=first.registered.token, engine_id=0)
        [answer] = [a for a in first.say(HUB, again) if isinstance(a, m.Registered)]
        assert answer.engine_id == 1

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

    @pytest.mark.parametrize("theirs", ["3.1.3", "2.2.0", None])
    def test_peers_that_pickle_otherwise_are_warned_of(
        self, exchange: Exchange, caplog: pytest.LogCaptureFixture, theirs: str | None
    ) -> None:
        """With a table of the versions of both; the same on both sides is not worth a word."""
        ours = {**VERSIONS, "cloudpickle": "3.1.3"}
        engine = VERSIONS if theirs is None else {**VERSIONS, "cloudpickle": theirs}
        said = replace(registration(ENGINE, "engine"), versions=engine)
        Line(exchange, "engine").say(HUB, said)
        Line(exchange, "client").say(HUB, replace(registration(CLIENT, "client"), versions=ours))
        warned = "same versions on both" in caplog.text
        assert warned == (theirs != "3.1.3")
        assert not warned or f"cloudpickle  client 3.1.3        engine {theirs or '-'}" in caplog.text

    def test_who_it_works_with_is_not_looked_for_among_all(
        self, exchange: Exchange, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        """Each of many engines costs the same, with a client or without; one that is left is found, if any."""
        looks: list[Sessions] = []
        each = Sessions.__iter__
        monkeypatch.setattr(Sessions, "__iter__", lambda self: looks.append(self) or each(self))
        monkeypatch.setattr(exchange.switchboard, "check", lambda: None)  # which looks through all
        other = {**VERSIONS, "cloudpickle": "0"}
        for client in ("first", "second"):
            Line(exchange, client).say(HUB, replace(registration(CLIENT, client), versions=other))
        for number in range(9):
            a_peer(exchange, f"engine {number}", ENGINE)
        assert not looks
        assert caplog.text.count("same versions on both") == 9

        for client in ("second", "first"):
            [session] = [s for s in exchange.switchboard.sessions if s.key == client]
            exchange.switchboard._peers.forget(session, exchange.now)
            looks.clear()
            for number in range(9):
                a_peer(exchange, f"{client} {number}", ENGINE)
            assert len(looks) == 1, "when the known one has left"
        assert caplog.text.count("same versions on both") == 18

    def test_another_patch_level_is_welcome_and_a_nanny_needs_no_version(
        self, exchange: Exchange
    ) -> None:
        """Nannies carry no functions."""
        for role, python in ((CLIENT, "3.11.99"), (NANNY, "3.9.1")):
            said = m.Register(role.value, role.value, b"1", 1, "here", {"python": python})
            [answer] = Line(exchange, role.value).say(HUB, said)
            assert isinstance(answer, m.Registered)

    def test_a_client_in_another_language_names_no_python(self, exchange: Exchange) -> None:
        """It sends no functions; an engine runs them."""
        said = registration(CLIENT, "client")
        [answer] = Line(exchange, "client").say(HUB, replace(said, versions={}))
        assert isinstance(answer, m.Registered)
        silent = replace(registration(ENGINE, "engine"), versions={})
        assert refused(Line(exchange, "engine").say(HUB, silent)) == "version_mismatch"

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

    def test_only_on_other_streams_and_only_of_those_who_use_them(self, exchange: Exchange) -> None:
        """Not on the hub stream, not by a nanny; on iopub by clients alone."""
        client, nanny = a_peer(exchange, "c", CLIENT), a_peer(exchange, "n", NANNY)
        engine, iopub = a_peer(exchange, "e", ENGINE), m.Stream.IOPUB
        for line, stream in (
            (client, HUB), (nanny, TASK), (nanny, MULTIENGINE), (nanny, iopub), (engine, iopub),
        ):  # fmt: skip
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

    def test_last_words_count_although_their_connection_is_gone(self, exchange: Exchange) -> None:
        """Something was sent to a peer that had left, before its goodbye was read."""
        client = a_peer(exchange, "client", CLIENT)
        exchange.switchboard.disconnected(Connection(0, HUB, b"client"))
        assert client.say(HUB, m.Beat()) == [m.SayHello()], "it is to join again, if it goes on"
        assert client.say(HUB, m.Goodbye("done")) == []
        assert not list(exchange.switchboard.sessions)
        assert client.say(HUB, m.Goodbye("done")) == [m.SayHello()]

    def test_last_words_of_a_former_connection_do_not_count(self, exchange: Exchange) -> None:
        """The peer has come back since: it was for another hub, or another place."""
        client = a_peer(exchange, "client", CLIENT)
        exchange.switchboard.disconnected(Connection(0, HUB, b"client"))
        again = Line(exchange, "again")
        assert client.said is not None
        assert client.registered is not None
        token = client.registered.token
        again.register(CLIENT, "client", token=token, incarnation=client.said.incarnation)
        assert client.say(HUB, m.Goodbye("done")) == [m.SayHello()]
        assert list(exchange.switchboard.sessions)

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

"""Keys: over TCP, who speaks is who has the key."""

from __future__ import annotations

import itertools

import pytest

from ctrlhub.controller.config import HubConfig
from ctrlhub.controller.core.anteroom import ENTRY, MOST_ENTERING
from ctrlhub.controller.core.effects import Connection
from ctrlhub.wire import messages as m
from ctrlhub.wire.security import KeyPair
from tests.support.exchange import BULK, Exchange, Line
from tests.support.peerage import (
    CLIENT,
    ENGINE,
    HUB,
    NANNY,
    SPOKEN,
    TASK,
    Listening,
    exchange,
    refused,
)
from tests.support.peers import registration

__all__ = ["exchange"]


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

    def test_of_many_engines_a_few_enter_at_once(self, listening: Listening) -> None:
        """The next hears that its key is accepted when another is in, or does not come; clients hear at once."""
        waiting = [Line(listening, f"engine {n}", listening.enrolment(ENGINE)) for n in range(3)]
        entering = [listening.peer(ENGINE, f"entering {n}") for n in range(MOST_ENTERING)]
        keys = [KeyPair.generate().public for _ in waiting]
        for line, key in zip(waiting, keys, strict=True):
            assert line.say(HUB, m.Enrol(key)) == []
        listening.peer(CLIENT, "a client")

        assert entering[0].user is not None
        entering[0].register(ENGINE, entering[0].user)
        assert [line.heard() for line in waiting] == [[m.Enrolled(keys[0])], [], []]

        assert Line(listening, "again", listening.enrolment(ENGINE)).say(HUB, m.Enrol(keys[1])) == []
        listening.pass_time(ENTRY)
        assert [line.heard() for line in waiting] == [[], [], [m.Enrolled(keys[2])]]
        assert Line(listening, "again").heard() == [m.Enrolled(keys[1])]

    def test_engines_that_have_ended_keep_no_others_waiting(self, listening: Listening) -> None:
        """Of a thousand that came and were killed none has to be waited for: the hub hears of it when it tells them."""
        came = [Line(listening, f"engine {n}", listening.enrolment(ENGINE)) for n in range(4 * MOST_ENTERING)]
        for line in came:
            line.say(HUB, m.Enrol(KeyPair.generate().public))
        last, key = Line(listening, "last", listening.enrolment(ENGINE)), KeyPair.generate().public
        assert last.say(HUB, m.Enrol(key)) == []
        turns = 0
        while not (said := last.heard()):
            for line in came:
                if line.heard():
                    listening.switchboard.disconnected(Connection(0, HUB, line.address))
            assert listening.switchboard.next_deadline() == 0.0
            listening.pass_time(0.0)
            turns += 1
        assert said == [m.Enrolled(key)]
        assert turns == 4

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

    def test_keys_of_peers_that_do_not_register_keep_nobody_out(self) -> None:
        """However many handshakes they make: the oldest of them are forgotten."""
        listening = Listening()
        listening.keys._max_unused, listening.keys._max_used = 3, 3
        for n in range(20):
            listening.peer(CLIENT, f"idle {n}")
        last = listening.peer(CLIENT, "last")
        assert last.user is not None
        last.register(CLIENT, last.user)
        assert len(listening.keys._used) == 1

    def test_a_reborn_client_keeps_its_key(self, listening: Listening) -> None:
        """The former process's session ends; the key speaks for the new one."""
        line = listening.peer(CLIENT)
        assert line.user is not None
        line.register(CLIENT, line.user)
        line.register(CLIENT, line.user)
        assert line.say(HUB, m.Beat())[0] == m.Beat()

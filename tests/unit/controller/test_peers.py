"""The peers: beats, suspicion, loss, death and leaving."""

from __future__ import annotations

import pytest

from ctrlhub.controller.core.effects import Send
from ctrlhub.controller.probing import FEEL_EVERY
from ctrlhub.wire import messages as m
from tests.support.exchange import BULK, Exchange, Line, rows_of
from tests.support.peerage import (
    CLIENT,
    ENGINE,
    HUB,
    NANNY,
    TASK,
    a_peer,
    exchange,
)
from tests.support.peers import registration

__all__ = ["exchange"]


class TestLife:
    """Beats, suspicion, loss, death and leaving."""

    @pytest.mark.parametrize(("few", "every"), [(100, 1), (1, 2), (1 / 30, FEEL_EVERY)])
    @pytest.mark.parametrize("role", [ENGINE, CLIENT, NANNY])
    def test_a_beat_is_answered(
        self,
        exchange: Exchange,
        role: m.Role,
        few: float,
        every: int,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        """On the hub stream; another one is felt for, each in its turn, of many peers more seldom."""
        monkeypatch.setattr("ctrlhub.controller.probing.FEW", few)
        line = a_peer(exchange, "peer", role)
        others = {NANNY: 0, ENGINE: 2, CLIENT: 3}[role]
        sent: list[Send] = []
        keep = exchange._keep

        def keep_both(send: Send) -> None:
            sent.append(send)
            keep(send)

        monkeypatch.setattr(exchange, "_keep", keep_both)
        for number in range(max(1, others) * every):
            felt_for = others > 0 and number % every == 0
            assert line.say(HUB, m.Beat()) == [m.Beat()] + [m.Welcome("epoch")] * felt_for
        felt = {each.connection.stream for each in sent} - {HUB}
        assert len(felt) == others

    def test_nobody_comes_back_because_many_were_shut_out(
        self, exchange: Exchange, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Keys of nobody are not kept, and a key too many is refused."""
        monkeypatch.setattr("ctrlhub.controller.core.revoked.MAX_REVOKED_KEYS", 2)
        client = a_peer(exchange, "client", CLIENT)
        for name in ("one", "two", "three"):
            a_peer(exchange, name, CLIENT)
        assert client.call("query", "revoke", key="one").value is True
        assert client.call("query", "revoke", key=["one"]).code == "invalid_request"
        for key in ("x" * 900_000, "junk", "more junk"):
            assert client.call("query", "revoke", key=key).value is False
        assert client.call("query", "revoke", key="two").value is True
        assert client.call("query", "revoke", key="three").code == "limit_exceeded"
        for name in ("one", "two"):
            [answer] = Line(exchange, name).say(HUB, registration(CLIENT, name))
            assert isinstance(answer, m.Refused)

    def test_the_id_of_a_revoked_engine_is_free(self, exchange: Exchange) -> None:
        """Its key cannot come back for it."""
        client, engine = a_peer(exchange, "client", CLIENT), a_peer(exchange, "engine", ENGINE)
        client.call("query", "revoke", key="engine")
        following = a_peer(exchange, "next", ENGINE)
        assert engine.registered is not None
        assert following.registered is not None
        assert following.registered.engine_id == engine.registered.engine_id

    def test_a_revoked_peer_does_not_come_back(self, exchange: Exchange) -> None:
        """Where the kernel tells users apart and nobody asks for keys, too."""
        client, engine = a_peer(exchange, "client", CLIENT), a_peer(exchange, "engine", ENGINE)
        assert client.call("query", "revoke", key="engine").value is True
        [answer] = engine.say(HUB, registration(ENGINE, "engine"))
        assert isinstance(answer, m.Refused)
        assert answer.code == "authentication"
        assert exchange.switchboard.controller.engines == {}
        assert client.call("query", "revoke", key="nobody's").value is False

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

    def test_who_says_hello_on_iopub_hears_what_came_before(self, exchange: Exchange) -> None:
        """The number of the last event; those that follow arrive."""
        client = a_peer(exchange, "client", CLIENT)
        a_peer(exchange, "engine", ENGINE)
        assert client.registered is not None
        exchange.published.clear()
        hello = m.Hello(client.registered.token)
        assert client.say(m.Stream.IOPUB, hello) == [m.Welcome("epoch")]
        [answer] = exchange.published
        assert answer.connection.address == client.address
        assert answer.message == m.Subscribed(client.registered.events + 1)

    def test_events_go_to_clients_on_their_own_connections(self, exchange: Exchange) -> None:
        """The last on which each said hello, and nowhere else."""
        lines = [a_peer(exchange, name, CLIENT) for name in "abc"]
        assert lines[0].registered is not None
        Line(exchange, "elsewhere").say(m.Stream.IOPUB, m.Hello(lines[0].registered.token))
        lines[2].say(m.Stream.HUB, m.Goodbye())
        exchange.published.clear()
        a_peer(exchange, "engine", ENGINE)
        assert [publish.connection.address for publish in exchange.published] == [b"elsewhere", b"b"]
        assert {publish.connection.stream for publish in exchange.published} == {m.Stream.IOPUB}

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

    def test_a_nanny_does_not_vouch_for_the_engines_of_another(self, exchange: Exchange) -> None:
        """Not as long as theirs is here: a stopped engine is suspect whatever others say."""
        client, nanny = a_peer(exchange, "client", CLIENT), a_peer(exchange, "nanny", NANNY)
        strange = a_peer(exchange, "strange", NANNY)
        a_peer(exchange, "engine", ENGINE)
        nanny.say(HUB, m.Beat(("engine",)))
        exchange.events()
        for _ in range(3):
            exchange.pass_time(1.0)
            strange.say(HUB, m.Beat(("engine",)))
            nanny.say(HUB, m.Beat())
            client.say(HUB, m.Beat())
        assert exchange.events() == [("suspect", 0)]

    def test_a_death_without_a_successor(self, exchange: Exchange) -> None:
        """The engine is gone at once, with its cause; its last words are not for everybody."""
        a_peer(exchange, "client", CLIENT)
        engine, nanny = a_peer(exchange, "engine", ENGINE), a_peer(exchange, "nanny", NANNY)
        exchange.published.clear()
        nanny.say(HUB, m.EngineDied("engine", engine.said.incarnation, "signal SIGKILL", "last"))
        [publish] = exchange.published
        assert isinstance(publish.message, m.EngineEvent)
        assert publish.message.event == "unregistered"
        assert "SIGKILL" in publish.message.engine["cause"]
        assert "last" not in publish.message.engine["cause"]
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

    def test_a_death_told_by_a_strange_nanny(self, exchange: Exchange) -> None:
        """The engine's own, which would say so, is here; once that is gone another may know."""
        engine = a_peer(exchange, "engine", ENGINE)
        nanny, strange = a_peer(exchange, "nanny", NANNY), a_peer(exchange, "strange", NANNY)
        nanny.say(HUB, m.Beat(("engine",)))
        death = m.EngineDied("engine", engine.said.incarnation, "I say so")
        strange.say(HUB, death)
        assert list(exchange.switchboard.controller.engines) == [0]
        nanny.say(HUB, m.Goodbye())
        strange.say(HUB, death)
        assert list(exchange.switchboard.controller.engines) == []

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
            states = [e["state"] for e in exchange.switchboard._peers.events.described()]
            story.append((round(exchange.now - start), states))
        assert story == [(3, ["suspect"]), (10, []), (610, [])]
        assert round(exchange.now - start) == 610

    def test_shutting_down(self, exchange: Exchange) -> None:
        """Everyone is told, each in its words."""
        lines = [a_peer(exchange, r.value, r) for r in (ENGINE, CLIENT, NANNY)]
        every = exchange.switchboard.shut_down("enough")
        effects = [each for each in every if isinstance(each, Send)]
        said = {e.connection.address: e.message for e in effects}
        assert [said[line.address] for line in lines] == [
            m.Shutdown("enough"), m.Goodbye("enough"), m.Shutdown("enough")
        ]  # fmt: skip

"""Sessions: the same peer again, a new process in its place, and connections."""

from __future__ import annotations

import itertools
from random import Random
from typing import Any

import pytest

from ctrlhub.controller.core.effects import Connection, Outbox, Publish, Send
from ctrlhub.controller.core.sessions import Arrival, Sessions
from ctrlhub.wire.errors import LimitExceeded, RegistrationRefused
from ctrlhub.wire.limits import MAX_SESSION
from ctrlhub.wire.messages import Beat, Register, Role, Stream


def make(limit: int = 100) -> Sessions:
    """Return sessions with tokens that can be told."""
    tokens = itertools.count(1)
    return Sessions(lambda: b"token %d" % next(tokens), Random(1), limit)


def a_register(key: str = "k", role: Role = Role.ENGINE, life: bytes = b"1", **f: Any) -> Register:
    """Return a registration."""
    return Register(role.value, key, life, 7, "here", {}, **f)


def on(stream: Stream, address: bytes = b"a") -> Connection:
    """Return a connection."""
    return Connection(0, stream, address)


def test_a_new_peer_gets_number_and_token() -> None:
    """They differ from those of others, and lead to the session."""
    sessions = make()
    one, arrival = sessions.register(a_register("one"))
    two, _ = sessions.register(a_register("two"))
    assert arrival is Arrival.NEW
    assert len({one.number, two.number}) == len({one.token, two.token}) == 2
    assert sessions.of_number(one.number) is sessions.of_token(one.token) is sessions.of_key("one")
    assert len(sessions) == 2
    sessions.check()


def test_same_key_and_incarnation_is_the_same_peer() -> None:
    """It resumes: number, token and connections stay."""
    sessions = make()
    session, _ = sessions.register(a_register())
    sessions.bind(session, on(Stream.TASK))
    token = session.token
    assert sessions.register(a_register()) == (session, Arrival.RESUMED)
    assert session.token == token
    assert sessions.of_connection(on(Stream.TASK)) is session


def test_another_incarnation_is_reborn() -> None:
    """The number stays; the token is new, and no connection of the former process counts."""
    sessions = make()
    session, _ = sessions.register(a_register())
    sessions.bind(session, on(Stream.TASK))
    token = session.token
    again, arrival = sessions.register(a_register(life=b"2"))
    assert (again, arrival) == (session, Arrival.REBORN)
    assert session.incarnation == b"2"
    assert sessions.of_token(token) is None
    assert sessions.of_token(session.token) is session
    assert sessions.of_connection(on(Stream.TASK)) is None
    assert session.connections == {}
    sessions.check()


def test_a_key_belongs_to_one_role() -> None:
    """A client cannot take the place of an engine by its key."""
    sessions = make()
    session, _ = sessions.register(a_register())
    with pytest.raises(RegistrationRefused, match="engine"):
        sessions.register(a_register(role=Role.ADMIN))
    assert sessions.of_key("k") is session
    sessions.check()


def test_wished_numbers_are_granted_when_free() -> None:
    """A taken one, none, and an impossible one give another number."""
    sessions = make()
    wished, _ = sessions.register(a_register("a", session=42))
    assert wished.number == 42
    for key, wish in (("b", 42), ("c", -1), ("d", 0), ("e", MAX_SESSION + 1)):
        other, _ = sessions.register(a_register(key, session=wish))
        assert other.number != 42
        assert 0 < other.number <= MAX_SESSION
    sessions.check()


def test_numbers_go_round_and_skip_those_in_use() -> None:
    """After the highest number comes the lowest that is free."""
    sessions = make()
    sessions._next = MAX_SESSION
    numbers = [sessions.register(a_register(k, session=1 if k == "a" else -1))[0].number
               for k in "abc"]  # fmt: skip
    assert numbers == [1, MAX_SESSION, 2]


def test_there_is_a_limit() -> None:
    """One more than the limit is refused by name; those who are here may resume."""
    sessions = make(limit=2)
    sessions.register(a_register("a"))
    sessions.register(a_register("b"))
    with pytest.raises(LimitExceeded, match="max_sessions"):
        sessions.register(a_register("c"))
    assert sessions.register(a_register("a"))[1] is Arrival.RESUMED
    sessions.check()


def test_binding_replaces_the_connection_before() -> None:
    """A stream has one connection; another stream's stays."""
    sessions = make()
    session, _ = sessions.register(a_register())
    for connection in (on(Stream.TASK, b"a"), on(Stream.HUB, b"a"), on(Stream.TASK, b"b")):
        sessions.bind(session, connection)
        sessions.check()
    assert sessions.of_connection(on(Stream.TASK, b"a")) is None
    assert sessions.of_connection(on(Stream.TASK, b"b")) is session
    assert sessions.of_connection(on(Stream.HUB, b"a")) is session


def test_a_connection_speaks_for_one_session() -> None:
    """Bound to another session, it no longer speaks for the first."""
    sessions = make()
    one, _ = sessions.register(a_register("one"))
    two, _ = sessions.register(a_register("two"))
    sessions.bind(one, on(Stream.TASK))
    sessions.bind(two, on(Stream.TASK))
    assert one.connections == {}
    assert sessions.of_connection(on(Stream.TASK)) is two
    sessions.check()


def test_unbinding_forgets_the_connection_only() -> None:
    """The session stays; an unknown or former connection is no matter."""
    sessions = make()
    session, _ = sessions.register(a_register())
    sessions.bind(session, on(Stream.TASK, b"a"))
    sessions.bind(session, on(Stream.TASK, b"b"))
    sessions.unbind(on(Stream.TASK, b"a"))
    assert session.connections == {Stream.TASK: on(Stream.TASK, b"b")}
    sessions.unbind(on(Stream.TASK, b"b"))
    assert session.connections == {}
    assert sessions.of_number(session.number) is session
    sessions.check()


def test_an_ended_session_leaves_nothing() -> None:
    """Number, token, key and connections are unknown afterwards; ending twice is harmless."""
    sessions = make()
    session, _ = sessions.register(a_register(session=9))
    sessions.bind(session, on(Stream.HUB))
    sessions.end(session)
    sessions.end(session)
    assert session.ended
    assert sessions.of_number(9) is sessions.of_token(session.token) is sessions.of_key("k") is None
    assert sessions.of_connection(on(Stream.HUB)) is None
    assert len(sessions) == 0
    sessions.check()


def test_sending_needs_a_connection_of_the_stream() -> None:
    """Without one nothing leaves, and the caller is told."""
    sessions, outbox = make(), Outbox()
    session, _ = sessions.register(a_register())
    assert session.send(outbox, Stream.TASK, Beat()) is False
    session.publish(outbox, Beat())
    assert not outbox.effects
    sessions.bind(session, on(Stream.TASK))
    sessions.bind(session, on(Stream.IOPUB))
    assert session.send(outbox, Stream.TASK, Beat()) is True
    session.publish(outbox, Beat())
    assert outbox.take() == [
        Send(on(Stream.TASK), Beat()),
        Publish(on(Stream.IOPUB), Beat()),
    ]


def test_the_limit_counts_each_role_by_itself() -> None:
    """However many nannies register, clients are let in; who has gone makes room."""
    sessions = make(limit=1)
    nanny, _ = sessions.register(a_register("nanny", role=Role.NANNY))
    sessions.register(a_register("client", role=Role.ADMIN))
    with pytest.raises(LimitExceeded, match="nanny"):
        sessions.register(a_register("another", role=Role.NANNY))
    sessions.end(nanny)
    sessions.end(nanny)
    sessions.register(a_register("another", role=Role.NANNY))
    sessions.check()

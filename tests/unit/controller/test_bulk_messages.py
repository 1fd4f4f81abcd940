"""Bulk connections as the hub's machine sees them: who gets a pass, whose parts go where, what ends them."""

from __future__ import annotations

import itertools
from dataclasses import replace
from random import Random

import pytest

from ctrlhub.controller.core.effects import Connection, EndBulk, Outbox, Send
from ctrlhub.controller.core.sessions import Session, Sessions
from ctrlhub.controller.large import LargeMessages
from ctrlhub.wire import messages as m
from ctrlhub.wire.bulk import Pass
from ctrlhub.wire.codec import encode
from ctrlhub.wire.limits import WHOLE_BYTES
from ctrlhub.wire.parts import BULK_PATIENCE, Flows
from tests.support.peers import registration

TASK, COMMANDS = m.Stream.TASK, m.Stream.MULTIENGINE
LARGE = m.Results([(1, 0, 0, (0, 2), 0.0, 0.0, None)], frames=[b"p", bytes(3 * WHOLE_BYTES)])


class Hub:
    """The machine, and what came out of it."""

    def __init__(self) -> None:
        tokens = itertools.count(1)
        self.outbox = Outbox()
        self.sessions = Sessions(lambda: b"token %010d" % next(tokens), Random(1), 100)
        new = itertools.count(1)
        self.large = LargeMessages(
            self.sessions, self.outbox, lambda: (b"%08d" % next(new)).ljust(16, b"#")
        )
        self.large.offers_bulk = True

    def peer(self, key: str, *, asks: bool = True) -> Session:
        """Let a peer in that takes parts, with its two streams."""
        session, _ = self.sessions.register(registration(m.Role.ENGINE, key))
        session.parts = True
        for stream in (TASK, COMMANDS):
            self.sessions.bind(session, Connection(0, stream, f"{key} {stream}".encode()))
        self.large.pass_for(session, asked=asks)
        return session

    def said(self) -> list[m.Message]:
        """Take what is to be sent."""
        effects = self.outbox.take()
        return [effect.message for effect in effects if isinstance(effect, Send)]

    def ended(self) -> list[bytes]:
        """Take which connections are to be closed."""
        return [effect.ticket for effect in self.outbox.take() if isinstance(effect, EndBulk)]


@pytest.fixture
def hub() -> Hub:
    """A hub that takes bulk connections."""
    return Hub()


def ticket_of(session: Session) -> bytes:
    """Return the ticket that a session was given."""
    return Pass.of(session.bulk).ticket


def test_each_session_has_a_pass_of_its_own(hub: Hub) -> None:
    """The same for as long as it lasts; its ticket names it, and its secret is known by that alone."""
    one, other = hub.peer("one"), hub.peer("other")
    passes = [Pass.of(each.bulk) for each in (one, other)]
    assert len({p.secret for p in passes} | {p.ticket for p in passes}) == 4
    assert hub.large.pass_for(one, asked=True) == one.bulk
    assert hub.large.secret_of(passes[0].ticket) == passes[0].secret
    assert hub.large.session_of(passes[1].ticket) is other


def test_no_pass(hub: Hub) -> None:
    """For who does not ask, and of a hub that takes none; nor does a wrong ticket name anybody."""
    assert hub.peer("old", asks=False).bulk == b""
    session = hub.peer("new")
    ticket = ticket_of(session)
    assert hub.large.secret_of(ticket[:-1] + b"?") is None
    assert hub.large.secret_of(bytes(16)) is None
    hub.large.offers_bulk = False
    assert hub.large.pass_for(session, asked=True) == b""
    assert hub.large.secret_of(ticket) is None


def test_another_process_has_another_pass(hub: Hub) -> None:
    """Who had the session before can connect no more, and its connection is closed."""
    session = hub.peer("one")
    before = ticket_of(session)
    hub.large.bulk_is_there(before)
    session, _ = hub.sessions.register(registration(m.Role.ENGINE, "one"))
    session.parts = True
    hub.large.pass_for(session, asked=True)
    hub.sessions.bind(session, Connection(0, TASK, b"new"))
    assert ticket_of(session) != before
    assert hub.large.secret_of(before) is None
    assert hub.large.carrier_of(Connection(0, TASK, b"new")) is None
    hub.large.tick(0.0)
    assert hub.ended() == [before]


def test_the_hub_sends_over_it(hub: Hub) -> None:
    """It asks on the stream, and goes on beside it when the peer says so."""
    session = hub.peer("one")
    connection = session.connections[TASK]
    ready = hub.large.cut(connection, LARGE, encode(LARGE))
    assert ready is not None
    [first] = ready
    assert isinstance(first, m.Part)
    assert first.bulk
    assert hub.large.carrier_of(connection) is None
    hub.large.bulk_is_there(ticket_of(session))
    assert hub.large.carrier_of(connection) == ticket_of(session)
    hub.large.taken(connection, m.PartsTaken(first.transfer, 65536, True))
    parts = hub.said()
    assert parts
    assert all(isinstance(part, m.Part) and part.bulk and part.offset for part in parts)


def test_it_asks_nobody_who_has_none(hub: Hub) -> None:
    """Such a one gets everything on its streams."""
    session = hub.peer("old", asks=False)
    ready = hub.large.cut(session.connections[TASK], LARGE, encode(LARGE))
    assert ready is not None
    assert all(isinstance(part, m.Part) and not part.bulk for part in ready)


def test_what_breaks_begins_anew(hub: Hub) -> None:
    """On all streams of its peer, and on no other's."""
    one, other = hub.peer("one"), hub.peer("other")
    for session in (one, other):
        for connection in session.connections.values():
            hub.large.cut(connection, LARGE, encode(LARGE))
        hub.large.bulk_is_there(ticket_of(session))
    hub.large.bulk_is_gone(ticket_of(one))
    effects = [effect for effect in hub.outbox.take() if isinstance(effect, Send)]
    begun = [effect for effect in effects if effect.message.offset == 0]  # type: ignore[attr-defined]
    assert {effect.connection for effect in begun} == set(one.connections.values())
    assert not any(effect.message.bulk for effect in effects)  # type: ignore[attr-defined]
    assert hub.large.carrier_of(one.connections[TASK]) is None
    assert hub.large.carrier_of(other.connections[TASK]) == ticket_of(other)


def test_what_stands_still_is_ended(hub: Hub) -> None:
    """After a while; and what was on its way begins anew."""
    session = hub.peer("one")
    connection = session.connections[TASK]
    hub.large.bulk_is_there(ticket_of(session))
    hub.large.cut(connection, LARGE, encode(LARGE))
    hub.large.tick(100.0)
    hub.large.tick(100.0 + BULK_PATIENCE - 0.1)
    assert not hub.outbox.take()
    hub.large.tick(100.0 + BULK_PATIENCE)
    effects = hub.outbox.take()
    assert [e.ticket for e in effects if isinstance(e, EndBulk)] == [ticket_of(session)]
    assert any(isinstance(e, Send) and e.message.offset == 0 for e in effects)  # type: ignore[attr-defined]


def first_part() -> m.Part:
    """Return a peer's first part, which asks."""
    flows: Flows[str] = Flows()
    ready = flows.offer("", LARGE, encode(LARGE), bulk=True)
    assert ready is not None
    [part] = ready
    assert isinstance(part, m.Part)
    return part


def test_who_asks_is_answered_when_it_is_there(hub: Hub) -> None:
    """Not before: its peer is the one who knows whether it will be."""
    session = hub.peer("one")
    connection = session.connections[TASK]
    assert hub.large.take(session, first_part(), connection) is None
    assert not hub.said()
    hub.large.bulk_is_there(ticket_of(session))
    [answer] = hub.said()
    assert isinstance(answer, m.PartsTaken)
    assert answer.bulk
    hub.large.bulk_is_there(ticket_of(session))
    assert not hub.said(), "it is answered once"


@pytest.mark.parametrize("when", ["ready", "never"])
def test_who_asks_is_answered_at_once(hub: Hub, when: str) -> None:
    """Where it is there already, or there is to be none."""
    session = hub.peer("one", asks=when == "ready")
    if when == "ready":
        hub.large.bulk_is_there(ticket_of(session))
    hub.large.take(session, first_part(), session.connections[TASK])
    [answer] = hub.said()
    assert isinstance(answer, m.PartsTaken)
    assert answer.bulk == (when == "ready")


def test_one_of_a_peer_that_is_gone_is_ended(hub: Hub) -> None:
    """Its descriptor is not kept for longer than its session's connections."""
    session = hub.peer("one")
    ticket = ticket_of(session)
    hub.large.bulk_is_there(ticket)
    hub.large.tick(0.0)
    assert not hub.ended()
    hub.sessions.unbind_all(session)
    hub.large.tick(1.0)
    assert hub.ended() == [ticket]
    hub.large.tick(2.0)
    assert not hub.ended()


def test_a_part_of_nothing_is_ignored(hub: Hub) -> None:
    """It does no harm: it belongs to a transfer that began anew."""
    session = hub.peer("one")
    late = replace(first_part(), offset=70000, sizes=(), bulk=False)
    assert hub.large.take(session, late, session.connections[TASK]) is None
    assert not hub.said()

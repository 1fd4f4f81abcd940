"""Sessions: who the peers are, and over which connections they speak now.

A session outlives its connections. Routing ids belong to connections and mean nothing after a
reconnection; the token does, and a hello with it binds a new connection to the session.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import Enum
from random import Random
from typing import TYPE_CHECKING

from ctrlhub.controller.core.drains import Drain
from ctrlhub.controller.core.effects import Connection, Outbox, Publish, Send
from ctrlhub.controller.core.usage import Usage
from ctrlhub.wire.errors import LimitExceeded, RegistrationRefused
from ctrlhub.wire.limits import MAX_SESSION
from ctrlhub.wire.messages import Message, Register, Role, Stream

if TYPE_CHECKING:
    from ctrlhub.controller.core.engines import Engine
    from ctrlhub.controller.core.saved import SavedSession


class Arrival(Enum):
    """What a registration turned out to be."""

    NEW = "new"
    RESUMED = "resumed"
    REBORN = "reborn"


@dataclass(slots=True, eq=False)
class Session:
    """A peer, from its registration to its goodbye or its expiry.

    `nanny` is that of an engine, as far as it has said so; `vouches` are the keys that a nanny named last.

    Attributes
    ----------
    readable
        The hub has opened a segment of it.
    borrows
        It can open the hub's segments.
    lends
        It could, once: so it is on this host, and the hub opens what it refers to.
    node
        What shares memory with it, as it says; empty for nobody.
    parts
        It takes large messages in parts.
    bulk
        What lets its bulk connection in: see `ctrlhub.wire.bulk`; empty where there is to be none.
    returned
        It has had a session with another hub, the predecessor of this one.
    resources
        What an engine has.
    engine_set
        The set that an engine or a nanny is of; empty for none.
    elastic
        A nanny that starts further engines when it is told to.
    drain
        Why, and until when, an engine is to finish; None for one that is not.
    given
        It was sent to a segment of another engine's, and its request has not ended.
    retention
        How long (seconds) a session is kept after its client has left; 0 if it was never detached.
    first
        The first id of the requests that the client's present process made; what is below was made by
        another one, and is sent when it is asked for. 0 if there was no other.
    window
        The most bytes of results on their way to a client at a time, if it takes less than others; else 0.
    probed
        How often it was told something on a stream beside that of its beats, to see whether that stands.
    usage
        What an engine uses of its host; None before anybody has told.
    hurries
        A client that waits until what it submits is stored.
    departed
        The connection of the hub stream that cannot be sent to any more, until there is another.
    """

    number: int
    role: Role
    key: str
    token: bytes
    incarnation: bytes
    pid: int
    host: str
    versions: Mapping[str, str]
    supervised: bool
    connections: dict[Stream, Connection] = field(default_factory=dict)
    suspect: bool = False
    ended: bool = False
    last_command: int = 0
    engine: Engine | None = None
    nanny: Session | None = None
    vouches: frozenset[str] = frozenset()
    readable: bool = False
    borrows: bool = False
    lends: bool = False
    node: str = ""
    given: bool = False
    parts: bool = False
    bulk: bytes = field(default=b"", repr=False)
    returned: bool = False
    retention: float = 0.0
    first: int = 0
    window: int = 0
    probed: int = 0
    departed: Connection | None = None
    hurries: bool = False
    resources: Mapping[str, float] = field(default_factory=dict)
    engine_set: str = ""
    elastic: bool = False
    drain: Drain | None = None
    usage: Usage | None = None

    def send(self, outbox: Outbox, stream: Stream, message: Message) -> bool:
        """Put a message for this peer into the outbox.

        Returns False when the peer has no connection for the stream now: whoever needs the message
        delivered sends it again when the peer says hello.
        """
        connection = self.connections.get(stream)
        if connection is None:
            return False
        outbox.add(Send(connection, message, self.borrows))
        return True

    def publish(self, outbox: Outbox, message: Message) -> None:
        """Put a notification for this peer into the outbox."""
        connection = self.connections.get(Stream.IOPUB)
        if connection is not None:
            outbox.add(Publish(connection, message))


class Sessions:
    """All sessions, by number, token, key and connection.

    Parameters
    ----------
    new_token
        Makes an unguessable token; injected so that the machine stays deterministic in tests.
    random
        Where session numbers start, so that two lives of a hub seldom use the same.
    limit
        The most sessions of each role: engines and nannies, however many, keep no client out.
    """

    def __init__(self, new_token: Callable[[], bytes], random: Random, limit: int) -> None:
        self._new_token = new_token
        self._limit = limit
        self._next = random.randrange(1, MAX_SESSION // 2)
        self._by_number: dict[int, Session] = {}
        self._by_token: dict[bytes, Session] = {}
        self._count: Counter[Role] = Counter()
        self._by_key: dict[str, Session] = {}
        self._by_connection: dict[Connection, Session] = {}
        self._departed: dict[Connection, Session] = {}
        self._former: frozenset[int] = frozenset()

    def __len__(self) -> int:
        return len(self._by_number)

    def __iter__(self) -> Iterator[Session]:
        return iter(tuple(self._by_number.values()))

    @property
    def clients(self) -> int:
        """How many sessions are of clients."""
        others = self._count[Role.ENGINE] + self._count[Role.NANNY]
        return len(self._by_number) - others

    def of_connection(self, connection: Connection) -> Session | None:
        """Return the session that a connection is bound to."""
        return self._by_connection.get(connection)

    def of_departed(self, connection: Connection) -> Session | None:
        """Return the session whose connection of the hub stream this was, if it has no other since."""
        return self._departed.get(connection)

    def of_token(self, token: bytes) -> Session | None:
        """Return the session of a token."""
        return self._by_token.get(token)

    def of_key(self, key: str) -> Session | None:
        """Return the session of a peer's public key."""
        return self._by_key.get(key)

    def of_number(self, number: int) -> Session | None:
        """Return the session of a number."""
        return self._by_number.get(number)

    def register(self, message: Register) -> tuple[Session, Arrival]:
        """Return the session for a registration, and whether it is new.

        The same key and incarnation is the same peer again. The same key with another incarnation
        is a new process in its place (`REBORN`): the session keeps its number and gets a new token,
        no connection speaks for it any more, and the caller deals with what the former process had.

        Raises
        ------
        LimitExceeded
            There are too many sessions.
        RegistrationRefused
            A peer of another role has this key.
        """
        known = self._by_key.get(message.key)
        if known is None:
            return self._make(message), Arrival.NEW
        if known.role is not Role(message.role):
            raise RegistrationRefused(f"a peer of role {known.role.value!r} has this key")
        if known.incarnation == message.incarnation:
            known.versions = known.versions or message.versions
            return known, Arrival.RESUMED
        self._renew(known, message)
        known.resources, known.engine_set = dict(message.resources), message.engine_set
        return known, Arrival.REBORN

    def hand_over(self, session: Session, message: Register) -> None:
        """Give a session to another process, with a key and a role of its own."""
        del self._by_key[session.key]
        session.key = message.key
        self._count[session.role] -= 1
        session.role = Role(message.role)
        self._count[session.role] += 1
        self._by_key[session.key] = session
        self._renew(session, message)

    def _renew(self, session: Session, message: Register) -> None:
        """Let no connection speak for a session but those of the process that comes now."""
        self.unbind_all(session)
        del self._by_token[session.token]
        session.incarnation = message.incarnation
        session.token = self._new_token()
        session.pid, session.host, session.versions = message.pid, message.host, message.versions
        session.readable = session.borrows = session.lends = session.given = False
        session.bulk = b""
        session.window = 0
        session.node = message.node
        session.drain = None
        if session.usage is not None:
            session.usage.renew()
        self._by_token[session.token] = session

    def _make(self, message: Register) -> Session:
        role = Role(message.role)
        if self._count[role] >= self._limit:
            raise LimitExceeded(
                f"the hub has {self._limit} peers of role {role.value!r} already; stop some, or raise "
                "max_sessions"
            )
        session = Session(
            number=self._number(message.session),
            role=role,
            key=message.key,
            token=self._new_token(),
            incarnation=message.incarnation,
            pid=message.pid,
            host=message.host,
            versions=message.versions,
            supervised=message.supervised,
            node=message.node,
            returned=message.session >= 0,
            resources=dict(message.resources),
            engine_set=message.engine_set,
            elastic=message.elastic,
        )
        self._enter(session)
        return session

    def restore(self, saved: SavedSession, *, lives: bool) -> Session:
        """Take back a client of the hub before this one: it may come, or is one of those that ended."""
        self._former |= {saved.number}
        session = Session(
            saved.number, Role(saved.role), saved.key, self._new_token(), saved.incarnation, saved.pid,
            saved.host, {}, False, ended=not lives, returned=True,
        )  # fmt: skip
        if lives:
            self._enter(session)
        return session

    def _enter(self, session: Session) -> None:
        self._count[session.role] += 1
        self._by_number[session.number] = session
        self._by_token[session.token] = session
        self._by_key[session.key] = session

    def _number(self, wish: int) -> int:
        if 0 < wish <= MAX_SESSION and wish not in self._by_number:
            return wish
        while self._next in self._by_number or self._next in self._former:
            self._next = self._next % MAX_SESSION + 1
        number = self._next
        self._next = self._next % MAX_SESSION + 1
        return number

    def bind(self, session: Session, connection: Connection) -> None:
        """Let a connection speak for a session, instead of the one before it on that stream."""
        self.unbind(connection)
        if session.departed is not None and connection.stream is Stream.HUB:
            self._forget_departed(session)
        former = session.connections.get(connection.stream)
        if former is not None:
            self._by_connection.pop(former, None)
        session.connections[connection.stream] = connection
        self._by_connection[connection] = session

    def unbind(self, connection: Connection) -> None:
        """Forget a connection; the session stays."""
        session = self._by_connection.pop(connection, None)
        if session is not None and session.connections.get(connection.stream) == connection:
            del session.connections[connection.stream]

    def depart(self, connection: Connection) -> None:
        """Forget a connection that cannot be sent to; its peer's last words may be still to be read."""
        session = self._by_connection.get(connection)
        self.unbind(connection)
        if session is not None and connection.stream is Stream.HUB:
            self._forget_departed(session)
            session.departed = connection
            self._departed[connection] = session

    def _forget_departed(self, session: Session) -> None:
        if session.departed is not None:
            self._departed.pop(session.departed, None)
            session.departed = None

    def unbind_all(self, session: Session) -> None:
        """Forget all connections of a session."""
        self._forget_departed(session)
        for connection in session.connections.values():
            self._by_connection.pop(connection, None)
        session.connections.clear()

    def end(self, session: Session) -> None:
        """Forget a session and its connections."""
        self.unbind_all(session)
        session.ended = True
        if self._by_number.pop(session.number, None) is not None:
            self._count[session.role] -= 1
        self._by_token.pop(session.token, None)
        self._by_key.pop(session.key, None)

    def check(self) -> None:
        """Assert that the indexes agree with the sessions."""
        assert all(self._by_number[s.number] is s for s in self)
        assert +self._count == Counter(s.role for s in self)
        assert self._by_token == {s.token: s for s in self}
        assert self._by_key == {s.key: s for s in self}
        assert not any(s.ended for s in self)
        bound = {c: s for s in self for c in s.connections.values()}
        assert bound == self._by_connection
        departed = {s.departed: s for s in self if s.departed is not None}
        assert departed == self._departed
        assert not any(Stream.HUB in s.connections for s in departed.values())

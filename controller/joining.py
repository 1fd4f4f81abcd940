"""Joining: how a peer's key is enrolled, its session registered, its connections bound.

No I/O of its own: whether a peer shares memory with the hub is asked of the `Borrower`.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence

from ctrlhub.controller.attachments import Attachments
from ctrlhub.controller.config import HubConfig
from ctrlhub.controller.core.anteroom import Anteroom
from ctrlhub.controller.core.borrower import Borrower
from ctrlhub.controller.core.effects import Connection, Outbox, Send
from ctrlhub.controller.core.sessions import Arrival, Session
from ctrlhub.controller.exposed import Exposed
from ctrlhub.controller.large import LargeMessages
from ctrlhub.controller.peers import Peers
from ctrlhub.controller.permissions import BOTH_ENDS, BULK, CLIENTS, ENGINES, NANNIES, Origin
from ctrlhub.wire import messages as m
from ctrlhub.wire.errors import (
    AuthenticationError,
    CtrlHubError,
    InvalidRequest,
    LimitExceeded,
    ProtocolMismatch,
    VersionMismatch,
)
from ctrlhub.wire.ids import counter_of
from ctrlhub.wire.limits import MAX_TEXT
from ctrlhub.wire.options import checked_resources
from ctrlhub.wire.security import KeyRegistry
from ctrlhub.wire.versions import SERIALIZATION

log = logging.getLogger(__name__)

MAX_NAME = 256
"""The longest key, host or incarnation (characters, bytes) that is kept of a peer."""

MAX_VERSIONS = 32
"""The most versions that a peer may name."""

_HELLO = {**dict.fromkeys(BULK, BOTH_ENDS), m.Stream.IOPUB: CLIENTS}


class Joining:
    """Takes in what peers say to get in.

    Parameters
    ----------
    config
        The hub's options.
    peers
        Who is here already.
    outbox
        Where effects go.
    exposed
        The hub's interfaces; may be filled later.
    attachments
        Who may have a session of another process.
    large
        Who gives passes for bulk connections.
    epoch, versions, keys, borrowing
        As for :class:`~ctrlhub.controller.switchboard.Switchboard`.

    Attributes
    ----------
    why_full : callable
        Says why no further peer can be let in; empty where one can.
    """

    def __init__(
        self,
        config: HubConfig,
        peers: Peers,
        outbox: Outbox,
        exposed: Exposed,
        attachments: Attachments,
        *,
        epoch: str,
        versions: Mapping[str, str],
        keys: KeyRegistry | None,
        borrowing: Borrower | None,
        large: LargeMessages,
    ) -> None:
        self._large = large
        self._config = config
        self._peers = peers
        self._outbox = outbox
        self._exposed = exposed
        self._attachments = attachments
        self._epoch = epoch
        self._versions = versions
        self._keys = keys
        self._borrowing = borrowing
        self._anteroom: Anteroom[Connection] = Anteroom()
        self._ends: dict[str, int] = {}
        self.why_full: Callable[[], str] = str

    def enrol(self, origin: Origin, message: m.Enrol, now: float) -> None:
        """Accept a key of a peer's own making; where many engines come at once, they hear so in turn."""
        if (
            origin.user is None
            or self._keys is None
            or origin.connection.stream is not m.Stream.HUB
        ):
            raise AuthenticationError("keys are enrolled over TCP, on the hub stream")
        role = self._keys.enrol(origin.user, message.public_key)
        if role is m.Role.ENGINE:
            self._tell(self._anteroom.come(message.public_key, origin.connection, now))
        else:
            self._tell([(message.public_key, origin.connection)])

    def tick(self, now: float) -> None:
        """Let those in whose turn it is, though others have not come."""
        self._tell(self._anteroom.look(now))

    def next_deadline(self) -> float | None:
        """Say when `tick` should be called."""
        return self._anteroom.due

    def disconnected(self, connection: Connection) -> None:
        """Wait no longer for one that could not be told that it may enter."""
        self._anteroom.gone(connection)

    def _tell(self, accepted: Iterable[tuple[str, Connection]]) -> None:
        for key, connection in accepted:
            self._outbox.add(Send(connection, m.Enrolled(key)))

    def may_speak(self, user: str) -> bool:
        """Tell whether messages with this key count; asked at each, since keys are revoked."""
        keys = self._keys
        return keys is not None and keys.is_live(user) and not keys.is_enrolment(user)

    # ------------------------------------------------------------ register

    def register(self, origin: Origin, message: m.Register, now: float) -> None:
        """Give a peer a session: its own again, or a new one."""
        if origin.user is not None:
            self._anteroom.entered(origin.user)
            self.tick(now)
        try:
            self._register(origin, message, now)
            if self._keys is not None and origin.user is not None:
                self._keys.use(origin.user)
        except CtrlHubError:
            # Keys in use are counted, and this one's peer is not to come back with it.
            user, sessions = origin.user, self._peers.sessions
            if self._keys is not None and user is not None and sessions.of_key(user) is None:
                self._keys.forget(user)
            raise

    def _register(self, origin: Origin, message: m.Register, now: float) -> None:
        if origin.connection.stream is not m.Stream.HUB:
            raise AuthenticationError("peers register on the hub stream")
        role = self._role(origin, message)
        _check_sizes(message)
        if self._peers.is_revoked(message.key):
            raise AuthenticationError("this key was revoked: start the peer anew")
        sessions = self._peers.sessions
        if message.token:
            known = sessions.of_token(message.token)
            if known is None or known.key != message.key:
                refused = m.Refused("unknown_session", "register anew")
                self._outbox.add(Send(origin.connection, refused))
                return
        self._compare_versions(role, message)
        if sessions.of_key(message.key) is None and (why := self.why_full()):
            raise LimitExceeded(why)
        if role.is_client and message.attach and sessions.of_key(message.key) is None:
            self._attachments.attach(message, now)
        self._make_room(message, now)
        session, arrival = sessions.register(message)
        if arrival is Arrival.REBORN:
            self._peers.replaced(session)
        session.parts = message.parts
        self._peers.arrived(session, origin.connection, now)
        if role is m.Role.ENGINE:
            self._peers.draining.arrives(session, message)
        if role is m.Role.ENGINE and session.engine is None:
            try:
                self._peers.register_engine(session, message.engine_id, exact=message.exact_id)
            except CtrlHubError:
                self._peers.forget(session, now)
                raise
        if role in BOTH_ENDS:
            if arrival is Arrival.NEW:
                self._warn(session)
            if session.versions:
                self._ends[role.noun] = session.number
        self._large.pass_for(session, asked=message.bulk and origin.user is not None)
        self._answer(session, self._segment_for(session, message), arrival is Arrival.RESUMED)

    def _make_room(self, message: m.Register, now: float) -> None:
        """End the session of a client's former process: its requests are not the new one's."""
        known = self._peers.sessions.of_key(message.key)
        if (
            known is not None
            and known.role.is_client
            and m.Role(message.role).is_client
            and known.incarnation != message.incarnation
        ):
            self._peers.forget(known, now)

    def _role(self, origin: Origin, message: m.Register) -> m.Role:
        try:
            role = m.Role(message.role)
        except ValueError:
            raise AuthenticationError(f"unknown role {message.role[:40]!r}") from None
        if origin.user is None:
            return role
        enrolled = self._keys.role_of(origin.user) if self._keys is not None else None
        allowed = ENGINES | NANNIES if enrolled is m.Role.ENGINE else {enrolled}
        if origin.user != message.key or role not in allowed:
            raise AuthenticationError(f"this key may not register as {role.value!r} for that key")
        return role

    def _compare_versions(self, role: m.Role, message: m.Register) -> None:
        """Refuse a peer whose objects could not be read at the other end."""
        theirs, ours = message.versions, self._versions
        if theirs.get("protocol", ours["protocol"]) != ours["protocol"]:
            raise ProtocolMismatch(
                f"the peer speaks protocol {theirs['protocol'][:40]}, the hub {ours['protocol']}"
            )
        if role is m.Role.NANNY or (role.is_client and "python" not in theirs):
            return  # in another language than Python there are no functions to send
        mine, his = (".".join(each.get("python", "?").split(".")[:2]) for each in (ours, theirs))
        if mine != his:
            raise VersionMismatch(
                f"this {role.noun} runs Python {his}, the hub {mine}: functions cannot travel between "
                "them. Use the same minor version of Python on all sides.\n"
                + _table(("hub", ours), (role.noun, theirs))
            )

    def _warn(self, session: Session) -> None:
        """Say in the log where a peer pickles with something else than those it works with."""
        ours, other = session.versions, self._of_the_other_end(session)
        if other is None or all(ours.get(n) == other.versions.get(n) for n in SERIALIZATION):
            return
        log.warning(
            "%s %d and %s %d may not be able to read each other's objects: install the "
            "same versions on both\n%s",
            session.role.noun, session.number, other.role.noun, other.number,
            _table((session.role.noun, ours), (other.role.noun, other.versions)),
        )  # fmt: skip

    def _of_the_other_end(self, session: Session) -> Session | None:
        """Return one of those it works with; all are looked through only where the one known has left.

        One whose versions are not known has not come back to a restarted hub yet.
        """
        sessions, ends = self._peers.sessions, self._ends
        for noun in [each for each in ends if each != session.role.noun]:
            known = sessions.of_number(ends[noun])
            if known is not None:
                return known
            for other in sessions:
                if other.versions and other.role in BOTH_ENDS and other.role.noun == noun:
                    ends[noun] = other.number
                    return other
            del ends[noun]
        return None

    def _segment_for(self, session: Session, message: m.Register) -> Sequence[int]:
        """Return the segment to prove itself by, for a peer that the hub can borrow from."""
        borrowing = self._borrowing
        if borrowing is None or session.pid != message.pid:
            return ()
        if not borrowing.can_read(message.pid, message.segment, message.incarnation):
            return ()
        session.readable = True
        return borrowing.own

    def _answer(self, session: Session, segment: Sequence[int], resumed: bool) -> None:
        config, is_client = self._config, session.role.is_client
        session.send(
            self._outbox,
            m.Stream.HUB,
            m.Registered(
                session=session.number,
                token=session.token,
                engine_id=session.engine.id if session.engine else -1,
                epoch=self._epoch,
                resumed=resumed,
                beat=config.beat,
                suspect=config.suspect,
                lease=self._peers.clients.kept_for(session) if is_client else config.hub_lease,
                engines=self._peers.events.described() if is_client else (),
                events=self._peers.events.count,
                segment=segment,
                parts=True,
                max_outstanding=config.max_outstanding,
                first=counter_of(session.first) or 1,
                durable=config.is_durable,
                bulk=session.bulk,
                role=session.role.value,
            ),
        )

    # ------------------------------------------------------------ hello

    def hello(self, origin: Origin, message: m.Hello, now: float) -> None:
        """Bind a connection to the session whose token it brings."""
        connection = origin.connection
        session = self._peers.sessions.of_token(message.token)
        if (
            session is None
            or (origin.user is not None and origin.user != session.key)
            or session.role not in _HELLO.get(connection.stream, frozenset())
            or self._peers.is_away(session)
        ):
            self._outbox.add(Send(connection, m.SayHello()))
            return
        self._peers.bind(session, connection, now)
        self._outbox.add(Send(connection, m.Welcome(self._epoch)))
        if connection.stream in BULK:
            self._prove(session, message.proof)
        self._exposed.bound(session, connection.stream, message.held, now)

    def _prove(self, session: Session, proof: bytes) -> None:
        """Share memory with a peer that has read the hub's, and no more with one that no longer can.

        What such a one has sent before may still be on its way: the hub goes on to borrow from it.
        """
        borrowing = self._borrowing
        proven = borrowing is not None and borrowing.is_proven(proof)
        session.borrows = proven and session.readable
        session.lends = session.lends or session.borrows


def _table(one: tuple[str, Mapping[str, str]], other: tuple[str, Mapping[str, str]]) -> str:
    """Show the versions of two sides beside each other."""
    (here, ours), (there, theirs) = one, other
    return "\n".join(
        f"  {name:12} {here} {ours.get(name, '-'):12} {there} {theirs.get(name, '-')}"
        for name in sorted(ours.keys() | theirs.keys())
    )


def _check_sizes(message: m.Register) -> None:
    """Refuse what would be kept for the life of the session and is larger than it needs to be."""
    if (
        max(map(len, (message.key, message.host, message.incarnation, message.node, message.engine_set))) > MAX_NAME
        or len(message.versions) > MAX_VERSIONS
        or sum(len(name) + len(text) for name, text in message.versions.items()) > MAX_TEXT
    ):
        raise InvalidRequest("register: a name is too long, or there are too many versions")
    if not message.key:
        raise InvalidRequest("register: a peer needs a key")
    checked_resources(dict(message.resources))

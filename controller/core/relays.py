"""Relays: large data for several engines of another host crosses the network once.

The first of them, the *carrier*, is sent the bytes, and asked to put them into a segment of its own,
which it lends for as long as it holds the request. The others wait until it has told where that is,
and are then sent references. Whatever becomes of the carrier meanwhile, the next one takes its place;
and an engine that cannot open what another one lends is sent bytes from then on.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from ctrlhub.controller.core.effects import Outbox
from ctrlhub.controller.core.sessions import Session
from ctrlhub.wire.messages import Buffer, Lent, Role, RunCommand, Stream
from ctrlhub.wire.segments import Carried, Segment, SegmentRef

Key = tuple[str, tuple[int, ...]]
"""A node, and the segments (stamps) that are carried there."""


class _Relay:
    __slots__ = ("carried", "carrier", "lent", "request", "waiting")

    def __init__(self, carrier: Session, message: RunCommand) -> None:
        self.carrier = carrier
        self.request = message.id
        self.carried = {i: f.nbytes for i, f in enumerate(message.frames) if type(f) is Segment}
        self.lent: dict[int, SegmentRef] = {}  # by frame
        self.waiting: list[tuple[Session, RunCommand]] = []


class Relays:
    """What is on its way to nodes with several engines.

    Parameters
    ----------
    outbox
        Where messages go.
    sessions
        All peers.
    """

    def __init__(self, outbox: Outbox, sessions: Iterable[Session]) -> None:
        self._outbox = outbox
        self._sessions = sessions
        self._relays: dict[Key, _Relay] = {}

    def __len__(self) -> int:
        return len(self._relays)

    def send(self, session: Session, message: RunCommand) -> None:
        """Send a command to an engine, now or once a neighbour of it has the data."""
        key = self._key(session, message)
        relay = self._relays.get(key) if key is not None else None
        if key is None:
            session.send(self._outbox, Stream.MULTIENGINE, message)
        elif relay is None:
            self._relays[key] = _Relay(session, message)
            frames = [Carried(f) if type(f) is Segment else f for f in message.frames]
            session.send(self._outbox, Stream.MULTIENGINE, replace(message, frames=frames))
        elif relay.lent:
            self._lend(relay, session, message)
        else:
            relay.waiting.append((session, message))

    def _key(self, session: Session, message: RunCommand) -> Key | None:
        if session.borrows or not session.node:
            return None
        stamps = tuple(frame.stamp for frame in message.frames if type(frame) is Segment)
        if not stamps:  # as of nearly all: the others need not be looked through
            return None
        alone = not any(
            other is not session and other.node == session.node and other.role is Role.ENGINE
            for other in self._sessions
        )
        return None if alone else (session.node, stamps)

    def _lend(self, relay: _Relay, session: Session, message: RunCommand) -> None:
        frames: list[Buffer] = list(message.frames)
        for index, ref in relay.lent.items():
            frames[index] = ref
        session.given = True
        session.send(self._outbox, Stream.MULTIENGINE, replace(message, frames=frames))

    def lent(self, session: Session, message: Lent) -> None:
        """Take note of where a carrier has put what it was sent."""
        key = self._carried_by(session, message.request)
        if key is None or self._relays[key].lent:
            return
        relay = self._relays[key]
        lent = dict(_refs(message, session.pid))
        if {frame: ref.nbytes for frame, ref in lent.items()} != relay.carried:
            session.node = ""  # it has no room for segments: another one is asked
            self._dissolve([key])
            return
        relay.lent = lent
        waiting, relay.waiting = relay.waiting, []
        for other, command in waiting:
            self._lend(relay, other, command)

    def ended(self, session: Session, request: int) -> None:
        """Take note that a request has ended: its engine lends no more what came with it."""
        session.given = False
        key = self._carried_by(session, request)
        if key is not None:
            self._dissolve([key])

    def left(self, session: Session) -> None:
        """Take note that an engine has gone, or come back: what was on its way to it is lost."""
        if session.given:
            session.node = ""  # it may have been unable to open what it was sent to
        for relay in self._relays.values():
            relay.waiting = [each for each in relay.waiting if each[0] is not session]
        self._dissolve(key for key, relay in self._relays.items() if relay.carrier is session)

    def _carried_by(self, session: Session, request: int) -> Key | None:
        for key, relay in self._relays.items():
            if relay.carrier is session and relay.request == request:
                return key
        return None

    def _dissolve(self, keys: Iterable[Key]) -> None:
        again = [each for key in list(keys) for each in self._relays.pop(key).waiting]
        for session, message in again:
            self.send(session, message)


def have_one_copy(sessions: Sequence[Session]) -> bool:
    """Tell whether several of these engines could read one copy: with the hub, or on their own node."""
    nodes = [session.node for session in sessions if session.node]
    return sum(session.borrows for session in sessions) > 1 or len(set(nodes)) < len(nodes)


def _refs(message: Lent, pid: int) -> Iterator[tuple[int, SegmentRef]]:
    numbers = iter(message.segments)
    for frame, descriptor, stamp, nbytes in zip(numbers, numbers, numbers, numbers, strict=False):
        yield frame, SegmentRef(descriptor, stamp, nbytes, pid)

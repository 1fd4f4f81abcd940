"""Deliveries: every result on its way to a client, kept until the client has it.

A client that does not read gets at most a window of results; the rest waits in its record here. Once
that is much, too, the client is *behind*: nothing more is to be made for it until it has caught up.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any, TypeAlias

from ctrlhub.controller.core.effects import Outbox
from ctrlhub.controller.core.sessions import Session
from ctrlhub.wire.codec import FrameList, size_of, size_of_extras
from ctrlhub.wire.ids import Ranges, request_id, select, session_of
from ctrlhub.wire.limits import BATCH_BYTES, BATCH_ROWS, INLINE_BYTES, MAX_FRAMES
from ctrlhub.wire.messages import Completed, CompletedRow, Payload, Stream

Outcome: TypeAlias = tuple[int, int, Payload, int, float, float, Any]
"""A `CompletedRow` whose payload is in memory instead of referred to."""

WINDOW_ROWS = 32_768
"""The most results sent to a client that it has not acknowledged."""

WINDOW_BYTES = 256 * 1024 * 1024
"""The most bytes of results, with their output, sent to a client that it has not acknowledged."""

BEHIND_BYTES = 2 * WINDOW_BYTES
"""With more bytes of results that it has not acknowledged a client is behind."""

BEHIND = 8
"""And with so many times what may be on its way, where that is less."""


def weight(outcome: Outcome) -> int:
    """Return what a result counts in the window."""
    extras = outcome[6]
    return size_of(outcome[2]) + (0 if extras is None else size_of_extras(extras))


class _Client:
    __slots__ = (
        "asked", "backlog", "counted", "held", "held_bytes", "sent", "session", "unsent", "waiting", "weight",
    )  # fmt: skip

    def __init__(self, session: Session) -> None:
        self.session = session
        self.sent: dict[int, Outcome] = {}
        self.unsent: deque[Outcome] = deque()
        self.waiting: dict[int, Outcome] = {}  # those in `unsent`, by id
        self.weight = 0
        self.backlog = self.counted = 0  # bytes of the first of `unsent`, and how many these are
        # Of requests that another process has made, and this one has not asked for, by id:
        self.held: dict[int, Outcome] = {}
        self.held_bytes = 0
        self.asked: set[int] = set()  # those that it has asked for

    def hold_all(self) -> None:
        """Hold everything back: another process is there now, which may ask for it."""
        number = self.session.number
        everything = (*self.held.values(), *self.sent.values(), *self.unsent)
        # Of requests of others that the former process has followed it had a copy.
        self.held = {o[0]: o for o in everything if session_of(o[0]) == number}
        self.held_bytes = sum(map(weight, self.held.values()))
        self.sent.clear()
        self.unsent.clear()
        self.waiting.clear()
        self.asked.clear()
        self.weight = self.backlog = self.counted = 0

    def hold_strange(self) -> None:
        """Hold back what has come and was not asked for."""
        unsent, first, new = self.unsent, self.session.first, []
        lowest = request_id(self.session.number, 0)
        for _ in range(len(unsent) - self.counted):
            outcome = unsent.pop()
            if not lowest <= outcome[0] < first or outcome[0] in self.asked:
                new.append(outcome)
            else:
                self.held[outcome[0]] = self.waiting.pop(outcome[0])
                self.held_bytes += weight(outcome)
        unsent.extend(reversed(new))

    def take_held(self, number: int) -> Outcome | None:
        """Take out what was held back."""
        outcome = self.held.pop(number, None)
        if outcome is not None:
            self.held_bytes -= weight(outcome)
        return outcome

    def count(self) -> None:
        """Count what waits behind the window: nothing is, mostly."""
        new = len(self.unsent) - self.counted
        self.backlog += sum(map(weight, islice(reversed(self.unsent), new)))
        self.counted += new

    @property
    def window(self) -> int:
        """How many bytes may be on their way."""
        return min(self.session.window or WINDOW_BYTES, WINDOW_BYTES)

    def batch(self, events: int) -> Completed:
        """Move results from `unsent` to `sent`, as many as one message may hold."""
        window = self.window
        unsent, sent, before = self.unsent, self.sent, self.weight
        rows: list[CompletedRow] = []
        frames = FrameList()
        inline = 0
        while unsent and len(rows) < BATCH_ROWS and inline < BATCH_BYTES:
            outcome = unsent.popleft()
            payload = outcome[2]
            if outcome[6] is not None:
                inline += size_of_extras(outcome[6])
            if type(payload) is bytes and len(payload) <= INLINE_BYTES:
                inline += len(payload)
                sent[outcome[0]] = outcome
                rows.append(outcome)
                continue
            bulk = size_of(payload)
            count = 1 if isinstance(payload, bytes) else len(payload)
            if rows and (
                self.weight + inline + bulk > window or len(frames.frames) + count > MAX_FRAMES
            ):
                unsent.appendleft(outcome)
                if outcome[6] is not None:
                    inline -= size_of_extras(outcome[6])
                break
            self.weight += bulk
            sent[outcome[0]] = outcome
            rows.append((*outcome[:2], frames.add(payload), *outcome[3:]))
        self.weight += inline
        if self.counted > len(rows):
            self.backlog -= self.weight - before
            self.counted -= len(rows)
        else:
            self.backlog = self.counted = 0
        forget = self.waiting.pop
        for row in rows:
            forget(row[0])
        return Completed(rows, events, frames.frames)


class Deliveries:
    """The results of one interface that clients have not acknowledged.

    Parameters
    ----------
    stream
        The interface's stream.
    outbox
        Where effects go.
    events
        Returns the number of the last engine event.

    Attributes
    ----------
    behind : dict
        The clients that are.
    """

    def __init__(self, stream: Stream, outbox: Outbox, events: Callable[[], int]) -> None:
        self._stream = stream
        self._outbox = outbox
        self._events = events
        self._clients: dict[int, _Client] = {}
        self._ready: dict[int, _Client] = {}
        self.behind: dict[Session, None] = {}

    def __len__(self) -> int:
        return sum(map(self._count, self._clients.values()))

    @staticmethod
    def _count(client: _Client) -> int:
        return len(client.sent) + len(client.unsent) + len(client.held)

    def count(self, session: Session) -> int:
        """Return how many results a client has not acknowledged."""
        client = self._clients.get(session.number)
        return 0 if client is None else self._count(client)

    def add(self, session: Session, outcome: Outcome) -> None:
        """Take a result for a client; it leaves with the next `flush`. A second one is none."""
        client = self._clients.get(session.number)
        if client is None:
            client = self._clients[session.number] = _Client(session)
        if outcome[0] in client.waiting or outcome[0] in client.sent:
            return
        client.waiting[outcome[0]] = outcome
        client.unsent.append(outcome)
        self._ready[session.number] = client

    def repeat(self, session: Session, outcome: Outcome) -> None:
        """Send a result that the client may have already, and asks for once more."""
        client = self._clients.get(session.number)
        if client is not None:
            former = client.sent.pop(outcome[0], None)
            if former is not None:
                client.weight -= weight(former)
            client.take_held(outcome[0])
        self.add(session, outcome)
        if session.first:
            self._clients[session.number].asked.add(outcome[0])

    def ask(self, session: Session, number: int) -> None:
        """Send a client a result once there is one, although another process has made the request."""
        client = self._clients.setdefault(session.number, _Client(session))
        client.asked.add(number)

    def hold(self, session: Session) -> None:
        """Send a client nothing that it does not ask for, of all that there is: it is another process."""
        client = self._clients.get(session.number)
        if client is None:
            return
        client.hold_all()
        self._ready.pop(session.number, None)
        if not client.held:
            del self._clients[session.number]

    def find(self, session: Session, number: int) -> Outcome | None:
        """Return a result that is on its way to a client."""
        client = self._clients.get(session.number)
        if client is None:
            return None
        return client.sent.get(number) or client.waiting.get(number) or client.held.get(number)

    def outcomes(self) -> Iterator[Outcome]:
        """Yield every result on its way."""
        for client in self._clients.values():
            yield from client.sent.values()
            yield from client.unsent
            yield from client.held.values()

    def received(self, session: Session, ranges: Ranges) -> list[Outcome]:
        """Let go of what a client has; return it."""
        client = self._clients.get(session.number)
        if client is None:
            return []
        pop = client.sent.pop
        outcomes = [pop(number) for number in select(ranges, client.sent)]
        for outcome in outcomes:
            payload = outcome[2]
            client.weight -= len(payload) if type(payload) is bytes else size_of(payload)
            if outcome[6] is not None:
                client.weight -= size_of_extras(outcome[6])
        if session.first:
            numbers = select(ranges, client.held)
            outcomes += [o for n in numbers if (o := client.take_held(n)) is not None]
            client.asked.difference_update([outcome[0] for outcome in outcomes])
        if client.unsent:
            self._ready[session.number] = client
            return outcomes
        if self.behind:
            self.behind.pop(session, None)
        if not client.sent and not client.held and not client.asked:
            del self._clients[session.number]
            self._ready.pop(session.number, None)
        return outcomes

    def send_again(self, session: Session) -> None:
        """Begin anew with everything that a client has not acknowledged: it reconnected."""
        client = self._clients.get(session.number)
        if client is None:
            return
        client.unsent.extendleft(reversed(client.sent.values()))
        client.waiting.update(client.sent)
        client.counted += len(client.sent)
        client.backlog += client.weight
        client.sent.clear()
        client.weight = 0
        self._ready[session.number] = client

    def drop(self, session: Session) -> list[Outcome]:
        """Let go of everything of a session that ended; return it."""
        self._ready.pop(session.number, None)
        self.behind.pop(session, None)
        client = self._clients.pop(session.number, None)
        if client is None:
            return []
        return [*client.sent.values(), *client.unsent, *client.held.values()]

    def flush(self) -> None:
        """Send what is ready, as few messages as the limits allow, within each client's window."""
        if not self._ready:
            return
        ready, self._ready = self._ready, {}
        for client in ready.values():
            if client.session.first:
                client.hold_strange()
            if self._stream in client.session.connections:
                self._send(client)
            if client.unsent or client.held:
                client.count()
                if client.weight + client.backlog + client.held_bytes > min(BEHIND_BYTES, BEHIND * client.window):
                    self.behind[client.session] = None

    def _send(self, client: _Client) -> None:
        window = client.window
        while client.unsent and len(client.sent) < WINDOW_ROWS and client.weight < window:
            client.session.send(self._outbox, self._stream, client.batch(self._events()))

    def check(self) -> None:
        """Assert that no result is in two places."""
        for client in self._clients.values():
            unsent = [outcome[0] for outcome in client.unsent]
            assert len(set(unsent)) == len(unsent)
            assert client.waiting == {outcome[0]: outcome for outcome in client.unsent}
            assert not set(unsent) & set(client.sent)
            assert client.sent or client.unsent or client.held or client.asked
            assert not client.held.keys() & {*unsent, *client.sent}
            assert client.held_bytes == sum(map(weight, client.held.values()))
            assert client.session.first or not (client.held or client.asked)
            assert client.weight == sum(map(weight, client.sent.values()))
            assert not client.session.ended
            assert client.backlog == sum(map(weight, islice(client.unsent, client.counted)))
        assert all(session.number in self._clients for session in self.behind)

"""What requests of all clients put out, for clients that watch: the gateway, for whoever looks there. No I/O.

Theory of operation
-------------------
Nobody watches, mostly: then nothing is done, and nothing is kept. While somebody does, what is passed on
to its client is gathered here as well, and leaves at the end of the turn, one message for many requests; and what comes
soon after that a moment later.
What a request has put out and nobody has been told of comes with its end, from its result.

It is for showing, and costs so much and no more: of all that engines put out so many pieces and bytes a
second are told, and to each watcher so many messages that it has not taken in. The rest is counted and
left out. Positions show where something is missing, and the results have it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

from ctrlhub.controller.core.credit import Credit
from ctrlhub.controller.core.deliveries import Outcome
from ctrlhub.controller.core.sessions import Session
from ctrlhub.wire.codec import size_of_extras
from ctrlhub.wire.errors import LimitExceeded
from ctrlhub.wire.ids import session_of
from ctrlhub.wire.limits import MAX_ID, OUTPUT_ITEM_BYTES, OUTPUT_MESSAGE_BYTES
from ctrlhub.wire.messages import (
    OUTPUT_STREAMS,
    Output,
    OutputItem,
    Stream,
    WatchedOutput,
    WatchedRow,
)

MOST_WATCHERS = 8
"""So many clients may watch."""

GATHER = 0.05
"""What is put out within so many seconds is told together, but for the first of it."""

PIECES, PIECES_AT_ONCE = 4_000, 1_000
"""So many pieces of output are told in a second, and at once."""

BYTES, BYTES_AT_ONCE = 2 * 1024 * 1024, 512 * 1024
"""And so many bytes: what is more at once than whoever is told can keep for somebody slow, helps nobody."""

PAUSE = 0.01
"""After so many seconds it is seen again whether there is room."""

WINDOW = 8
"""So many messages, of about 64 KiB, may be on their way to a watcher."""

MOST_KEPT = 16_384
"""Of so many requests it is known up to where they were told; of the oldest ones it may be told again."""

MOST_AT_THE_END = 64 * 1024
"""So much text (characters) of a stream is told of what comes with a request's end."""


class _Allowance:
    """So much a second, and at once; the last may take more, and then others wait for longer."""

    __slots__ = ("_left", "_most", "_rate", "_time")

    def __init__(self, rate: float, most: float) -> None:
        self._rate = rate
        self._most = self._left = most
        self._time = 0.0

    def has_some(self, now: float) -> bool:
        """Tell whether there is something left now."""
        self._left = min(self._most, self._left + (now - self._time) * self._rate)
        self._time = now
        return self._left > 0

    def use(self, amount: float) -> None:
        """Use some."""
        self._left -= amount


class _Told:
    """Up to where an attempt at a request was told, by kind."""

    __slots__ = ("attempt", "engine", "reached")

    def __init__(self, engine: int, attempt: int) -> None:
        self.engine = engine
        self.attempt = attempt
        self.reached: dict[str, int] = {}

    def new(self, items: Sequence[OutputItem]) -> list[OutputItem]:
        """Return what is new of some items; pickled values are none of a watcher's business."""
        found = []
        for kind, position, value in (item[:3] for item in items):
            is_text = kind in OUTPUT_STREAMS
            reached = self.reached.get(kind, 0)
            end = position + (len(value) if is_text else 1)
            if not reached < end <= MAX_ID or not (is_text or kind == "display"):
                continue
            if is_text and position < reached:
                position, value = reached, value[reached - position :]
            found.append((kind, position, value))
        return found

    def take(self, items: Sequence[OutputItem]) -> None:
        """Take note that items are told."""
        for kind, position, value in items:
            self.reached[kind] = position + (len(value) if kind in OUTPUT_STREAMS else 1)


class _Watcher:
    """A client that watches, all clients but some."""

    __slots__ = ("credit", "without")

    def __init__(self, without: Collection[int]) -> None:
        self.without = frozenset(without)
        self.credit = Credit(WINDOW)


class OutputWatch:
    """What is put out, and who watches.

    Attributes
    ----------
    watchers : dict
        Those who watch, by session.
    """

    def __init__(self) -> None:
        self.watchers: dict[Session, _Watcher] = {}
        self._told: dict[int, _Told] = {}
        self._rows: list[WatchedRow] = []
        self._left_out = 0
        self._pieces = _Allowance(PIECES, PIECES_AT_ONCE)
        self._bytes = _Allowance(BYTES, BYTES_AT_ONCE)
        self._last = self._full_until = float("-inf")

    @property
    def due(self) -> float | None:
        """When `messages` are to be asked for; None for not at all."""
        return self._last + GATHER if self._rows else None

    # ------------------------------------------------------------ who watches

    def watch(self, session: Session, without: Collection[int]) -> None:
        """Tell a client from now on what all put out, but those of some sessions (numbers).

        Raises
        ------
        LimitExceeded
            Too many watch.
        """
        known = self.watchers.get(session)
        if known is not None:
            known.without = frozenset(without)
            return
        if len(self.watchers) >= MOST_WATCHERS:
            raise LimitExceeded(f"{MOST_WATCHERS} clients watch the output of all: one has to stop first")
        self.watchers[session] = _Watcher(without)

    def unwatch(self, session: Session) -> bool:
        """Tell a client no more; False if it was told nothing."""
        known = self.watchers.pop(session, None) is not None
        if not self.watchers:
            self._told.clear()
            self._rows.clear()
            self._left_out = 0
        return known

    def received(self, session: Session, number: int) -> None:
        """Take note that a client has taken in what it was told up to a number."""
        watcher = self.watchers.get(session)
        if watcher is not None:
            watcher.credit.received(number)

    # ------------------------------------------------------------ what is put out

    def put_out(self, message: Output, now: float) -> None:
        """Take what a request puts out; called only while somebody watches."""
        if self._is_wanted(message.request) and self._has_room(now):
            self._tell(message.request, message.engine, message.attempt, message.items, now)

    def ended(self, outcome: Outcome, now: float) -> None:
        """Take the end of a request, with what it has put out; called only while somebody watches."""
        number, extras = outcome[0], outcome[6]
        if isinstance(extras, Mapping) and self._is_wanted(number) and self._has_room(now):
            attempt = extras.get("attempt", 0)
            attempt = attempt if type(attempt) is int and 0 <= attempt <= MAX_ID else 0
            told = self._told.get(number)
            known = told is not None and (told.engine, told.attempt) == (outcome[3], attempt)
            reached = told.reached if told is not None and known else {}
            items = list(_left(reached, extras))
            if items:
                self._tell(number, outcome[3], attempt, items, now)
        self._told.pop(number, None)

    def _has_room(self, now: float) -> bool:
        """Tell whether something may be told now; of a flood most is left out here, at no cost."""
        if now >= self._full_until:
            if self._pieces.has_some(now) and self._bytes.has_some(now):
                return True
            self._full_until = now + PAUSE
        self._left_out += 1
        return False

    def _is_wanted(self, request: int) -> bool:
        session = session_of(request)
        return any(session not in each.without for each in self.watchers.values())

    def _tell(
        self, request: int, engine: int, attempt: int, items: Sequence[OutputItem], now: float
    ) -> None:
        told = self._told.get(request)
        if told is None or (told.engine, told.attempt) != (engine, attempt):
            told = self._told[request] = _Told(engine, attempt)
            if len(self._told) > MOST_KEPT:
                del self._told[next(iter(self._told))]
        new = told.new(items)
        if not new:
            return
        size = size_of_extras(new) + OUTPUT_ITEM_BYTES
        self._pieces.use(1)
        self._bytes.use(size)
        told.take(new)
        self._rows.append((request, engine, attempt, new))

    # ------------------------------------------------------------ at the end of a turn

    def messages(self, now: float) -> Iterator[tuple[Session, WatchedOutput]]:
        """Yield what is to be told, and whom."""
        if not self._rows or now < self._last + GATHER:
            return
        self._last = now
        rows, self._rows = self._rows, []
        left_out, self._left_out = self._left_out, 0
        for session, watcher in self.watchers.items():
            credit, without = watcher.credit, watcher.without
            credit.dropped += left_out
            if Stream.IOPUB not in session.connections:
                credit.dropped += len(rows)
                continue
            chosen = [r for r in rows if session_of(r[0]) not in without] if without else rows
            for some in _messages(chosen):
                number = credit.take(len(some), now)
                if number:
                    yield session, WatchedOutput(some, number, credit.dropped)
                    credit.dropped = 0

    def check(self) -> None:
        """Assert that nothing is kept for nobody."""
        assert not any(session.ended for session in self.watchers)
        assert self.watchers or not (self._told or self._rows or self._left_out)
        assert len(self._told) <= MOST_KEPT


def _left(reached: Mapping[str, int], extras: Mapping[str, Any]) -> Iterator[OutputItem]:
    """Yield what a result has of output beyond what was told."""
    for kind in OUTPUT_STREAMS:
        text, place = extras.get(kind), reached.get(kind, 0)
        if isinstance(text, str) and len(text) > place:
            yield kind, place, _cut(text[place:])
    shown = extras.get("outputs")
    if isinstance(shown, list | tuple):
        # Others say where text stands between them.
        displays = [s for s in shown if isinstance(s, Mapping) and s.get("output_type") != "stream"]
        for place in range(reached.get("display", 0), len(displays)):
            if all(type(key) is str for key in displays[place]):  # nobody takes others
                yield "display", place, displays[place]


def _cut(text: str) -> str:
    if len(text) <= MOST_AT_THE_END:
        return text
    return f"{text[:MOST_AT_THE_END]}\n[{len(text) - MOST_AT_THE_END} more characters: the result has them]\n"


def _messages(rows: Sequence[WatchedRow]) -> Iterator[Sequence[WatchedRow]]:
    """Yield rows in parts, each as large as a message of output may be, or a single row."""
    some: list[WatchedRow] = []
    size = 0
    for row in rows:
        some.append(row)
        size += size_of_extras(row[3]) + OUTPUT_ITEM_BYTES
        if size >= OUTPUT_MESSAGE_BYTES:
            yield some
            some, size = [], 0
    if some:
        yield some

"""One stream of events to any number of subscribers, none of whom can hold up another. No I/O.

Theory of operation
-------------------
Each event gets a number and is encoded once. The latest are kept, as many as there is room for, so that
who comes back and names the last that he has is given what he missed, or is told that something is
missing. Each subscriber has a queue of his own of what he has not taken; it holds references, and is
bounded in bytes. Who is so slow that his queue is full is dropped, with the reason: nobody else notices.

A topic is a word, or a word and the number of a request. For each there is who wants it, so that an event
costs as much as there are people whom it concerns; and how many numbers one may name, and all together,
is bounded.
"""

from __future__ import annotations

import json
from collections import defaultdict, deque
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from ctrlhub.gateway.api.followed import Numbers
from ctrlhub.gateway.api.outcomes import when

ENGINES, TASKS, OUTPUT = "engines", "tasks", "output"
TOPICS = (ENGINES, TASKS, OUTPUT)
"""What can be subscribed to as a whole: what engines do, figures of all tasks, and what requests put out."""

Topic: TypeAlias = str | tuple[str, int]
"""What can be subscribed to: something as a whole, or what concerns one request."""

MOST_OF_ONE = 1000
"""So many topics of single requests a subscriber may have."""

MOST_OF_ALL = 131_072
"""And all of them together."""

EVENT_BYTES = 120
"""What an event takes beside its text."""


class TooMany(ValueError):
    """A subscriber names more requests than one may."""


class NoRoom(ValueError):
    """All subscribers name so many requests that there is no room for more."""


class Event:
    """Something that has happened.

    Parameters
    ----------
    number
        Its number among the events of this gateway.
    mark
        The number as subscribers see it: it differs from those of a gateway that ran before.
    kind
        What has happened, in a word.
    topics
        Whom it concerns: who has subscribed to any of these.
    text
        JSON, in one line.
    """

    __slots__ = ("_frame", "_framed", "kind", "mark", "number", "text", "topics")

    def __init__(
        self, number: int, mark: str, kind: str, topics: Collection[Topic], text: str
    ) -> None:
        self.number = number
        self.mark = mark
        self.kind = kind
        self.topics = topics
        self.text = text
        self._framed = ""
        self._frame = b""

    @property
    def frame(self) -> bytes:
        """It as a message of a WebSocket: the same bytes for everybody, since what a server sends is not masked."""
        if not self._frame:
            self._frame = text_frame(self.text.encode())
        return self._frame

    @property
    def framed(self) -> str:
        """It as an event of ``text/event-stream``."""
        if not self._framed:
            mark = f"id: {self.mark}\n" if self.mark else ""
            self._framed = f"{mark}event: {self.kind}\ndata: {self.text}\n\n"
        return self._framed

    @property
    def size(self) -> int:
        """How many bytes it takes, about."""
        return EVENT_BYTES + len(self.text)


@dataclass(eq=False, slots=True)
class Subscriber:
    """Somebody who is told of events.

    Parameters
    ----------
    topics
        Of which ones.
    wake
        Called when there is something to take: once until it is taken.

    Attributes
    ----------
    reason : str
        Why he was dropped; "" as long as he was not.
    """

    topics: set[Topic]
    wake: Callable[[], object]
    reason: str = ""
    _named: int = 0
    _queue: deque[Event] = field(default_factory=deque)
    _size: int = 0
    _taken: int = 0
    _awake: bool = False

    @property
    def size(self) -> int:
        """How many bytes he was not sent yet, those included that are on their way."""
        return self._size + self._taken

    def take(self) -> list[Event]:
        """Return what is to be sent to him, and take note that it is on its way."""
        events = list(self._queue)
        self._queue.clear()
        self._taken, self._size, self._awake = self._taken + self._size, 0, False
        return events

    def sent(self) -> None:
        """Take note that what was on its way has left."""
        self._taken = 0

    def _put(self, event: Event, most: int) -> None:
        if self.reason:
            return
        if self.size + event.size > most:
            self.reason = (
                f"too slow: {self.size} bytes of events wait to be sent, and {most} may; subscribe to "
                "less, or read faster"
            )
            self._queue.clear()
            self._size, self._awake = 0, False
        else:
            self._queue.append(event)
            self._size += event.size
        if not self._awake:
            self._awake = True
            self.wake()


class Fanout:
    """The events, and who is told.

    Parameters
    ----------
    epoch
        Tells this gateway's events from those of one before.
    most_waiting
        How many bytes may wait for a subscriber.
    most_kept, most_kept_bytes
        How many of the latest events are kept for who comes back, and how many bytes of them.
    most_subscribers
        How many there may be.
    most_of_one, most_of_all
        How many topics of single requests one of them may have, and all of them together.

    Attributes
    ----------
    subscribers : dict
        Those that there are; in the order in which they came.
    dropped : int
        How many were dropped.
    """

    def __init__(
        self,
        epoch: str,
        most_waiting: int = 1024 * 1024,
        most_kept: int = 4096,
        most_kept_bytes: int = 8 * 1024 * 1024,
        most_subscribers: int = 4096,
        most_of_one: int = MOST_OF_ONE,
        most_of_all: int = MOST_OF_ALL,
    ) -> None:
        self._epoch = epoch
        self._most_waiting = most_waiting
        self._most_kept, self._most_kept_bytes = most_kept, most_kept_bytes
        self._most_subscribers = most_subscribers
        self._most_of_one, self._most_of_all = most_of_one, most_of_all
        self._kept: deque[Event] = deque()
        self._kept_bytes = 0
        self._last = 0
        self.subscribers: dict[Subscriber, None] = {}
        self._wanted: dict[Topic, set[Subscriber]] = {}
        self._numbers: defaultdict[str, Numbers] = defaultdict(Numbers)
        self._named = 0
        self.dropped = 0

    @property
    def is_full(self) -> bool:
        """Whether there are as many subscribers as there may be."""
        return len(self.subscribers) >= self._most_subscribers

    def is_wanted(self, topic: Topic) -> bool:
        """Tell whether anybody has subscribed to a topic."""
        return topic in self._wanted

    def wanted(self, word: str) -> Sequence[int]:
        """Return the numbers of the topics of a word that somebody has subscribed to, in order."""
        numbers = self._numbers.get(word)
        return () if numbers is None else numbers.ordered()

    def check_room(self, topics: Collection[Topic], subscriber: Subscriber | None = None) -> None:
        """See that there is room for topics: of a subscriber who is there, more of them.

        Raises
        ------
        TooMany
            They would be more than one may have.
        NoRoom
            There are so many of others.
        """
        own = set() if subscriber is None else subscriber.topics
        new = sum(type(each) is tuple for each in set(topics) - own)
        had = 0 if subscriber is None else subscriber._named
        if had + new > self._most_of_one:
            raise TooMany(
                f"{had + new} requests would be named, and one subscriber may name {self._most_of_one}: "
                "name less, or take others back first"
            )
        if new and self._named + new > self._most_of_all:
            raise NoRoom(
                f"all subscribers together name {self._named} requests and may name {self._most_of_all}: "
                "name less, or come again later"
            )

    def subscribe(
        self, topics: Iterable[Topic], wake: Callable[[], object], now: float, last: str = ""
    ) -> Subscriber:
        """Have somebody told of what comes, and first of what has come behind the event `last`.

        Parameters
        ----------
        topics
            Of what.
        wake
            Called when there is something to take.
        now
            The Unix time (seconds).
        last
            The mark of the last event that he has.

        Raises
        ------
        TooMany, NoRoom
            There is no room for so many topics.
        """
        wanted = set(topics)
        self.check_room(wanted)
        subscriber = Subscriber(set(), wake)
        self.subscribers[subscriber] = None
        self._join(subscriber, wanted)
        if last:
            self._replay(subscriber, last, now)
        return subscriber

    def add_topics(self, subscriber: Subscriber, topics: Iterable[Topic]) -> None:
        """Have a subscriber told of more: of all that he names, or if that is too much, of none.

        Raises
        ------
        TooMany, NoRoom
            There is no room for so many topics.
        """
        new = set(topics) - subscriber.topics
        self.check_room(new, subscriber)
        self._join(subscriber, new)

    def remove_topics(self, subscriber: Subscriber, topics: Iterable[Topic]) -> None:
        """Have a subscriber told of less."""
        self._part(subscriber, subscriber.topics & set(topics))

    def remove_everywhere(self, topic: Topic) -> None:
        """Have nobody told of a topic any more: nothing will come."""
        for subscriber in tuple(self._wanted.get(topic, ())):
            self._part(subscriber, {topic})

    def leave(self, subscriber: Subscriber) -> None:
        """Forget a subscriber; twice is harmless."""
        if subscriber in self.subscribers:
            del self.subscribers[subscriber]
            self._part(subscriber, set(subscriber.topics))
            self.dropped += bool(subscriber.reason)

    def publish(
        self, kind: str, data: Mapping[str, Any], topics: Collection[Topic], now: float
    ) -> Event:
        """Tell everybody who is concerned."""
        self._last += 1
        mark = f"{self._epoch}-{self._last}"
        event = Event(self._last, mark, kind, topics, _text(kind, mark, data, now))
        self._keep(event)
        for subscriber in self._concerned(topics):
            subscriber._put(event, self._most_waiting)
        return event

    def _concerned(self, topics: Collection[Topic]) -> Collection[Subscriber]:
        """Return those who have subscribed to any of some topics, each once."""
        found = [self._wanted[topic] for topic in topics if topic in self._wanted]
        return found[0] if len(found) == 1 else {each for some in found for each in some}

    def tell(
        self, subscriber: Subscriber, kind: str, data: Mapping[str, Any], now: float
    ) -> None:
        """Tell one alone; that is no event of the stream, and has no number."""
        subscriber._put(Event(0, "", kind, (), _text(kind, "", data, now)), self._most_waiting)

    def _keep(self, event: Event) -> None:
        self._kept.append(event)
        self._kept_bytes += event.size
        while len(self._kept) > self._most_kept or self._kept_bytes > self._most_kept_bytes:
            self._kept_bytes -= self._kept.popleft().size

    def _replay(self, subscriber: Subscriber, last: str, now: float) -> None:
        epoch, _, number = last.rpartition("-")
        known = int(number) if number.isdecimal() and len(number) < 19 else -1
        if epoch != self._epoch or not 0 <= known <= self._last:
            why = "these are the events of another gateway: it was started again"
            self.tell(subscriber, "gap", {"after": last, "reason": why}, now)
            return
        first = self._kept[0].number if self._kept else self._last + 1
        if known + 1 < first:
            why = f"{first - 1 - known} events were not kept for so long"
            self.tell(subscriber, "gap", {"after": last, "reason": why}, now)
        for event in self._kept:
            if event.number > known and not subscriber.topics.isdisjoint(event.topics):
                subscriber._put(event, self._most_waiting)

    def _join(self, subscriber: Subscriber, topics: Collection[Topic]) -> None:
        """Note that a subscriber wants topics which he has not wanted."""
        subscriber.topics.update(topics)
        for topic in topics:
            wanted = self._wanted.setdefault(topic, set())
            if type(topic) is tuple:
                self._named, subscriber._named = self._named + 1, subscriber._named + 1
                if not wanted:
                    self._numbers[topic[0]].add(topic[1])
            wanted.add(subscriber)

    def _part(self, subscriber: Subscriber, topics: Collection[Topic]) -> None:
        """Note that a subscriber wants topics no more which he has wanted."""
        subscriber.topics.difference_update(topics)
        for topic in topics:
            others = self._wanted[topic]
            others.discard(subscriber)
            if not others:
                del self._wanted[topic]
            if type(topic) is tuple:
                self._named, subscriber._named = self._named - 1, subscriber._named - 1
                if not others:
                    self._numbers[topic[0]].remove(topic[1])

    def check(self) -> None:
        """Assert that the books agree."""
        counted: dict[Topic, set[Subscriber]] = {}
        for subscriber in self.subscribers:
            for topic in subscriber.topics:
                counted.setdefault(topic, set()).add(subscriber)
            named = [each for each in subscriber.topics if type(each) is tuple]
            assert subscriber._named == len(named) <= self._most_of_one
            assert subscriber._size == sum(event.size for event in subscriber._queue)
            assert subscriber.size <= self._most_waiting
        assert counted == self._wanted
        assert self._named == sum(each._named for each in self.subscribers) <= self._most_of_all
        for word in self._numbers:
            numbers = [each[1] for each in counted if type(each) is tuple and each[0] == word]
            assert list(self.wanted(word)) == sorted(numbers)
        assert self._kept_bytes == sum(event.size for event in self._kept)
        assert len(self._kept) <= self._most_kept


def text_frame(data: bytes) -> bytes:
    """Return a text as a message of a WebSocket, in one frame that is not masked (RFC 6455, 5.2)."""
    size = len(data)
    if size < 126:
        return bytes((0x81, size)) + data
    if size < 1 << 16:
        return b"\x81\x7e" + size.to_bytes(2, "big") + data
    return b"\x81\x7f" + size.to_bytes(8, "big") + data


def _text(kind: str, mark: str, data: Mapping[str, Any], now: float) -> str:
    # No line breaks: JSON without indentation has none, and escapes those of its texts.
    return json.dumps({"event": kind, "id": mark or None, "time": when(now), "data": data})

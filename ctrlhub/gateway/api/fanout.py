"""One stream of events to any number of subscribers, none of whom can hold up another. No I/O.

Theory of operation
-------------------
Each event gets a number and is encoded once. The latest are kept, as many as there is room for, so that
who comes back and names the last that he has is given what he missed, or is told that something is
missing. Each subscriber has a queue of his own of what he has not taken; it holds references, and is
bounded in bytes. Who is so slow that his queue is full is dropped, with the reason: nobody else notices.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from ctrlhub.gateway.api.outcomes import when

ENGINES, TASKS, OUTPUT = "engines", "tasks", "output"
TOPICS = (ENGINES, TASKS, OUTPUT)
"""What can be subscribed to as a whole: what engines do, figures of all tasks, and what requests put
out that were made through this gateway."""

EVENT_BYTES = 120
"""What an event takes beside its text."""


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

    __slots__ = ("_framed", "kind", "mark", "number", "text", "topics")

    def __init__(
        self, number: int, mark: str, kind: str, topics: Collection[str], text: str
    ) -> None:
        self.number = number
        self.mark = mark
        self.kind = kind
        self.topics = topics
        self.text = text
        self._framed = ""

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

    topics: set[str]
    wake: Callable[[], object]
    reason: str = ""
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
    ) -> None:
        self._epoch = epoch
        self._most_waiting = most_waiting
        self._most_kept, self._most_kept_bytes = most_kept, most_kept_bytes
        self._most_subscribers = most_subscribers
        self._kept: deque[Event] = deque()
        self._kept_bytes = 0
        self._last = 0
        self.subscribers: dict[Subscriber, None] = {}
        self._wanted: dict[str, int] = {}
        self.dropped = 0

    @property
    def is_full(self) -> bool:
        """Whether there are as many subscribers as there may be."""
        return len(self.subscribers) >= self._most_subscribers

    def is_wanted(self, topic: str) -> bool:
        """Tell whether anybody has subscribed to a topic."""
        return topic in self._wanted

    def wanted(self, prefix: str) -> Iterable[str]:
        """Return the rest of the topics with a prefix that somebody has subscribed to."""
        return [topic[len(prefix) :] for topic in self._wanted if topic.startswith(prefix)]

    def subscribe(
        self, topics: Iterable[str], wake: Callable[[], object], now: float, last: str = ""
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
        """
        subscriber = Subscriber(set(topics), wake)
        self.subscribers[subscriber] = None
        self._count(subscriber.topics, 1)
        if last:
            self._replay(subscriber, last, now)
        return subscriber

    def add_topics(self, subscriber: Subscriber, topics: Iterable[str]) -> None:
        """Have a subscriber told of more."""
        new = set(topics) - subscriber.topics
        subscriber.topics |= new
        self._count(new, 1)

    def remove_topics(self, subscriber: Subscriber, topics: Iterable[str]) -> None:
        """Have a subscriber told of less."""
        gone = subscriber.topics & set(topics)
        subscriber.topics -= gone
        self._count(gone, -1)

    def leave(self, subscriber: Subscriber) -> None:
        """Forget a subscriber; twice is harmless."""
        if subscriber in self.subscribers:
            del self.subscribers[subscriber]
            self._count(subscriber.topics, -1)
            self.dropped += bool(subscriber.reason)

    def publish(
        self, kind: str, data: Mapping[str, Any], topics: Collection[str], now: float
    ) -> Event:
        """Tell everybody who is concerned."""
        self._last += 1
        mark = f"{self._epoch}-{self._last}"
        event = Event(self._last, mark, kind, topics, _text(kind, mark, data, now))
        self._keep(event)
        if not self._wanted.keys().isdisjoint(topics):
            for subscriber in self.subscribers:
                if not subscriber.topics.isdisjoint(topics):
                    subscriber._put(event, self._most_waiting)
        return event

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

    def _count(self, topics: Iterable[str], by: int) -> None:
        for topic in topics:
            number = self._wanted.get(topic, 0) + by
            if number:
                self._wanted[topic] = number
            else:
                del self._wanted[topic]

    def check(self) -> None:
        """Assert that the books agree."""
        counted: dict[str, int] = {}
        for subscriber in self.subscribers:
            for topic in subscriber.topics:
                counted[topic] = counted.get(topic, 0) + 1
            assert subscriber._size == sum(event.size for event in subscriber._queue)
            assert subscriber.size <= self._most_waiting
        assert counted == self._wanted
        assert self._kept_bytes == sum(event.size for event in self._kept)
        assert len(self._kept) <= self._most_kept


def _text(kind: str, mark: str, data: Mapping[str, Any], now: float) -> str:
    # No line breaks: JSON without indentation has none, and escapes those of its texts.
    return json.dumps({"event": kind, "id": mark or None, "time": when(now), "data": data})

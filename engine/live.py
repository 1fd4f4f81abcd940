"""Live output on its way to the hub: when it leaves, and how much. No I/O.

The first thing that is put out leaves at once; what comes then gathers for `INTERVAL`. So much is
under way as the window allows; beyond that nothing leaves until the client has received some.

Each message says which one it follows. What was not acknowledged may be lost with a connection: then
it is said again, from the last one of which the client is sure to know. Until something is heard of
that, and while the window is full and nothing is heard, a single message is tried now and then.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from ctrlhub.engine.showing import BEGIN, Mark
from ctrlhub.wire.limits import OUTPUT_MESSAGE_BYTES, OUTPUT_WINDOW
from ctrlhub.wire.messages import Output, OutputItem

INTERVAL = 0.05
"""How long (seconds) live output gathers while more comes."""

UNENDED = 0.2
"""How long (seconds) text without an end of line waits for it."""

FIRST_TRIAL, LONGEST_TRIAL = 1.0, 60.0
"""How long (seconds) to wait for a client that does not receive: the first time, and at most."""

NEVER = float("inf")


class Source(Protocol):
    """The output of the request that runs."""

    request: int

    @property
    def waits(self) -> bool:
        """Whether there is something to show."""

    @property
    def mark(self) -> Mark:
        """Up to where it was taken."""

    def take(self, most: int) -> tuple[list[OutputItem], int]:
        """Take what is to be shown next, about `most` bytes, and its size; perhaps nothing."""

    def go_back(self, mark: Mark) -> None:
        """Take again what was taken since a mark."""


@dataclass(frozen=True, slots=True)
class _Sent:
    """A message under way: its number and size, and up to where all was taken before it."""

    number: int
    size: int
    mark: Mark


class LiveOutput:
    """What an engine sends of the output of the request that runs.

    Attributes
    ----------
    due : float
        When `messages` should be asked.
    request : int
        The request that it is about.
    """

    def __init__(self) -> None:
        self.due = NEVER
        self._last = -NEVER
        self._begin(0, 0)

    def _begin(self, request: int, attempt: int) -> None:
        self.request = request
        self._attempt = attempt
        self._number = 0
        self._follows = 0
        self._acknowledged = 0
        self._sent: deque[_Sent] = deque()
        self._under_way = 0
        self._goes_back = False
        self._is_unheard = False
        self._trial = NEVER
        self._pause = FIRST_TRIAL

    def written(self, now: float) -> None:
        """Take note that there is something to show."""
        self.due = min(self.due, max(now, self._last + INTERVAL))

    def begun(self, now: float) -> None:
        """Take note that there is text without an end of line."""
        self.due = min(self.due, now + UNENDED)

    def received(self, request: int, number: int, now: float) -> None:
        """Take note that the client has received messages up to a number."""
        if request != self.request:
            return
        sent = self._sent
        while sent and sent[0].number <= number:
            self._under_way -= sent.popleft().size
        if not sent:
            self._under_way = 0
        self._acknowledged = max(self._acknowledged, min(number, self._number))
        self._pause = FIRST_TRIAL
        self._is_unheard = False
        if self._trial != NEVER:
            self._trial = NEVER
            self.written(now)

    def missed(self, request: int, number: int, now: float) -> None:
        """Say again what came behind a message; of a negative number, what was not acknowledged.

        A client that knows less than what it has acknowledged is another one: it is told everything.
        """
        if request != self.request:
            return
        if 0 <= number < self._acknowledged:
            self._sent.clear()
            self._sent.append(_Sent(0, 0, BEGIN))
            self._acknowledged = 0
        elif number >= 0:
            self.received(request, number, now)
        self.lost(now)

    def lost(self, now: float) -> None:
        """Say again what is under way: it may be lost."""
        if self._sent:
            self._goes_back = self._is_unheard = True
            self._trial = NEVER
            self._pause = FIRST_TRIAL
            self.due = now

    def _go_back(self, source: Source) -> None:
        if self._sent:
            source.go_back(self._sent[0].mark)
            self._sent.clear()
        self._under_way = 0
        self._follows = self._acknowledged
        self._goes_back = False

    def messages(self, source: Source | None, now: float, attempt: int = 0) -> Iterator[Output]:
        """Yield what is to be sent now, of an attempt at what runs."""
        self.due = NEVER
        if source is None or not source.request:
            return
        if (source.request, attempt) != (self.request, self._attempt):
            self._begin(source.request, attempt)
        elif now >= self._trial:  # what was under way seems to be lost
            self._go_back(source)
            self._trial = NEVER
            self._under_way = OUTPUT_WINDOW - 1
        elif self._goes_back:
            self._go_back(source)
        while source.waits and self._under_way < OUTPUT_WINDOW:
            mark = source.mark
            items, size = source.take(OUTPUT_MESSAGE_BYTES)
            if not items:  # what was left is too large to be shown now
                break
            self._number += 1
            self._under_way += size
            self._sent.append(_Sent(self._number, size, mark))
            self._last = now
            yield Output(source.request, self._number, items, attempt=attempt, after=self._follows)
            self._follows = self._number
        if not (self.is_full or self._is_unheard):
            self._trial = NEVER
        elif self._trial == NEVER:
            self._trial = now + self._pause
            self._pause = min(2 * self._pause, LONGEST_TRIAL)
        self.due = min(self.due, self._trial)

    @property
    def is_full(self) -> bool:
        """Whether nothing more may be under way."""
        return self._under_way >= OUTPUT_WINDOW

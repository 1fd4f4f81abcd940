"""Live output on its way to the hub: when it leaves, and how much. No I/O.

The first thing that is put out leaves at once; what comes then gathers for `INTERVAL`. So much is
under way as the window allows; beyond that nothing leaves until the client has received some. Should
it have lost what it would have to acknowledge, a single message is tried now and then.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import Protocol

from ctrlhub.wire.limits import OUTPUT_MESSAGE_BYTES, OUTPUT_WINDOW
from ctrlhub.wire.messages import Output, OutputItem

INTERVAL = 0.05
"""How long (seconds) live output gathers while more comes."""

FIRST_TRIAL, LONGEST_TRIAL = 1.0, 60.0
"""How long (seconds) to wait for a client that does not receive: the first time, and at most."""

NEVER = float("inf")


class Source(Protocol):
    """The output of the request that runs."""

    request: int

    @property
    def waits(self) -> bool:
        """Whether there is something to show."""

    def take(self, most: int) -> tuple[list[OutputItem], int]:
        """Take what is to be shown next, about `most` bytes, and its size."""


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
        self._sent: deque[tuple[int, int]] = deque()
        self._under_way = 0
        self._trial = NEVER
        self._pause = FIRST_TRIAL

    def written(self, now: float) -> None:
        """Take note that there is something to show."""
        self.due = min(self.due, max(now, self._last + INTERVAL))

    def received(self, request: int, number: int, now: float) -> None:
        """Take note that the client has received messages up to a number."""
        if request != self.request:
            return
        sent = self._sent
        while sent and sent[0][0] <= number:
            self._under_way -= sent.popleft()[1]
        if not sent:
            self._under_way = 0
        self._pause = FIRST_TRIAL
        if self._trial != NEVER:
            self._trial = NEVER
            self.written(now)

    def lost(self, now: float) -> None:
        """Begin anew with the window: what was under way may be lost."""
        if self._under_way:
            self._sent.clear()
            self._under_way = 0
            self._trial = NEVER
            self.due = now

    def messages(self, source: Source | None, now: float, attempt: int = 0) -> Iterator[Output]:
        """Yield what is to be sent now, of an attempt at what runs."""
        self.due = NEVER
        if source is None or not source.request:
            return
        if (source.request, attempt) != (self.request, self._attempt):
            self._begin(source.request, attempt)
        elif now >= self._trial:  # what was under way seems to be lost
            self._sent.clear()
            self._under_way = OUTPUT_WINDOW - 1
        while source.waits and self._under_way < OUTPUT_WINDOW:
            items, size = source.take(OUTPUT_MESSAGE_BYTES)
            self._number += 1
            self._under_way += size
            self._sent.append((self._number, size))
            self._last = now
            yield Output(source.request, self._number, items, attempt=attempt)
        self._trial = NEVER
        if self.is_full:
            self._trial = self.due = now + self._pause
            self._pause = min(2 * self._pause, LONGEST_TRIAL)

    @property
    def is_full(self) -> bool:
        """Whether nothing more may be under way."""
        return self._under_way >= OUTPUT_WINDOW

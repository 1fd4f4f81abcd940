"""Wishes to stop requests.

A request may be slower than the wish to stop it, which takes another stream. So a wish is repeated
until the hub knows each of its requests, or they have ended otherwise.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Mapping

from ctrlhub.wire.errors import CtrlHubError, error_for
from ctrlhub.wire.ids import Ranges, from_ranges, to_ranges
from ctrlhub.wire.messages import Answer, Stream

AT_ONCE = 32_768
"""So many requests are named in one call: however scattered they are, neither it nor its answer comes
near the largest message of its stream (`MAX_CONTROL_BYTES`)."""

FIRST_PAUSE, LAST_PAUSE = 0.01, 1.0
"""The first and the longest pause (seconds) before the hub is asked again."""

NEVER = float("inf")

STOP: Mapping[Stream, tuple[str, str]] = {
    Stream.TASK: ("tasks", "cancel"),
    Stream.MULTIENGINE: ("multiengine", "abort"),
}
"""The call that stops requests of a stream: interface and method."""


def nobody() -> None:
    """Do nothing: nobody waits for the end of a wish."""


class Cancellation:
    """The wish to stop some requests of one stream.

    Parameters
    ----------
    stream
        Their stream.
    numbers
        Their ids.
    on_end
        Called once there is nothing left to ask for.

    Attributes
    ----------
    left : set
        Those that may still reach the hub without being stopped there.
    interrupted : bool
        Whether some were running.
    answered : bool
        Whether the hub has answered at all.
    abandoned : bool
        Whether to stop asking; any thread may set it.
    error : CtrlHubError or None
        Why the hub did not stop them.
    due : float
        When to ask again.
    """

    __slots__ = (
        "_on_end",
        "_pause",
        "_unanswered",
        "abandoned",
        "answered",
        "due",
        "error",
        "interrupted",
        "left",
        "stream",
    )

    def __init__(
        self, stream: Stream, numbers: Iterable[int], on_end: Callable[[], None] = nobody
    ) -> None:
        self.stream = stream
        self.left = set(numbers)
        self.interrupted = self.answered = self.abandoned = False
        self.error: CtrlHubError | None = None
        self.due = NEVER
        self._on_end = on_end
        self._pause = FIRST_PAUSE
        self._unanswered = 0

    def parts(self, numbers: Iterable[int]) -> list[Ranges]:
        """Return what to ask the hub for, each with a call of its own; nothing ends the wish."""
        ordered = sorted(numbers)
        places = range(0, len(ordered), AT_ONCE)
        self._unanswered = len(places)
        if not places:
            self._on_end()
        return [to_ranges(ordered[place : place + AT_ONCE]) for place in places]

    def take(self, answer: Answer, outstanding: Container[int], now: float) -> bool:
        """Take the answer to one of the parts; return whether to ask again, when it is `due`."""
        self._unanswered -= 1
        self.answered = True
        if answer.code:
            self.error = error_for(answer.code)(answer.message)
        else:
            for ranges in answer.value.values():
                self.left.difference_update(from_ranges(ranges))
            self.interrupted |= bool(answer.value["interrupted"])
        if self._unanswered:
            return False
        self.left = {number for number in self.left if number in outstanding}
        if self.error is not None or self.abandoned or not self.left:
            self._on_end()
            return False
        self.due = now + self._pause
        self._pause = min(2 * self._pause, LAST_PAUSE)
        return True


class CancellationList:
    """The wishes that have to be repeated."""

    __slots__ = ("_waiting",)

    def __init__(self) -> None:
        self._waiting: list[Cancellation] = []

    @property
    def due(self) -> float:
        """When to repeat the first of them."""
        return min((wish.due for wish in self._waiting), default=NEVER)

    def add(self, wish: Cancellation) -> None:
        """Have a wish repeated when it is due."""
        self._waiting.append(wish)

    def take_due(self, now: float) -> list[Cancellation]:
        """Take those that are due."""
        due = [wish for wish in self._waiting if wish.due <= now]
        if due:
            self._waiting = [wish for wish in self._waiting if wish.due > now]
        return due

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

MOST_REMEMBERED = 65_536
"""So many requests are told once more to a hub that follows another one; the last ones."""

STOP: Mapping[Stream, tuple[str, str]] = {
    Stream.TASK: ("tasks", "cancel"),
    Stream.MULTIENGINE: ("multiengine", "abort"),
}
"""The call that stops requests of a stream: interface and method."""

WITHDRAW = ("tasks", "withdraw")
"""The call that stops tasks which do not run yet."""


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
    call
        How the hub is asked; None is the way to stop also what runs.
    grace
        How long (seconds) tasks may go on after an interrupt; None leaves it to what they were
        submitted with.

    Attributes
    ----------
    more : dict
        What the hub is told beside the ids.
    left : set
        Those that may still reach the hub without being stopped there.
    ended : frozenset
        Those that are named once, though they have ended here: another hub may not know that.
    calls : set
        The numbers of the calls that were not answered.
    running : set
        Those that were running, as far as the hub knew, and are being interrupted.
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
        "_pause",
        "abandoned",
        "answered",
        "call",
        "calls",
        "due",
        "ended",
        "error",
        "left",
        "more",
        "on_end",
        "running",
        "stream",
    )

    def __init__(
        self,
        stream: Stream,
        numbers: Iterable[int],
        on_end: Callable[[], None] = nobody,
        call: tuple[str, str] | None = None,
        grace: float | None = None,
    ) -> None:
        self.stream = stream
        self.call = STOP[stream] if call is None else call
        self.more = {} if grace is None else {"grace": grace}
        self.left = set(numbers)
        self.ended: frozenset[int] = frozenset()
        self.calls: set[int] = set()
        self.running: set[int] = set()
        self.answered = self.abandoned = False
        self.error: CtrlHubError | None = None
        self.due = NEVER
        self.on_end = on_end
        self._pause = FIRST_PAUSE

    def take(self, answer: Answer) -> bool:
        """Take the answer to a call; return whether it was the last one."""
        self.calls.discard(answer.id)
        self.answered = True
        if answer.code:
            self.error = error_for(answer.code)(answer.message)
        else:
            for ranges in answer.value.values():
                self.left.difference_update(from_ranges(ranges))
            # Of tasks some may wait on an engine behind others; a command that is there runs.
            running = answer.value.get("running", answer.value["interrupted"])
            self.running.update(from_ranges(running))
        return not self.calls

    def keep(self, outstanding: Container[int]) -> None:
        """Leave out what has ended otherwise."""
        self.left = {number for number in self.left if number in outstanding}

    def take_named(self) -> set[int]:
        """Take what the hub is to be told."""
        named, self.ended = self.left | self.ended, frozenset()
        return named

    @property
    def is_over(self) -> bool:
        """Whether there is nothing to ask for, or no use in asking."""
        return not self.left or self.abandoned or self.error is not None

    def wait(self, now: float) -> None:
        """Be due again after a pause, each time a longer one."""
        self.due = now + self._pause
        self._pause = min(2 * self._pause, LAST_PAUSE)


class CancellationList:
    """The wishes that have not ended, and what was wished of late.

    A hub may be killed between an end that it has told us and its storing that. The next one has the
    request run again, perhaps for ever, unless it is told once more.
    """

    __slots__ = ("_asked", "_wishes")

    def __init__(self) -> None:
        self._wishes: dict[Cancellation, None] = {}
        self._asked: dict[int, tuple[Stream, tuple[str, str], float | None]] = {}

    @property
    def due(self) -> float:
        """When to repeat the first of them."""
        return min(wish.due for wish in self._wishes) if self._wishes else NEVER

    def begin(self, wish: Cancellation, numbers: Iterable[int]) -> None:
        """Keep a wish until its end, and what the hub was told of it."""
        self._wishes[wish] = None
        how = wish.stream, wish.call, wish.more.get("grace")
        self._asked.update(dict.fromkeys(numbers, how))
        while len(self._asked) > MOST_REMEMBERED:
            del self._asked[next(iter(self._asked))]

    def once_more(self) -> list[Cancellation]:
        """Return wishes for all that another hub may not have been told; those that go on name it again."""
        going_on: set[int] = set()
        for wish in self._wishes:
            wish.ended = frozenset(wish.left)
            going_on |= wish.left
        by_kind: dict[tuple[Stream, tuple[str, str], float | None], list[int]] = {}
        for number, how in self._asked.items():
            if number not in going_on:
                by_kind.setdefault(how, []).append(number)
        wishes = []
        for (stream, call, grace), numbers in by_kind.items():
            wishes.append(Cancellation(stream, numbers, call=call, grace=grace))
            wishes[-1].ended = frozenset(numbers)
        return wishes

    def end(self, wish: Cancellation) -> None:
        """Forget a wish, and tell whoever waits for it."""
        self._wishes.pop(wish, None)
        wish.on_end()

    def repeat(self, now: float) -> None:
        """Let all be due: answers may have been lost."""
        for wish in self._wishes:
            wish.due = now

    def take_due(self, now: float) -> list[Cancellation]:
        """Return those that are due; they are not any longer."""
        due = [wish for wish in self._wishes if wish.due <= now]
        for wish in due:
            wish.due = NEVER
        return due


def parts(numbers: Iterable[int]) -> list[Ranges]:
    """Return ids as ranges, in portions for one call each."""
    ordered = sorted(numbers)
    places = range(0, len(ordered), AT_ONCE)
    return [to_ranges(ordered[place : place + AT_ONCE]) for place in places]

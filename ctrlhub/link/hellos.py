"""The hellos of a peer: each binds a connection of bulk data to its session."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from random import Random

from ctrlhub.link.patience import Greeting, Patience
from ctrlhub.wire.messages import Stream

NEVER = float("inf")


class Hellos:
    """When to say hello on which stream.

    Parameters
    ----------
    patience
        How long to wait before it is said again.
    random
        Where the jitter comes from.

    Attributes
    ----------
    due
        When the first of them is to be said again.
    """

    __slots__ = ("_greetings", "_patience", "_random", "due")

    def __init__(self, patience: Patience, random: Random) -> None:
        self._patience = patience
        self._random = random
        self._greetings: dict[Stream, Greeting] = {}
        self.due = NEVER

    def begin(self, streams: Iterable[Stream]) -> list[Stream]:
        """Begin anew; return the streams on which to say it."""
        self._greetings = {each: Greeting(self._patience, self._random) for each in streams}
        self._look()
        return list(self._greetings)

    def take_due(self, now: float) -> list[Stream]:
        """Return the streams on which it is to be said again."""
        return [stream for stream, hello in self._greetings.items() if now >= hello.due]

    def said(self, stream: Stream, now: float) -> None:
        """Take note that it was said."""
        self._greetings[stream].asked(now)
        self._look()

    def is_on_its_way(self, stream: Stream, now: float) -> bool:
        """Tell whether it was said a moment ago, and was not answered."""
        hello = self._greetings[stream]
        return hello.awaited and now < hello.sent + self._patience.hello

    def repeat(self, stream: Stream) -> None:
        """Take note that it is to be said once more: what else was sent there may be lost."""
        hello = self._greetings[stream]
        hello.restart()
        hello.again = True

    def __iter__(self) -> Iterator[Stream]:
        return iter(tuple(self._greetings))

    def __contains__(self, stream: object) -> bool:
        return stream in self._greetings

    def awaits(self, stream: Stream) -> bool:
        """Tell whether an answer to one is awaited."""
        hello = self._greetings.get(stream)
        return hello is not None and hello.awaited

    def answered(self, stream: Stream) -> bool:
        """Take note of the answer; return whether what else was sent there may be lost."""
        hello = self._greetings[stream]
        again = hello.again
        hello.answered()
        self._look()
        return again

    def _look(self) -> None:
        self.due = min((hello.due for hello in self._greetings.values()), default=NEVER)

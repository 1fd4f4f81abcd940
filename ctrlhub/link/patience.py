"""How long a peer waits before it asks again."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random


@dataclass(frozen=True, slots=True)
class Patience:
    """The waits of a peer, in seconds.

    Parameters
    ----------
    first
        The wait before an unanswered request to join is sent again.
    factor
        Every further wait is longer by this factor.
    longest
        No wait is longer.
    jitter
        A wait is shorter by up to this share, at random: after a hub's restart its peers must
        not all speak in the same moment.
    hello
        The wait before an unanswered hello on a stream is sent again; it grows like `first`.
    suspect
        How long a silence is suspect, as long as the hub has not said.
    renewal, renewal_longest
        After a silence of so many times that, a peer has its key accepted anew; then of twice as many
        each time, up to the second number.
    """

    first: float = 0.5
    factor: float = 1.5
    longest: float = 5.0
    jitter: float = 0.2
    hello: float = 1.0
    suspect: float = 3.0
    renewal: float = 5.0
    renewal_longest: float = 40.0


class Backoff:
    """When to ask again: later each time.

    Parameters
    ----------
    first
        The first wait in seconds.
    patience
        How it grows.
    random
        Where the jitter comes from.
    """

    __slots__ = ("_first", "_patience", "_random", "_wait", "due")

    def __init__(self, first: float, patience: Patience, random: Random) -> None:
        self._first = first
        self._patience = patience
        self._random = random
        self._wait = first
        self.due = float("inf")

    def restart(self) -> None:
        """Begin again with the first wait."""
        self._wait = self._first

    def asked(self, now: float) -> None:
        """Note that the question was put now: `due` is when to put it again."""
        self.due = now + self._wait * (1.0 - self._patience.jitter * self._random.random())
        self._wait = min(self._wait * self._patience.factor, self._patience.longest)


class Renewal:
    """How long a hub may be silent before a peer takes it that its key was forgotten.

    Longer each time: to enrol again means to close all connections and to make them anew, which is
    the last thing that a hub needs which is silent because thousands of peers have come at once.

    Parameters
    ----------
    patience
        How the waits grow, and by how much they differ.
    random
        Where the jitter comes from.
    """

    __slots__ = ("_factor", "_patience", "_random")

    def __init__(self, patience: Patience, random: Random) -> None:
        self._patience = patience
        self._random = random
        self.restart()

    def restart(self) -> None:
        """Begin again with the shortest wait: the hub has let us in."""
        self._factor = self._patience.renewal

    def tried(self) -> None:
        """Note that our key was enrolled again: the next time waits for longer."""
        jitter = self._patience.jitter * self._random.random()
        self._factor = min(2.0 * self._factor, self._patience.renewal_longest) * (1.0 + jitter)

    def after(self, suspect: float) -> float:
        """Return the length of a silence (seconds), given how long one is suspect."""
        return self._factor * suspect


class Greeting(Backoff):
    """The hello of one stream.

    Attributes
    ----------
    sent
        When it was last said.
    awaited
        It was not answered yet.
    again
        It was said more than once, or not for a joining: what else was sent may be lost.
    """

    __slots__ = ("again", "awaited", "sent")

    def __init__(self, patience: Patience, random: Random) -> None:
        super().__init__(patience.hello, patience, random)
        self.sent = 0.0
        self.awaited = False
        self.again = False

    def asked(self, now: float) -> None:
        """Note that it was said now."""
        super().asked(now)
        self.again = self.again or self.awaited
        self.awaited = True
        self.sent = now

    def answered(self) -> None:
        """Note that it was answered: it is not said again by itself."""
        self.due = float("inf")
        self.awaited = False
        self.again = False

"""What the hub counts and measures, for whoever looks: dashboards, and `telemetry.read`. No I/O.

Theory of operation
-------------------
The hub ends a hundred thousand tasks a second, and mostly nobody looks. So what is always counted costs
something for each message, not for each task: how long a batch of tasks took is counted at once where
all fall into the same bucket, which the lowest and the highest tell.

Single requests are sampled only while somebody looks (`Figures.look`), and of very many evenly: one in
so many that about `SAMPLED` are taken each second. What has failed is kept as it came, and read when
somebody asks. Everything is bounded.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ctrlhub.controller.core.deliveries import Outcome
from ctrlhub.controller.core.history import how_ended
from ctrlhub.wire.codec import size_of
from ctrlhub.wire.failure import SOME_ITEMS, failure_of, pack_failure, summary_of
from ctrlhub.wire.messages import Payload, Status
from ctrlhub.wire.telemetry import BUCKETS, FINEST

LONGEST = 1e9
"""What takes longer (seconds), or no number of them, is an engine's mistake."""

LAST_MOMENT = 1e11
"""An engine that says a later time (Unix) has a broken clock: LONGEST, as a time, is of 2001."""

WATCHED = 10.0
"""So long (seconds) after somebody has looked requests are sampled."""

SAMPLED = 400
"""About so many requests are sampled a second, if there are more."""

MOST_SAMPLED = 2 * SAMPLED
"""And never more than this: it takes a second to see how many there are."""

SAMPLES = 2048
"""The most samples that are kept."""

FAILURES = 64
"""The most failures that are kept."""

FAILURE_BYTES = 64 * 1024
"""A failure of more bytes is cut down before it is kept."""

LABEL = 120
"""A label is cut to so many characters."""

LINE = 300
"""And what was wrong, in a line, to so many."""

TRACEBACK = 6 * 1024
"""Of a traceback so many characters are told, the last ones."""

FADES = 0.8
"""Of how late the loop was so much is left the next time that something is due: a second later, or less."""

TOLD = 1024
"""The most samples in an answer."""

TOLD_TEXT = 128 * 1024
"""The last failures are told, as many as have about so many characters of tracebacks."""

DRIFT = 1e-3
"""The clock of an engine may run away from the hub's by so many seconds a second."""

_PARTLY = int(Status.PARTLY)
_ERRORS = frozenset({int(Status.ERROR), _PARTLY})
_SHIFT = FINEST.bit_length() - 1


class Buckets:
    """A histogram that grows: how often something took less than 16, 32, 64 ... µs."""

    __slots__ = ("counts", "total")

    def __init__(self) -> None:
        self.counts = [0] * (BUCKETS + 1)
        self.total = 0.0

    def add(self, seconds: float, count: int = 1) -> None:
        """Count what took so long, so many times."""
        seconds = _sane(seconds)
        self.counts[_bucket(seconds)] += count
        self.total += seconds * count

    def add_each(self, values: Sequence[float]) -> None:
        """Count what took any times."""
        low, total = min(values), sum(values)
        if not (low >= 0.0 and total <= LONGEST):
            for value in values:
                self.add(value)
            return
        lowest, highest = _bucket(low), _bucket(max(values))
        self.total += total
        if lowest == highest:
            self.counts[lowest] += len(values)
            return
        counts = self.counts
        for value in values:
            counts[_bucket(value)] += 1


def _sane(seconds: float) -> float:
    return min(LONGEST, max(0.0, seconds))  # in this order NaN becomes 0


def _bucket(seconds: float) -> int:
    bucket = (int(seconds * 1e6) >> _SHIFT).bit_length()
    return bucket if bucket < BUCKETS else BUCKETS


@dataclass(slots=True)
class Vitals:
    """How the hub's process is doing; the hub keeps it up to date.

    Attributes
    ----------
    messages_in, bytes_in, messages_out, bytes_out
        What has come and gone.
    lag
        How late (seconds) the loop came to something that was due: the worst of late, fading.
    rss, cpu
        Its memory (bytes; 0: unknown), and how long (seconds of a core) it has worked.
    """

    messages_in: int = 0
    bytes_in: int = 0
    messages_out: int = 0
    bytes_out: int = 0
    lag: float = 0.0
    rss: int = 0
    cpu: float = 0.0

    def came_late(self, seconds: float) -> None:
        """Take note of how late the loop came to what was due."""
        self.lag = max(0.0, seconds, FADES * self.lag)

    def came(self, size: int) -> None:
        """Count a message that has come, of so many bytes."""
        self.messages_in += 1
        self.bytes_in += size

    def went(self, size: int) -> None:
        """Count a message that was sent, of so many bytes."""
        self.messages_out += 1
        self.bytes_out += size


@dataclass(frozen=True, slots=True)
class _Mark:
    """How many requests had ended when something was noted."""

    count: int
    row: tuple[Any, ...]


class Clocks:
    """What the clocks of engines are behind the hub's: the least that their results seem to take."""

    __slots__ = ("_behind",)

    def __init__(self) -> None:
        self._behind: dict[int, tuple[float, float]] = {}

    def behind(self, engine: int, ended: float, now: float) -> float:
        """Return by how much an engine's clock is behind, of a result that says when it ended."""
        seen = now - ended
        known = self._behind.get(engine)
        if known is not None:
            seen = min(seen, known[0] + DRIFT * (now - known[1]))
        self._behind[engine] = seen, now
        return seen

    def forget(self, engine: int) -> None:
        """Forget an engine: another one may have its id."""
        self._behind.pop(engine, None)


class Figures:
    """The counters, histograms and samples of a hub.

    Attributes
    ----------
    queue, run, total
        Of tasks that an engine has ended: how long they were with the hub before their last run began,
        how long that took, and both.
    command
        How long commands ran.
    ended
        How many requests have ended, anyhow.
    unix_offset
        What the hub's clock lacks to Unix time (seconds).
    started
        When the hub began (Unix time, seconds).
    vitals
        How the process is doing.
    """

    def __init__(self) -> None:
        self.queue, self.run, self.total = Buckets(), Buckets(), Buckets()
        self.command = Buckets()
        self.ended = 0
        self.unix_offset = self.started = 0.0
        self.vitals = Vitals()
        self.clocks = Clocks()
        self._samples: deque[_Mark] = deque(maxlen=SAMPLES)
        self._failures: deque[_Mark] = deque(maxlen=FAILURES)
        self._watched_until = 0.0
        self._began = 0.0  # the second that is counted
        self._before = 0  # how many had ended then
        self._stride = 1
        self._taken = 0

    # ------------------------------------------------------------ durations

    def took(self, submitted: float, times: Sequence[float], now: float) -> None:
        """Count how long tasks took that came together, and whose results are here now.

        Only the hub's clock is asked, and how long they ran: clocks of hosts differ.
        """
        since = now - submitted
        self.total.add(since, len(times))
        self.run.add_each(times)
        self.queue.add_each([since - each if each < since else 0.0 for each in times])

    # ------------------------------------------------------------ samples

    def look(self, now: float) -> None:
        """Take note that somebody looks: requests are sampled for a while."""
        if now >= self._watched_until:
            self._begin_second(now)
            self._stride = 1
        self._watched_until = now + WATCHED

    def ends_here(self) -> None:
        """Count a request that no engine has ended: of such there are no samples."""
        self.ended += 1

    def ends(self, count: int, now: float) -> range | None:
        """Count requests that end together; return which of them are to be sampled, or None."""
        before = self.ended
        self.ended = before + count
        if now >= self._watched_until:
            return None
        if now >= self._began + 1.0:
            passed = (before - self._before) / (now - self._began)
            self._stride = max(1, -int(-passed // SAMPLED))
            self._begin_second(now)
        if self._taken >= MOST_SAMPLED:
            return None
        chosen = range(-before % self._stride, count, self._stride)[: MOST_SAMPLED - self._taken]
        self._taken += len(chosen)
        return chosen or None

    def _begin_second(self, now: float) -> None:
        self._began, self._before, self._taken = now, self.ended, 0

    def sample(self, outcome: Outcome, label: str, kind: str, now: float) -> None:
        """Keep a request that has ended on an engine; `ends` has counted it."""
        number, status, value, engine, started, elapsed, _ = outcome
        elapsed, at = _sane(elapsed), now + self.unix_offset
        # What no engine has begun, or one with a broken clock, is said to have begun as it ended.
        ended = started + elapsed if 0.0 < started < LAST_MOMENT else at
        ended += self.clocks.behind(engine, ended, at)
        error = summary_of(status, value)[:LINE] if status in _ERRORS else ""
        row = (number, engine, label[:LABEL], ended - elapsed, ended, how_ended(status), error, kind)
        self._samples.append(_Mark(self.ended, row))

    def failed(self, outcome: Outcome, label: str, now: float) -> None:
        """Keep a request that has failed; what is wrong is read when somebody asks."""
        number, status, value, engine, *_ = outcome
        if size_of(value) > FAILURE_BYTES:
            value = _cut(status, value)
        row = (number, label[:LABEL], engine, now + self.unix_offset, status, value)
        # It is counted when its batch has been gone through: whoever looks sees both, or neither.
        self._failures.append(_Mark(self.ended + 1, row))

    # ------------------------------------------------------------ reading

    def samples_since(self, cursor: int) -> list[tuple[Any, ...]]:
        """Return the last samples since so many had ended, oldest first."""
        return [mark.row for mark in self._samples if mark.count > cursor][-TOLD:]

    def failures_since(self, cursor: int) -> list[tuple[Any, ...]]:
        """Return the last failures since so many had ended, oldest first."""
        found: deque[tuple[Any, ...]] = deque()
        room = TOLD_TEXT
        for mark in reversed(self._failures):
            if mark.count <= cursor or room <= 0:
                break
            found.appendleft(_told(mark.row))
            room -= len(found[0][-1])
        return list(found)

    def latency(self) -> dict[str, tuple[list[int], float]]:
        """Return the histograms, by name."""
        named = {"queue": self.queue, "run": self.run, "total": self.total, "command": self.command}
        return {name: (list(each.counts), each.total) for name, each in named.items()}

    def check(self) -> None:
        """Assert that the histograms of tasks have the same."""
        assert sum(self.queue.counts) == sum(self.run.counts) == sum(self.total.counts)
        assert all(mark.count <= self.ended for mark in (*self._samples, *self._failures))


def _cut(status: int, value: Payload) -> Payload:
    """Return a failure without what is too much of it."""
    if status == _PARTLY:
        return b""
    failure = failure_of(value)
    # The exception itself goes, and what is left is as short as it is told.
    return pack_failure(type(failure)(
        failure.code, failure.ename[:LINE], failure.evalue[:LINE], failure.traceback[-TRACEBACK:]
    ))  # fmt: skip


def _told(row: tuple[Any, ...]) -> tuple[Any, ...]:
    number, label, engine, ended, status, value = row
    if status == _PARTLY:
        return (number, label, engine, ended, SOME_ITEMS, "")
    failure = failure_of(value)
    line = f"{failure.ename}: {failure.evalue}"[:LINE]
    return (number, label, engine, ended, line, failure.traceback[-TRACEBACK:])

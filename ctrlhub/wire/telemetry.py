"""What a hub measures, as clients get it: the answer of ``telemetry.read``, in plain values.

Counts grow from the start of a hub's process (`Telemetry.started`), and begin anew with the next. Times
are Unix times of the hub's clock, durations in seconds.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate
from typing import Any, Self

BUCKETS = 33
"""So many bounds has a histogram."""

FINEST = 16
"""The lowest bound (microseconds); each further one is twice as high."""

BOUNDS: tuple[float, ...] = tuple(FINEST * 2**n / 1e6 for n in range(BUCKETS))
"""The upper bounds of a histogram's buckets (seconds): from 16 µs to 19 hours."""


@dataclass(frozen=True, slots=True)
class Histogram:
    """How often something took how long.

    Attributes
    ----------
    counts
        How often it took less than each of `bounds`, and not less than the one before; and last, how
        often it took longer than all of them.
    sum
        How long it took together (seconds).
    bounds
        The upper bounds of the buckets (seconds).
    """

    counts: tuple[int, ...] = (0,) * (BUCKETS + 1)
    sum: float = 0.0
    bounds: tuple[float, ...] = BOUNDS

    @property
    def count(self) -> int:
        """How often there was anything."""
        return sum(self.counts)

    @property
    def mean(self) -> float | None:
        """How long it took on average (seconds); None if it never happened."""
        count = self.count
        return self.sum / count if count else None

    def quantile(self, share: float) -> float | None:
        """Return about how long (seconds) this share took at most; None if it never happened.

        Between the bounds of a bucket it is taken to be spread evenly.

        Raises
        ------
        ValueError
            It is no share, between 0 and 1.
        """
        if not 0 <= share <= 1:
            raise ValueError(f"a share lies between 0 and 1, not {share!r}")
        reached = list(accumulate(self.counts))
        if not reached[-1]:
            return None
        rank = share * reached[-1]
        bucket = bisect_left(reached, max(rank, 1e-9))
        if bucket >= len(self.bounds):
            return self.bounds[-1]
        low = self.bounds[bucket - 1] if bucket else 0.0
        before = reached[bucket - 1] if bucket else 0
        return low + (self.bounds[bucket] - low) * (rank - before) / self.counts[bucket]

    def since(self, earlier: Histogram) -> Histogram:
        """Return what was added since an earlier one of the same hub."""
        pairs = zip(self.counts, earlier.counts, strict=True)
        return replace(
            self, counts=tuple(now - before for now, before in pairs), sum=self.sum - earlier.sum
        )


@dataclass(frozen=True, slots=True)
class EngineTelemetry:
    """An engine, now.

    Attributes
    ----------
    id, state, host, pid, engine_set
        As in `Client.status`.
    cpu
        How many cores it uses, its child processes included; None if that is unknown.
    cpu_seconds
        How many seconds of a core it has used, while this hub had it; None if that is unknown.
    rss
        The memory (bytes) that it and its child processes have, what several share counted for each;
        None if that is unknown.
    running
        The request that runs there, as far as the hub knows; 0 for none.
    label
        Its label.
    running_since
        Since when, by the hub's clock; 0.0 for nothing.
    commands, tasks
        How many it has that have not ended, running ones included.
    completed
        How many requests it has ended.
    restarts
        How often another process came in its place, while this hub had it.
    """

    id: int
    state: str
    host: str
    pid: int
    engine_set: str
    cpu: float | None
    cpu_seconds: float | None
    rss: int | None
    running: int
    label: str
    running_since: float
    commands: int
    tasks: int
    completed: int
    restarts: int


@dataclass(frozen=True, slots=True)
class QueueDepth:
    """The tasks of a client and priority that wait for an engine.

    Attributes
    ----------
    session
        The client's; -1 for all clients beyond those that are listed.
    client
        Its host and process.
    priority, queued
        Their priority, and how many they are.
    """

    session: int
    client: str
    priority: int
    queued: int


@dataclass(frozen=True, slots=True)
class TaskSample:
    """A task or command that has ended on an engine.

    Attributes
    ----------
    id, engine, label
        The request, where it ran, its label.
    begun, ended
        When, by the hub's clock, as far as it can be told: what the engine's clock says, put right by
        what it is ahead or behind.
    status
        ``ok``, ``error`` or ``aborted``.
    error
        What was wrong, in a line; empty if nothing was.
    kind
        ``task`` or ``command``.
    """

    id: int
    engine: int
    label: str
    begun: float
    ended: float
    status: str
    error: str
    kind: str = "task"


@dataclass(frozen=True, slots=True)
class Failure:
    """A request that has failed.

    Attributes
    ----------
    id, label, engine
        The request, its label, where it ran (-1: nowhere).
    ended
        When the hub heard of it.
    error, traceback
        What was wrong, in a line and in full.
    """

    id: int
    label: str
    engine: int
    ended: float
    error: str
    traceback: str


@dataclass(frozen=True, slots=True)
class StoreTelemetry:
    """The store.

    Attributes
    ----------
    kind
        ``sqlite``, ``postgres`` or ``memory``.
    bytes
        How many bytes it takes, as of some seconds ago.
    requests
        How many it has.
    trouble
        Why nothing can be stored now; empty if it can.
    """

    kind: str = "memory"
    bytes: int = 0
    requests: int = 0
    trouble: str = ""


@dataclass(frozen=True, slots=True)
class Telemetry:
    """What a hub has measured.

    Attributes
    ----------
    time
        When it was asked.
    cursor
        How many requests have ended since the hub began: what to pass as `since` next time.
    started
        When the hub's process began; another value says that counts have begun anew.
    counters
        What only grows, by name: see docs/metrics.md.
    gauges
        What rises and falls, by name: the same.
    queued, running
        The tasks that wait, and that run, as in `Client.status`.
    latency
        Of tasks that have ended on an engine ``queue`` (from coming to the hub to the beginning of the
        last run), ``run`` (that run) and ``total``; and ``command``, how long commands ran.
    engines
        All engines.
    queues
        What waits, by client and priority.
    tasks
        Requests that have ended since `since`: all, or of very many an even sample.
    missed
        How many have ended since that are not among them.
    failures
        The last of those that have failed since.
    store
        The store.
    """

    time: float
    cursor: int
    started: float
    counters: Mapping[str, int]
    gauges: Mapping[str, float]
    queued: int
    running: int
    latency: Mapping[str, Histogram]
    engines: tuple[EngineTelemetry, ...]
    queues: tuple[QueueDepth, ...]
    tasks: tuple[TaskSample, ...]
    missed: int
    failures: tuple[Failure, ...]
    store: StoreTelemetry

    @classmethod
    def from_answer(cls, answer: Mapping[str, Any]) -> Self:
        """Make it of the answer of ``telemetry.read``; what a newer hub says besides is left out."""
        bounds = tuple(answer["bounds"])
        return cls(
            time=answer["time"],
            cursor=answer["cursor"],
            started=answer["started"],
            counters=dict(answer["counters"]),
            gauges=dict(answer["gauges"]),
            queued=answer["queued"],
            running=answer["running"],
            latency={
                name: Histogram(tuple(counts), total, bounds)
                for name, (counts, total) in answer["latency"].items()
            },
            engines=engines_of(answer),
            queues=tuple(QueueDepth(*row[:4]) for row in answer["queues"]),
            tasks=tuple(TaskSample(*row[:8]) for row in answer["tasks"]),
            missed=answer["missed"],
            failures=tuple(Failure(*row[:6]) for row in answer["failures"]),
            store=StoreTelemetry(*answer["store"][:4]),
        )


def engines_of(answer: Mapping[str, Any]) -> tuple[EngineTelemetry, ...]:
    """Return the engines of an answer of ``telemetry.read`` or ``telemetry.engines``."""
    return tuple(EngineTelemetry(*row[:15]) for row in answer["engines"])


def merged(first: Telemetry, further: Sequence[EngineTelemetry]) -> Telemetry:
    """Return telemetry with the engines that did not fit into its answer."""
    return replace(first, engines=(*first.engines, *further))

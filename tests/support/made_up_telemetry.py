"""Telemetry of a hub that there is not: as many engines and tasks as are wanted, the same each time."""

from __future__ import annotations

import random
from collections.abc import Iterator

from ctrlhub.wire.telemetry import (
    BUCKETS,
    EngineTelemetry,
    Failure,
    Histogram,
    QueueDepth,
    StoreTelemetry,
    TaskSample,
    Telemetry,
)

LABELS = ("fit", "predict", "load", "simulate", "reduce")
TRACEBACK = """Traceback (most recent call last):
  File "model.py", line 41, in fit
    return solve(matrix, vector)
  File "model.py", line 17, in solve
    raise ValueError("the matrix is singular")
ValueError: the matrix is singular
"""


def looks(engines: int, rate: int, begin: float, seed: int = 7) -> Iterator[Telemetry]:
    """Yield what a hub would say once a second, for ever.

    Parameters
    ----------
    engines
        How many there are.
    rate
        How many tasks end in a second.
    begin
        The time of the first look.
    seed
        Chance, the same each time.
    """
    chance = random.Random(seed)
    done = failed = submitted = cursor = 0
    counts = [0] * (BUCKETS + 1)
    completed = [0] * engines
    memory = [chance.randint(120, 900) * 10**6 for _ in range(engines)]
    failures: list[Failure] = []
    second = 0
    while True:
        now = begin + second
        second += 1
        ended = int(rate * chance.uniform(0.85, 1.1)) if engines else 0
        broken = sum(chance.random() < 0.004 for _ in range(min(ended, 500)))
        submitted += int(ended * chance.uniform(0.9, 1.15))
        done += ended - broken
        failed += broken
        cursor += ended
        centre = 8 if rate > 1000 else 14
        for _ in range(min(ended, 1000)):
            counts[min(BUCKETS, max(0, round(chance.gauss(centre, 1.6))))] += max(1, ended // 1000)
        shown = min(ended, 400)
        tasks = []
        for place in range(shown):
            engine = chance.randrange(engines)
            end = now - 1 + place / shown
            took = min(0.9, chance.expovariate(shown / engines * 0.9) + 0.0005)
            wrong = place < broken
            label = chance.choice(LABELS)
            tasks.append(TaskSample(cursor - shown + place, engine, label, end - took, end,
                "error" if wrong else "ok", "ValueError: the matrix is singular" if wrong else ""))  # fmt: skip
            if wrong:
                failures.append(Failure(cursor - shown + place, label, engine, end, "ValueError: the matrix is singular", TRACEBACK))
        failures = failures[-50:]
        rows = []
        for n in range(engines):
            completed[n] += ended // engines
            busy = chance.random() < 0.86
            state = "suspect" if n % 97 == 13 else "draining" if n % 61 == 7 else "busy" if busy else "idle"
            rows.append(EngineTelemetry(n, state, f"node{n // 16:02d}", 41000 + n, "slurm-a" if n % 3 else "local",
                round(chance.uniform(0.7, 1.05), 2) if busy else 0.02, second * 0.8, memory[n], cursor + n if busy else 0,
                chance.choice(LABELS) if busy else "", now - chance.uniform(0, 2) if busy else 0.0,
                0, chance.randint(1, 9) if busy else 0, completed[n], int(n % 41 == 3)))  # fmt: skip
        waiting = [int(rate * share * chance.uniform(0.8, 1.2)) for share in (1.4, 0.5, 0.2)] if engines else [0, 0, 0]
        queues = tuple(
            QueueDepth(n, f"login{n}:{5100 + n}", (0, 10, 0)[n], queued) for n, queued in enumerate(waiting) if queued
        )
        yield Telemetry(
            now, cursor, begin - 3600, {"tasks_submitted": submitted, "tasks_done": done, "tasks_failed": failed}, {}, sum(waiting),
            sum(row.running > 0 for row in rows), {"total": Histogram(tuple(counts))}, tuple(rows), queues, tuple(tasks),
            ended - shown, tuple(failures), StoreTelemetry("sqlite", 41_500_000 + 900 * done, done + failed),
        )  # fmt: skip

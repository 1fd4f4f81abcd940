"""What the hub has counted is what its clients have seen, also where engines die."""

from __future__ import annotations

import asyncio
import os
import signal
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ctrlhub import AsyncClient, Client, Cluster
from ctrlhub.error import EngineError
from ctrlhub.wire.telemetry import EngineTelemetry, Telemetry
from tests.support.processes import Command, until
from tests.support.state import own_state

MANY = 10_000


@pytest.fixture
def engines(tmp_path: Path) -> Iterator[Client]:
    """A client of a cluster of this test's own."""
    with own_state(tmp_path / "state"), Cluster(n=3) as client:
        yield client


def does(number: int) -> int:
    """Raise now and then."""
    if number % 97 == 0:
        raise ValueError(number)
    return number


def how(result: Any) -> str:
    """Say how a task ended, as its client sees it."""
    if result.cancelled():
        return "cancelled"
    return "done" if result.exception() is None else "failed"


def ended(seen: Telemetry) -> dict[str, int]:
    """Return how many tasks have ended, by how."""
    return {name: seen.counters[f"tasks_{name}"] for name in ("done", "failed", "cancelled")}


def test_the_totals_are_exact(engines: Client) -> None:
    """Of ten thousand tasks of which some raise, some are cancelled, and some lose their engine."""
    client = engines
    view = client.load_balanced_view()
    first = client.telemetry()
    results = [view.apply_async(does, number) for number in range(MANY)]
    victim = min(client.telemetry().engines, key=lambda engine: engine.id)
    client.send_signal("SIGKILL", victim.id)
    for result in results[-MANY // 10 :]:
        result.cancel()
    client.wait(results)
    seen_here = Counter(how(result) for result in results)
    assert seen_here["done"]
    assert seen_here["failed"]

    seen = client.telemetry(first.cursor)
    assert ended(seen) == {name: seen_here[name] for name in ("done", "failed", "cancelled")}
    assert seen.counters["tasks_submitted"] == MANY
    assert seen.cursor - first.cursor == MANY
    assert len(seen.tasks) + seen.missed == MANY
    assert (seen.queued, seen.running, seen.queues) == (0, 0, ())
    assert seen.tasks
    assert all(first.time - 1.0 < each.begun <= each.ended < seen.time + 1.0 for each in seen.tasks)
    counts = [seen.latency[name].count for name in ("queue", "run", "total")]
    assert counts == [counts[0]] * 3
    # Those that were cancelled before an engine had them have no times.
    assert MANY - seen_here["cancelled"] <= counts[0] <= MANY
    assert {failure.error.partition(":")[0] for failure in seen.failures} == {"ValueError"}
    assert all("raise ValueError" in failure.traceback for failure in seen.failures)
    until(lambda: client.telemetry().counters["engine_restarts"] == 1, "the engine is back")
    seen = client.telemetry()
    assert seen.counters["engines_lost"] == 1
    assert {engine.id: engine.restarts for engine in seen.engines}[victim.id] == 1


def test_what_an_engine_uses_is_known_while_it_lets_nothing_else_run(engines: Client) -> None:
    """Its nanny looks: a call that holds the interpreter for minutes is no reason to know nothing."""
    client = engines

    def seen() -> EngineTelemetry:
        return client.telemetry().engines[1]

    running = client[1].apply_async(lambda: sum(range(10**11)))
    until(lambda: seen().running, "it runs")
    before = until(lambda: seen().cpu_seconds, "it is told")
    until(lambda: (seen().cpu_seconds or 0.0) > before + 0.3, "it is told again")
    # On a busy machine it may have had no time at all between two looks.
    engine = until(lambda: (found := seen()).cpu and found, "it has had time")
    assert engine.running
    assert (engine.cpu or 0.0) < 1.5
    assert engine.rss is not None
    assert engine.rss > 1024 * 1024
    client.send_signal("SIGKILL", 1)
    assert isinstance(running.exception(), EngineError)


def test_a_hub_that_is_killed_begins_to_count_anew(command: Command) -> None:
    """The next one says when it began, and a cursor of before does no harm."""
    command.start("-n", "1")
    with Client(timeout=60.0) as client:
        client.load_balanced_view().map_sync(does, range(1, 90))
        before = client.telemetry()
        os.kill(client.status()["hub"]["pid"], signal.SIGKILL)
        after = until(
            lambda: (seen := client.telemetry(before.cursor)).started > before.started and seen,
            "another hub is there",
        )
        assert after
        assert after.counters["tasks_submitted"] == 0
        client.load_balanced_view().map_sync(does, range(1, 90))
        counters = client.telemetry().counters
        # What the hub had told to the client and not stored yet comes back, too.
        assert counters["tasks_submitted"] == 89
        assert counters["tasks_done"] == 89 + counters["tasks_returned"]
    assert command.run("stop").returncode == 0


def test_in_asyncio_too(engines: Client) -> None:
    """The same, awaited."""

    async def main() -> Telemetry:
        async with AsyncClient(client=engines) as client:
            await client.load_balanced_view().apply(does, 1)
            return await client.telemetry()

    assert asyncio.run(main()).counters["tasks_done"] == 1

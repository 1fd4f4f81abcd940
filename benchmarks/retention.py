"""What a hub with default retention keeps of many tasks: ``python -m benchmarks.retention``.

Runs tasks in rounds, each of which is fetched, and prints after every tenth part how large store
and hub are. The store must stay below what retention allows, and the hub must not grow: the exit code
says whether that is so.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import psutil

from benchmarks.measure import MB
from benchmarks.started import started
from ctrlhub import Client
from ctrlhub.controller.config import HubConfig

ROUND = 10_000
ROUND_BYTES = 16 * 1024 * 1024
"""Of a round: what is not fetched yet is kept anyway."""
TENTH = 10
GROWTH_MB = 32.0
"""So much (MB) the hub's memory may differ between the first fifth and the end: what its allocator keeps,
and what waits to be stored."""
IN_FLIGHT_BYTES = 96 * 1024 * 1024
"""Besides what retention keeps, a store has a write-ahead log, and what is not fetched or not tidied up."""


def run(client: Client, count: int, size: int) -> Iterator[tuple[int, float, float]]:
    """Run tasks that return so many bytes; yield how many there were, and sizes of store and hub (MB)."""
    view = client.load_balanced_view()
    done = 0
    while done < count:
        batch = min(ROUND, count // TENTH, count - done, max(1, ROUND_BYTES // max(1, size)))
        results = view.map_async(bytes, [size] * batch, chunksize=1)
        assert sum(map(len, results.get())) == size * batch
        client.purge_local_results("all")
        done += batch
        yield done, stored(client) / MB, resident(client) / MB


def stored(client: Client) -> int:
    """Return how many bytes the store has: the files, or what it says itself."""
    state = client.status()["store"]
    place = Path(state["where"])
    if state["kind"] != "sqlite":
        return int(state["bytes"])
    sizes = []
    for path in place.rglob("*"):
        try:
            sizes.append(path.stat().st_size)
        except FileNotFoundError:  # it has gone meanwhile
            continue
    return sum(sizes)


def resident(client: Client) -> int:
    """Return how many bytes of memory the hub has."""
    return int(psutil.Process(client.status()["hub"]["pid"]).memory_info().rss)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run it; return 1 if something grew that must not."""
    parser = argparse.ArgumentParser(description=__doc__, prog="python -m benchmarks.retention")
    parser.add_argument("--tasks", type=int, default=1_000_000, help="how many")
    parser.add_argument("--bytes", type=int, default=8, help="how many each of them returns")
    parser.add_argument("--store", default="sqlite", help="as for ctrl-hub start")
    told = parser.parse_args(arguments)
    limit = (HubConfig().history_bytes + IN_FLIGHT_BYTES) / MB
    largest, hub_sizes, shown, began = 0.0, [], 0, time.monotonic()
    with started(2, told.store) as client:
        for done, store, hub in run(client, told.tasks, told.bytes):
            largest = max(largest, store)
            hub_sizes.append(hub)
            if done * TENTH // told.tasks > shown:
                shown = done * TENTH // told.tasks
                seconds = time.monotonic() - began
                print(f"{done:>9,} tasks {seconds:6.0f} s   store {store:7.1f} MB   hub {hub:7.1f} MB")
    early = max(hub_sizes[: max(1, len(hub_sizes) // 5)])
    growth = hub_sizes[-1] - early
    good = largest <= limit and growth <= GROWTH_MB
    print(json.dumps({
        "tasks": told.tasks, "bytes": told.bytes, "store_max_MB": round(largest, 1),
        "store_limit_MB": round(limit, 1), "hub_early_MB": round(early, 1),
        "hub_end_MB": round(hub_sizes[-1], 1), "good": good,
    }))  # fmt: skip
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())

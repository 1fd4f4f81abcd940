"""How long it takes until work goes on after a hub, or an engine, was killed: ``python -m benchmarks.recovery``."""

from __future__ import annotations

import argparse
import os
import signal
import tempfile
import time
from collections.abc import Callable
from typing import Any

from benchmarks.started import started
from ctrlhub import Client

WAIT = 120.0
"""Seconds within which each step has happened."""


def brief(number: int) -> int:
    """Be a task of 20 ms."""
    time.sleep(0.02)
    return number


def until(happened: Callable[[], Any]) -> float:
    """Wait for something; return how long (seconds) it took."""
    begun = time.monotonic()
    while not happened():
        if time.monotonic() - begun > WAIT:
            raise TimeoutError
        time.sleep(0.005)
    return time.monotonic() - begun


def hub_killed(client: Client, tasks: int) -> float:
    """Kill the hub while tasks are queued; return the time to the first result of the next."""
    view = client.load_balanced_view()
    results = [view.apply_async(brief, number) for number in range(tasks + 1000)]
    until(lambda: results[500].done() and client.status()["store"]["requests"] >= tasks)
    pid = client.status()["hub"]["pid"]
    begun = time.monotonic()
    os.kill(pid, signal.SIGKILL)
    until(lambda: client.status()["hub"]["pid"] != pid)
    done = sum(result.done() for result in results)
    until(lambda: sum(result.done() for result in results) > done)
    taken = time.monotonic() - begun
    client.abort(results)
    return taken


def engine_killed(client: Client) -> float:
    """Kill an engine; return the time until what it ran runs elsewhere."""
    with tempfile.NamedTemporaryFile() as file:

        def where(path: str = file.name) -> int:
            with open(path, "a") as journal:
                journal.write(f"{os.getpid()}\n")
            time.sleep(1.0)
            return os.getpid()

        def runs() -> list[int]:
            with open(file.name) as journal:
                return [int(line) for line in journal]

        result = client.load_balanced_view().apply_async(where)
        until(runs)
        os.kill(runs()[0], signal.SIGKILL)
        taken = until(lambda: len(runs()) > 1)
        result.get(WAIT)
        return taken


def main() -> None:
    """Start a cluster in a directory of its own, and print the times."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--engines", type=int, default=16)
    parser.add_argument("--tasks", type=int, default=10_000)
    parser.add_argument("--repeats", type=int, default=3)
    chosen = parser.parse_args()
    with started(chosen.engines, timeout=WAIT) as client:
        client.wait_for_engines(chosen.engines, timeout=WAIT)
        for _ in range(chosen.repeats):
            print(f"engine killed, its task runs elsewhere: {engine_killed(client):.2f} s")
            client.wait_for_engines(chosen.engines, timeout=WAIT)
        for _ in range(chosen.repeats):
            taken = hub_killed(client, chosen.tasks)
            print(f"hub killed, the first result of the next one: {taken:.2f} s")


if __name__ == "__main__":
    main()

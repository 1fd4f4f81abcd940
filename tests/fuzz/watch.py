"""The watch: whether a hub under attack goes on to serve the others, and does not grow."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from pathlib import Path

import psutil

from ctrlhub import Client, EngineError

ENGINES = (0, 1)

PAUSE = 0.02

HANG = 60.0
"""Seconds within which a round of small requests ends, or the hub hangs."""

GROWTH = 256 * 1024 * 1024
"""So many bytes a hub may grow by: its history, and what it holds for sessions until they expire."""

DESCRIPTORS = 400
"""So many more descriptors it may have while attackers are here."""

FAILED = ("Traceback (most recent call last)", "the hub failed on")


@dataclass(frozen=True, slots=True)
class Measure:
    """A hub's size."""

    memory: int
    descriptors: int


class Watch:
    """A client that works all the time with engines of its own, and looks at the hub.

    Parameters
    ----------
    client
        Its client, which is closed with it.
    hub
        The hub's process.
    log
        The hub's log.
    """

    def __init__(self, client: Client, hub: int, log: Path) -> None:
        self._client, self._hub, self._log = client, psutil.Process(hub), log
        self._over = threading.Event()
        self._error: BaseException | None = None
        self.rounds = self.struck = 0
        self.longest = 0.0
        self._last = time.monotonic()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        self.before = self.measure()
        self.most = self.before

    def _run(self) -> None:
        try:
            while not self._over.wait(PAUSE):
                began = time.monotonic()
                try:
                    self._round(self.rounds)
                except EngineError:
                    self.struck += 1  # what attackers give real engines to run may kill them
                    self._client.wait_for_engines(len(ENGINES), timeout=HANG)
                self.longest = max(self.longest, time.monotonic() - began)
                self.rounds += 1
                self._last = time.monotonic()
        except BaseException as error:
            self._error = error

    def _round(self, number: int) -> None:
        view, balanced = self._client[list(ENGINES)], self._client.load_balanced_view(list(ENGINES))
        assert view.apply_async(int, number).get(HANG) == [number] * 2
        assert balanced.map_async(pow, range(20), [2] * 20).get(HANG) == [n * n for n in range(20)]
        assert self._client.status()["hub"]["pid"] == self._hub.pid

    def measure(self) -> Measure:
        """Return how large the hub is now."""
        return Measure(self._hub.memory_info().rss, self._hub.num_fds())

    def problems(self) -> list[str]:
        """Say what is wrong now."""
        if not self._hub.is_running() or self._hub.status() == psutil.STATUS_ZOMBIE:
            return ["the hub has ended"]
        now = self.measure()
        self.most = Measure(
            max(self.most.memory, now.memory), max(self.most.descriptors, now.descriptors)
        )
        found = []
        if self._error is not None:
            found.append(f"the others are disturbed: {self._error!r}")
        elif time.monotonic() - self._last > HANG:
            found.append(f"the others were not served for {HANG:g} s")
        if now.memory > self.before.memory + GROWTH:
            found.append(f"the hub grew from {self.before.memory:,} to {now.memory:,} bytes")
        if now.descriptors > self.before.descriptors + DESCRIPTORS:
            found.append(f"the hub has {now.descriptors} descriptors, of {self.before.descriptors}")
        return found

    def failures(self) -> list[str]:
        """Return what the hub says of faults of its own."""
        lines = self._log.read_text(errors="replace").splitlines()
        found: dict[str, None] = {}
        for k, line in enumerate(lines):
            if any(each in line for each in FAILED):
                found["\n".join(lines[max(0, k - 1) : k + 25])] = None
        return list(found)

    def close(self) -> None:
        """End it."""
        self._over.set()
        self._thread.join(HANG)
        self._client.close()

"""A hub under attack for a while."""

from __future__ import annotations

import pickle
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from ctrlhub import Cluster
from ctrlhub.wire.connection import ConnectionInfo
from ctrlhub.wire.places import Profile
from tests.fuzz.attackers import COUNTS, Attack
from tests.fuzz.traffic import record
from tests.fuzz.watch import HANG, Measure, Watch
from tests.support.processes import until

PROFILE = "fuzz"

OPTIONS = {
    "beat": 0.5, "suspect": 2.0, "lost": 5.0, "session_ttl": 1.0, "history_records": 200,
    "history_bytes": 8 * 1024 * 1024, "max_outstanding": 5000, "max_engines": 64, "max_sessions": 500,
}  # fmt: skip
"""Little is kept for long, so that what grows is seen."""

CROWD = 24

LOOK = 0.5
"""Seconds between two looks at the hub."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of it."""

    said: int
    came: int
    aborted: int
    refused: int
    rounds: int
    longest: float
    struck: int
    before: Measure
    most: Measure
    after: Measure
    problems: list[str]
    failures: list[str]


class Attackers:
    """Attackers in a process of their own, and others where that has ended.

    libzmq aborts a process that closes a connection in the midst of a message in the very moment in which
    the other side does (4.3.5, session_base.cpp, clean_pipes); whoever spoils messages sees that soon.
    """

    def __init__(self, orders: Attack) -> None:
        self._orders = orders
        self._past = [0, 0, 0]
        self.aborted = 0
        self._begin()

    def _begin(self) -> None:
        orders = replace(self._orders, seed=1000 * self._orders.seed + self.aborted)
        orders.counts.write_bytes(COUNTS.pack(0, 0, 0))
        command = [sys.executable, "-m", "tests.fuzz.attackers"]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, cwd=Path(__file__).parents[2])
        assert self._process.stdin is not None
        with self._process.stdin as told:
            pickle.dump(orders, told)

    def look(self) -> None:
        """Put others in the place of those that have ended.

        Raises
        ------
        AssertionError
            They ended in another way than by libzmq's fault.
        """
        code = self._process.poll()
        if code is None:
            return
        assert code == -signal.SIGABRT, f"attackers ended with {code}"
        self._past = self.counts
        self.aborted += 1
        self._begin()

    @property
    def counts(self) -> list[int]:
        """How many messages they said, how many they were, and how many of them were not answered."""
        counts = COUNTS.unpack(self._orders.counts.read_bytes())
        return [a + b for a, b in zip(self._past, counts, strict=True)]

    def close(self) -> None:
        """End them, without a word."""
        self._process.kill()
        self._process.wait()


def fuzz(seed: int, seconds: float, tell: Callable[[str], None]) -> Outcome:
    """Attack a hub of its own; its state is where the environment says."""
    cluster = Cluster(n=2, profile=PROFILE, listen="127.0.0.1", **OPTIONS)
    with cluster:
        profile = Profile.named(PROFILE)
        files = profile.connection_client, profile.connection_engine
        corpus = record(cluster, *map(ConnectionInfo.load, files))
        tell(f"{len(corpus.messages)} messages recorded")
        watch = Watch(cluster.connect_client_sync(), cluster.pids["hub"], profile.logs / "hub.log")
        attackers = Attackers(Attack(corpus, *files, seed, CROWD, profile.logs / "counts"))
        try:
            problems = _attack(attackers, watch, seconds, tell)
        finally:
            attackers.close()
        said, came, unanswered = attackers.counts
        if unanswered:
            problems.append(f"{unanswered} who did as they should were not answered")
        problems += _afterwards(watch)
        refused = 0 if problems else cluster.client.status()["hub"]["refused"]
        watch.close()
        return Outcome(
            said, came, attackers.aborted, refused, watch.rounds, watch.longest, watch.struck,
            watch.before, watch.most, watch.most if problems else watch.measure(), problems,
            watch.failures(),
        )  # fmt: skip


def _attack(
    attackers: Attackers, watch: Watch, seconds: float, tell: Callable[[str], None]
) -> list[str]:
    began = said = time.monotonic()
    while (now := time.monotonic()) < began + seconds:
        attackers.look()
        if problems := watch.problems():
            return problems
        if now >= said:
            said = now + 60
            counts = attackers.counts
            tell(f"{now - began:6.0f} s: {counts[0]} messages, {watch.rounds} rounds, {watch.measure()}")
        time.sleep(LOOK)
    return []


def _afterwards(watch: Watch) -> list[str]:
    """See that the hub is as it was, once the attackers have gone."""
    rounds = watch.rounds
    try:
        until(lambda: watch.rounds > rounds + 3 or watch.problems(), "the others are served", HANG)
        until(
            lambda: watch.problems() or watch.measure().descriptors <= watch.before.descriptors + 10,
            f"the hub has {watch.before.descriptors} descriptors again",
        )
    except AssertionError as error:
        return [str(error), *watch.problems()]
    return watch.problems()

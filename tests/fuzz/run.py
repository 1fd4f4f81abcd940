"""A hub under attack for a while."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from random import Random

from ctrlhub import Cluster
from ctrlhub.wire.connection import ConnectionInfo
from ctrlhub.wire.places import Profile
from tests.fuzz.attackers import Crowd
from tests.fuzz.mutation import Mutator
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

LOOK = 1.0
"""Seconds between two looks at the hub."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of it."""

    said: int
    came: int
    refused: int
    rounds: int
    longest: float
    struck: int
    before: Measure
    most: Measure
    after: Measure
    problems: list[str]
    failures: list[str]


def fuzz(seed: int, seconds: float, tell: Callable[[str], None]) -> Outcome:
    """Attack a hub of its own; its state is where the environment says."""
    cluster = Cluster(n=2, profile=PROFILE, listen="127.0.0.1", **OPTIONS)
    with cluster:
        profile = Profile.named(PROFILE)
        for_clients = ConnectionInfo.load(profile.connection_client)
        for_engines = ConnectionInfo.load(profile.connection_engine)
        corpus = record(cluster, for_clients, for_engines)
        tell(f"{len(corpus.messages)} messages recorded")
        random = Random(seed)
        watch = Watch(cluster.connect_client_sync(), cluster.pids["hub"], profile.logs / "hub.log")
        crowd = Crowd(for_clients, for_engines, Mutator(corpus, random), random, CROWD)
        try:
            problems = _attack(crowd, watch, seconds, tell)
        finally:
            crowd.close()
        if not problems:
            problems = _afterwards(watch, crowd)
        refused = 0 if problems else cluster.client.status()["hub"]["refused"]
        watch.close()
        after = watch.most if problems else watch.measure()
        return Outcome(
            crowd.said, crowd.came, refused, watch.rounds, watch.longest, watch.struck,
            watch.before, watch.most, after, problems, watch.failures(),
        )  # fmt: skip


def _attack(crowd: Crowd, watch: Watch, seconds: float, tell: Callable[[str], None]) -> list[str]:
    began = time.monotonic()
    look = said = began
    while (now := time.monotonic()) < began + seconds:
        crowd.turn()
        if now >= look:
            look = now + LOOK
            if problems := watch.problems():
                return problems
        if now >= said:
            said = now + 60
            tell(f"{now - began:6.0f} s: {crowd.said} messages, {watch.rounds} rounds, {watch.measure()}")
    return []


def _afterwards(watch: Watch, crowd: Crowd) -> list[str]:
    """See that the hub is as it was, once the attackers have gone."""
    rounds = watch.rounds
    found = [f"{crowd.unanswered} who did as they should were not answered"] if crowd.unanswered else []
    try:
        until(lambda: watch.rounds > rounds + 3 or watch.problems(), "the others are served", HANG)
        until(
            lambda: watch.measure().descriptors <= watch.before.descriptors + 10,
            f"the hub has {watch.before.descriptors} descriptors again",
        )
    except AssertionError as error:
        found.append(str(error))
    return found + watch.problems()

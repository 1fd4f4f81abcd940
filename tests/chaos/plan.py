"""The plan: which fault strikes when, for how long, and whom; from a seed. No I/O."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from random import Random


class Kind(Enum):
    """What can happen to a cluster."""

    KILL_HUB = "hub killed"
    STOP_HUB = "hub stopped"
    KILL_ENGINE = "engine killed"
    STOP_ENGINE = "engine stopped"
    RESTART_ENGINE = "engine restarted"
    KILL_NANNY = "nanny killed"
    STOP_NANNY = "nanny stopped"
    KILL_CLIENT = "client killed"
    STOP_CLIENT = "client stopped"
    CUT = "node cut off"


LASTING = {Kind.STOP_HUB, Kind.STOP_ENGINE, Kind.STOP_NANNY, Kind.STOP_CLIENT, Kind.CUT}
"""Those that end again."""

PER_MINUTE: Mapping[Kind, float] = {
    Kind.KILL_HUB: 6,
    Kind.STOP_HUB: 2,
    Kind.KILL_ENGINE: 12,
    Kind.STOP_ENGINE: 4,
    Kind.RESTART_ENGINE: 2,
    Kind.KILL_NANNY: 2,
    Kind.STOP_NANNY: 1,
    Kind.KILL_CLIENT: 3,
    Kind.STOP_CLIENT: 3,
    Kind.CUT: 4,
}
"""How often each strikes, unless told otherwise."""

SHORTEST, LONGEST = 0.1, 5.0
"""Seconds that a fault lasts that ends again: shorter and longer than a peer is suspected after."""

CALM = 0.05
"""This part of the time at the beginning is without faults."""


@dataclass(frozen=True, slots=True)
class Strike:
    """One fault."""

    at: float
    """Seconds after the beginning."""
    kind: Kind
    pick: float
    """Who of several is struck: 0 to 1."""
    lasts: float = 0.0
    """Seconds, for those that end again."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What happens to a cluster, in order."""

    seed: int
    seconds: float
    strikes: tuple[Strike, ...]

    def counts(self) -> Mapping[Kind, int]:
        """Return how often each kind strikes."""
        return Counter(strike.kind for strike in self.strikes)


def make_plan(seed: int, seconds: float, counts: Mapping[Kind, int] | None = None) -> Plan:
    """Draw a plan.

    Parameters
    ----------
    seed
        The same seed, time and counts give the same plan.
    seconds
        How long faults strike.
    counts
        How often each kind strikes that is not to strike as `PER_MINUTE` says.
    """
    random, given = Random(seed), counts or {}
    strikes = []
    for kind in Kind:
        count = given.get(kind, round(PER_MINUTE[kind] * seconds / 60))
        for _ in range(count):
            at = seconds * random.uniform(CALM, 1.0)
            lasts = SHORTEST * (LONGEST / SHORTEST) ** random.random() if kind in LASTING else 0.0
            strikes.append(Strike(at, kind, random.random(), lasts))
    return Plan(seed, seconds, tuple(sorted(strikes, key=lambda strike: strike.at)))

"""How tests are shared out among the workers of pytest-xdist.

A share is what one worker runs as a whole: a module, as with ``--dist loadfile``, or a package whose
modules have a cluster in common, which no other worker then has to start. The contract suite is a share for
each transport, and for each launcher. What takes longest goes first: a long share begun last keeps one worker busy while
the others have nothing left to do.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from typing import Protocol, TypeVar

import pytest
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling

APART = re.compile(r"(tests/contract/test_launchers\.py|tests/contract)[/:][^\[]*(\[\w+)[-\]]")
"""A package and a module whose tests have a cluster, or a site, for each first parameter."""

TRANSPORTS = ("[memory", "[ipc", "[tcp", "[http")

TOGETHER = ("tests/integration/security",)
"""Packages whose modules share a cluster."""

LONGEST = (
    "tests/integration/test_slurm.py",
    "tests/integration/web/test_gateway_dies.py",
    "tests/integration/guarantees/test_draining.py",
    "tests/contract[ipc]",
    "tests/contract[http]",
    "tests/contract[tcp]",
    "tests/integration/jupyter/test_lab.py",
    "tests/integration/guarantees/test_hosts.py",
    "tests/integration/guarantees/test_engine_death.py",
    "tests/integration/web/test_dashboard.py",
    "tests/integration/guarantees/test_store.py",
    "tests/integration/security",
    "tests/integration/guarantees/test_hub_death.py",
    "tests/integration/test_ssh_launcher.py",
    "tests/contract/test_launchers.py[slurm]",
    "tests/contract/test_launchers.py[ssh]",
    "tests/contract/test_launchers.py[sge]",
    "tests/contract/test_launchers.py[mpi]",
    "tests/integration/web/test_dashboard_made_up.py",
    "tests/integration/guarantees/test_sessions.py",
    "tests/integration/guarantees/test_postgres_store.py",
    "tests/integration/guarantees/test_early_deaths.py",
    "tests/conformance/test_cpython.py",
    "tests/conformance/test_joblib.py",
    "tests/integration/test_notebooks.py",
    "tests/fuzz/test_fuzz.py",
    "tests/chaos/test_chaos.py",
    "tests/integration/test_magics.py",
    "tests/integration/test_dead_hub.py",
    "tests/integration/test_cluster_on_slurm.py",
    "tests/contract[memory]",
    "tests/integration/test_mpi.py",
    "tests/integration/test_storms.py",
    "tests/integration/test_cli.py",
    "tests/integration/test_nanny.py",
    "tests/integration/test_postgres.py",
    "tests/integration/test_engine_sets.py",
    "tests/integration/test_bulk.py",
    "tests/integration/test_shared_memory.py",
    "tests/integration/test_interrupted_waits.py",
    "tests/integration/guarantees/test_orphans.py",
    "tests/unit/wire/test_codec.py",
)
"""Shares of more than some ten seconds, the longest first: `make test ARGS=--durations=20` tells them."""


class HasNodeid(Protocol):
    """What is looked at of a test."""

    @property
    def nodeid(self) -> str:
        """Its module, name and parameters."""


T = TypeVar("T", bound=HasNodeid)


class Shares(LoadScopeScheduling):
    """Gives each worker one share after the other, in the order of the collection."""

    def __init__(self, config: pytest.Config, log: Producer) -> None:
        config.option.loadscopereorder = False
        super().__init__(config, log)

    def _split_scope(self, nodeid: str) -> str:
        return share_of(nodeid)


def share_of(nodeid: str) -> str:
    """Name the share that a test belongs to."""
    module = nodeid.split("::", 1)[0]
    apart = APART.match(nodeid)
    if apart is not None and (apart[1] == module or apart[2] in TRANSPORTS):
        return f"{apart[1]}{apart[2]}]"
    package = module.rpartition("/")[0]
    return package if package in TOGETHER else module


def longest_first(items: Sequence[T]) -> list[T]:
    """Order tests by share: the known long ones, then those of most tests. Within a share nothing changes."""
    tests = Counter(share_of(item.nodeid) for item in items)
    known = {share: place for place, share in enumerate(LONGEST)}

    def place(item: T) -> tuple[int, int, str]:
        share = share_of(item.nodeid)
        return known.get(share, len(known)), -tests[share], share

    return sorted(items, key=place)


def by_duration(reports: Iterable[pytest.TestReport]) -> list[tuple[float, str]]:
    """Say how long (seconds) each share took, setting up and tearing down included; the longest first."""
    took: defaultdict[str, float] = defaultdict(float)
    for report in reports:
        took[share_of(report.nodeid)] += report.duration
    return sorted(((seconds, share) for share, seconds in took.items()), reverse=True)

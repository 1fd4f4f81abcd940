"""How tests are shared out among the workers of pytest-xdist.

A share is what one worker runs as a whole: a module, as with ``--dist loadfile``, or a package whose
modules have a cluster in common, which no other worker then has to start. The contract suite is a share for
each transport. What takes longest goes first: a long share begun last keeps one worker busy while
the others have nothing left to do.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from typing import Protocol, TypeVar

import pytest
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling

TRANSPORT = re.compile(r"(tests/contract)/[^\[]*\[(memory|ipc|tcp|http)[-\]]")
TOGETHER = ("tests/integration/security",)
"""Packages whose modules share a cluster."""

LONGEST = (
    "tests/contract[http]",
    "tests/contract[tcp]",
    "tests/contract[ipc]",
    "tests/integration/web/test_dashboard.py",
    "tests/integration/web/test_gateway_dies.py",
    "tests/integration/security",
    "tests/integration/web/test_dashboard_made_up.py",
)
"""Shares of more than some ten seconds, the longest first."""


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
    if transport := TRANSPORT.match(nodeid):
        return f"{transport[1]}[{transport[2]}]"
    module = nodeid.split("::", 1)[0]
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

"""One cluster for all tests here, whose engines are on TCP, as is a client that goes about its business.

After each test that client has gone on, and the hub has neither sessions nor descriptors that it did
not have before.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest

from ctrlhub import Cluster
from ctrlhub.wire.messages import Role
from tests.support.bystander import Bystander
from tests.support.census import INTERFACES, census_installed
from tests.support.intruder import Member
from tests.support.processes import until
from tests.support.state import own_state
from tests.support.target import Target

TIMES: dict[str, Any] = {"beat": 0.5, "suspect": 2.0, "lost": 10.0, "session_ttl": 1.0}
"""Seconds; the sessions of those who just disappear shall end within a test."""

EVERYBODY = {"admin": 2, "engine": 2, "nanny": 1}
"""The sessions of the cluster, its owner and the bystander."""


@pytest.fixture(scope="package")
def target(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    """A cluster with two engines on TCP."""
    with (
        own_state(tmp_path_factory.mktemp("state")),
        census_installed(tmp_path_factory.mktemp("site")),
    ):
        cluster = Cluster(n=2, profile="target", prefer="tcp", interfaces=INTERFACES, **TIMES)
        with cluster:
            yield Target(cluster)


@pytest.fixture(scope="package")
def bystander(target: Target) -> Iterator[Bystander]:
    """A client on TCP that is at work all the time."""
    bystander = Bystander(target.cluster.connect_client_sync())
    bystander.goes_on()
    yield bystander
    bystander.close()


@pytest.fixture(scope="package")
def before(target: Target, bystander: Bystander) -> tuple[Mapping[str, int], int]:
    """What the hub keeps when nobody misbehaves, once all who belong there are connected."""
    seen: list[tuple[Mapping[str, int], int]] = []

    def settled() -> bool:
        seen.append(target.kept())
        return len(seen) > 20 and all(each == seen[-1] for each in seen[-20:])

    until(lambda: target.kept()[0] == EVERYBODY, "the cluster and the bystander are there")
    until(settled, "nobody opens another connection")
    return seen[-1]


@pytest.fixture
def undisturbed(
    target: Target, bystander: Bystander, before: tuple[Mapping[str, int], int]
) -> Iterator[None]:
    """The others are served, during and after; the hub keeps nothing of what was tried."""
    sessions, descriptors = before
    bystander.goes_on(1)
    yield
    bystander.goes_on()

    def nothing_is_left() -> bool:
        now, open_now = target.kept()
        return now == sessions and open_now <= descriptors

    until(nothing_is_left, f"the hub has {sessions} and {descriptors} descriptors again")
    assert target.owner.ids == [0, 1]


@pytest.fixture
def members(target: Target) -> Iterator[Callable[[Role], Member]]:
    """Registered peers of any role, which leave at the end."""
    made: list[Member] = []

    def make(role: Role) -> Member:
        made.append(Member.registered(target.info(role), role))
        return made[-1]

    yield make
    for member in made:
        member.leave()

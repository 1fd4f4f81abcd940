"""Schemes of one's own: named by module and class, or by an entry point."""

from __future__ import annotations

from importlib.metadata import EntryPoint, EntryPoints
from typing import Any

import pytest

from ctrlhub.cluster.cluster import Cluster
from ctrlhub.controller.config import HubConfig
from ctrlhub.controller.core.policies import LeastLoad
from ctrlhub.controller.interfaces.finding import find_policy
from ctrlhub.wire import messages as m
from tests.support.exchange import Exchange, Line, rows_of
from tests.support.taskqueue import an_engine

NAME = f"{__name__}:Highest"


class Highest(LeastLoad):
    """A policy that takes the engine with the highest id."""

    def next(self) -> Any:
        """Take it."""
        found = []
        while (slot := super().next()) is not None:
            found.append(slot)
        if not found:
            return None
        best = max(found, key=lambda slot: slot.engine.id)
        for slot in found:
            if slot is not best:
                self.add(slot)
        return best


@pytest.fixture
def plugged(monkeypatch: pytest.MonkeyPatch) -> None:
    """An installed package has an entry point for it."""
    points = EntryPoints([EntryPoint("highest", NAME, "ctrlhub.schemes")])
    monkeypatch.setattr("importlib.metadata.entry_points", lambda group: points.select(group=group))


def test_a_scheme_is_named_by_its_class() -> None:
    """And says which engine gets a task."""
    exchange = Exchange(HubConfig(task_scheme=NAME))
    client = Line(exchange, "client")
    client.register(m.Role.ADMIN)
    engines = [an_engine(exchange, f"engine {n}") for n in range(3)]
    client.submit(1)
    assert [len(rows_of(engine.heard())) for engine in engines] == [0, 0, 1]


@pytest.mark.usefixtures("plugged")
def test_a_scheme_is_named_by_its_entry_point() -> None:
    """The configuration knows what is installed, and lists it where a name is wrong."""
    assert find_policy(HubConfig(task_scheme="highest").task_scheme) is Highest
    with pytest.raises(ValueError, match=r"one of leastload.*, highest, or name a class"):
        HubConfig(task_scheme="lowest")


@pytest.mark.parametrize("name", ["nosuch", "module:", ":Class", "a b:C", "a:b.c", "a..b:C"])
def test_what_cannot_be_a_scheme_is_refused_where_it_is_said(name: str) -> None:
    """Before anything is started."""
    with pytest.raises(ValueError, match="task_scheme must be one of"):
        Cluster(n=1, scheme=name)


def test_what_is_no_policy_is_refused() -> None:
    """With what it lacks."""
    with pytest.raises(ValueError, match="is no policy: it lacks add, discard, next, check"):
        find_policy("collections:Counter")


def test_a_cluster_takes_scheme_and_order() -> None:
    """By the names of the command's options, or those of the hub's."""
    made = Cluster(n=1, scheme="lru", task_order="lifo")._hub
    assert (made.task_scheme, made.task_order) == ("lru", "lifo")
    assert Cluster(n=1, task_scheme="weighted")._hub.task_scheme == "weighted"

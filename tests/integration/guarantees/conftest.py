"""Clusters whose processes are killed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ctrlhub import Client, Cluster
from tests.support.journal import Journal

Start = Callable[..., Client]


@pytest.fixture
def clusters(state: Path) -> Iterator[list[Cluster]]:
    """The clusters of this test, which end with it."""
    started: list[Cluster] = []
    yield started
    for cluster in started:
        cluster.stop()


@pytest.fixture
def start(clusters: list[Cluster]) -> Start:
    """Start a cluster of two engines with the given options; return its client."""

    def start(n: int = 2, **options: Any) -> Client:
        clusters.append(Cluster(n=n, **options))
        return clusters[-1].start()

    return start


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    """Where tasks note that they run."""
    return Journal(tmp_path)

"""An interface for tests that tells what a hub keeps, and how to have it in a hub process."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from ctrlhub.controller.core.sessions import Session
from ctrlhub.controller.interfaces.base import Interface, exposed
from ctrlhub.controller.interfaces.taskqueue import TaskQueue

INTERFACES = (
    "multiengine", "control", "start_hooks", "logs", "tasks", "query", "history", "sessions", "census",
)  # fmt: skip
"""The hub's option `interfaces` that exposes it."""


class Census(Interface):
    """The interface that counts."""

    name = "census"

    @exposed
    def sessions(self, caller: Session) -> dict[str, int]:
        """Return how many sessions there are of each role."""
        return dict(Counter(str(session.role) for session in self.context.sessions))

    @exposed
    def tasks(self, caller: Session) -> int:
        """Return of how many tasks the hub has a record."""
        queue = self.context.interfaces["tasks"]
        assert isinstance(queue, TaskQueue)
        return len(queue._tasks)


@contextmanager
def census_installed(site: Path) -> Iterator[None]:
    """Let hubs that are started meanwhile find the interface by its entry point."""
    metadata = site / "census-1.dist-info"
    metadata.mkdir(parents=True)
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: census\nVersion: 1\n")
    (metadata / "entry_points.txt").write_text(
        f"[ctrlhub.interfaces]\ncensus = {__name__}:Census\n"
    )
    with pytest.MonkeyPatch.context() as patch:
        for place in (Path(__file__).parents[2], site):
            patch.setenv("PYTHONPATH", str(place), prepend=os.pathsep)
        yield

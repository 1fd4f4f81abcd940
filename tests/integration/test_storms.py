"""Hundreds of engines that come to a hub in the same moment, over ipc and over TCP."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import pytest

from ctrlhub import Client, Cluster
from ctrlhub.wire.places import Profile
from tests.support.processes import until
from tests.support.state import own_state
from tests.support.storm import Storm, proportional_memory

COUNT = 300

MOST = 128_000
"""What a hub may need for each engine (bytes): with its own 22 MB, of 1,000 of them, the 150 MB of an issue."""

Way = Literal["ipc", "tcp"]


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A hub without engines, which listens both ways."""
    with own_state(tmp_path_factory.mktemp("state")):
        cluster = Cluster(n=0, profile="storm", listen="127.0.0.1", max_engines=COUNT)
        cluster.start()
        try:
            yield cluster
        finally:
            cluster.stop()


@pytest.mark.parametrize("way", ["ipc", "tcp"])
def test_all_are_registered_and_kept(cluster: Cluster, way: Way, tmp_path: Path) -> None:
    """None is refused, none is lost, the ids are without a gap; the hub answers, and stays small."""
    file = Profile.named("storm").connection_engine
    with Client(profile="storm", timeout=60.0) as client:
        hub = client.status()["hub"]["pid"]
        before = proportional_memory(hub)
        with Storm(file, COUNT, way, tmp_path / "log") as storm:
            storm.begin()
            until(lambda: storm.have_all_joined, "all have joined")
            until(lambda: client.ids == list(range(COUNT)), "the client knows them all")
            joinings = storm.total("joinings")
            until(lambda: storm.least("beats") >= 3, "each has beaten, and been heard, three times")
            assert storm.have_all_joined
            assert not storm.refused()
            # One that is not heard for a while on a busy machine comes again; that is rare.
            assert joinings <= storm.total("joinings") <= joinings + COUNT
            states = {engine["state"] for engine in client.status()["engines"]}
            assert states <= {"idle", "suspect"}
            # What the handshakes took is given back once they are over.
            until(lambda: proportional_memory(hub) - before < COUNT * MOST, "the hub is small")
        until(lambda: client.ids == [], "all have left")

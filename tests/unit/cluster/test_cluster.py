"""`Cluster` before anything is started."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from ctrlhub.cluster.cluster import Cluster
from ctrlhub.cluster.errors import ClusterError
from ctrlhub.cluster.local import available_cores
from ctrlhub.wire.errors import TooManyEngines
from ctrlhub.wire.places import Profile


def test_as_many_engines_as_cores() -> None:
    """Without a number every core has its engine."""
    assert Cluster().n == available_cores()


def test_no_more_engines_than_the_hub_takes() -> None:
    """The default number obeys a small limit; a number that was asked for is refused."""
    assert Cluster(max_engines=1).n == 1
    with pytest.raises(TooManyEngines, match="max_engines=2"):
        Cluster(3, max_engines=2)


@pytest.mark.parametrize("n", [-1, 1.5, "2", True])
def test_a_number_is_a_number(n: Any) -> None:
    """What could not be a number of engines is refused at once."""
    with pytest.raises(ValueError, match="n must be"):
        Cluster(n)


@pytest.mark.parametrize("n", [-1, 1.5, "2", True])
def test_a_number_is_a_number_at_the_start_too(n: Any) -> None:
    """`start_and_connect_sync` is as strict, and the cluster stays as it was."""
    cluster = Cluster(1, max_engines=2)
    with pytest.raises(ValueError, match="n must be"):
        cluster.start_and_connect_sync(n)
    with pytest.raises(TooManyEngines, match="max_engines=2"):
        cluster.start_and_connect_sync(3)
    assert cluster.n == 1


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"profile": "../x"}, ValueError),
        ({"prefer": "pigeon"}, ValueError),
        ({"beat": -1.0}, ValueError),
        ({"nonsense": 1}, TypeError),
    ],
)
def test_a_wrong_option_is_an_error_of_its_line(
    options: dict[str, Any], error: type[Exception]
) -> None:
    """It does not wait for the start."""
    with pytest.raises(error):
        Cluster(1, **options)


def test_making_one_starts_and_makes_nothing(tmp_path: Path) -> None:
    """Until `start` there is no process and no file."""
    cluster = Cluster(2, state_dir=tmp_path)

    assert list(tmp_path.iterdir()) == []
    assert cluster.pids == {"hub": None, "nannies": []}
    assert repr(cluster) == "<Cluster(n=2): not running>"


def test_a_cluster_of_others_is_told_from_none(tmp_path: Path) -> None:
    """Where somebody else runs the profile, that is said, with the hub's process, rather than that none runs."""
    cluster = Cluster(2, profile="shared", state_dir=tmp_path)
    assert cluster.look().described == "not running"
    place = Profile.named("shared", tmp_path)
    place.directory.mkdir(parents=True, mode=0o700)
    lock = place.hub_lock()
    lock.acquire()
    try:
        assert cluster.look().described == f"not started here; one of this profile runs (hub pid {os.getpid()})"
        assert f"{os.getpid()}" in repr(cluster)
    finally:
        lock.release()
    assert cluster.look().described == "not running"


def test_there_are_to_be_as_many_engines_as_what_follows_the_queue_wants() -> None:
    """Not as many as were asked for before; when nothing follows it, it is those again."""
    cluster = Cluster(4)
    follower = SimpleNamespace(running=True, wanted=None)
    cluster._adapter = follower  # type: ignore[assignment]
    assert cluster.look().n == 4
    follower.wanted = 3
    assert cluster.look().n == 3
    follower.running = False
    assert cluster.look().n == 4


def test_there_is_no_client_before_the_start() -> None:
    """Whoever asks for it learns what to do."""
    cluster = Cluster(1)
    with pytest.raises(ClusterError, match=r"start\(\)"):
        _ = cluster.client
    with pytest.raises(ClusterError, match=r"start\(\)"):
        cluster.connect_client_sync()


def test_stopping_what_does_not_run_is_harmless(tmp_path: Path) -> None:
    """`stop` may come twice, or first; it makes nothing."""
    cluster = Cluster(1, state_dir=tmp_path)
    cluster.stop()
    cluster.stop_cluster_sync()

    assert list(tmp_path.iterdir()) == []


def test_making_one_is_light() -> None:
    """What only a start needs is imported by the start, while hub and engines come up."""
    script = "import sys, ctrlhub; ctrlhub.Cluster(1); print(*sys.modules)"
    loaded = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    ).stdout.split()
    heavy = ("IPython", "asyncio", "click", "numpy", "tornado", "zmq")
    assert [name for name in loaded if name in heavy] == []

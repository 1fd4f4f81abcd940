"""A `Cluster` whose engines a real Slurm runs: they come, become more and fewer, and leave no job."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ctrlhub import Cluster
from ctrlhub.cluster.errors import ClusterError, StartFailed
from tests.support.launching import SlurmSite
from tests.support.processes import Command, until
from tests.support.slurm import Slurm
from tests.support.state import own_state

PENDS = {"queue": "idle"}
"""A partition that is down: what is submitted there waits."""

OWNER = """
import sys
from ctrlhub import Cluster
cluster = Cluster(n=1, launcher="slurm", launcher_options={"queue": "idle"}, wait_for=0)
cluster.start()
print("started", flush=True)
sys.stdin.read()
"""

ENDS = """
import sys
from ctrlhub import Cluster
cluster = Cluster(n=1, launcher="slurm", launcher_options={"queue": "idle"}, wait_for=0)
cluster.start()
for _ in range(int(sys.argv[1])):
    cluster.start_engines_sync(1)
other = Cluster(n=0)
other.start()
"""


@pytest.fixture(scope="module")
def slurm(
    tmp_path_factory: pytest.TempPathFactory, require_system_part: Callable[[str, bool], None]
) -> Iterator[Slurm]:
    """A Slurm of two nodes."""
    require_system_part(*SlurmSite.needs())
    with SlurmSite(tmp_path_factory.mktemp("slurm")) as site:
        yield site.slurm


@pytest.fixture
def state(tmp_path: Path, slurm: Slurm) -> Iterator[Path]:
    """A state directory for this test."""
    with own_state(tmp_path / "state") as directory:
        yield directory


def test_engines_of_a_batch_system_come_become_more_and_fewer(state: Path, slurm: Slurm) -> None:
    """Each growth is a job; a job ends when its last engine has left, and all with the cluster."""
    with Cluster(n=2, launcher="slurm") as client:
        cluster = client.cluster
        assert client[:].apply_sync(os.getenv, "SLURM_JOB_NAME") != [None, None]
        (first,) = cluster.engines.values()
        assert (first.launcher, first.n, len(first.jobs)) == ("slurm", 2, 1)
        assert cluster.scale(3) == [0, 1, 2]
        assert len(slurm.queue()) == 2

        here = cluster.start_engines_sync(1, launcher="local", launcher_options={})
        client.wait_for_engines(4, timeout=60)
        assert client[cluster.engines[here].ids].apply_sync(os.getenv, "SLURM_JOB_NAME") == [None]

        client[[0, 1]].apply_async(signal.pause)
        until(lambda: cluster.scale(2, first.name) == [0, 1], "the idle one goes")
        until(lambda: len(slurm.queue()) == 1, "its job ends")
        assert len(cluster.scale(3, first.name)) == 3
        assert cluster.engines[first.name].asked == 3  # what has ended is forgotten
    assert slurm.queue() == []


def test_a_cluster_without_engines_gets_them_of_its_launcher(state: Path, slurm: Slurm) -> None:
    """By its number and by the queue, also after all were ended; a set that was never there is none."""
    with Cluster(n=0, launcher="slurm") as client:
        cluster = client.cluster
        assert cluster.scale(1) == [0]
        assert client[0].apply_sync(os.getenv, "SLURM_JOB_NAME") is not None
        cluster.stop_engines_sync()
        assert slurm.queue() == []
        assert cluster.adapt(0, 1, interval=0.1) is not None
        task = client.load_balanced_view().apply_async(os.getenv, "SLURM_JOB_NAME")
        assert task.get(timeout=60) is not None
        with pytest.raises(ClusterError, match="no set of engines 'nobody'"):
            cluster.scale(1, "nobody")

        waiting = cluster.start_engines_sync(1, "waiting", launcher="slurm", launcher_options=PENDS)
        cluster.scale(0, waiting)
        cluster.scale(2, waiting, timeout=None)
        assert cluster.engines[waiting].asked == 2
        assert cluster.engines[waiting].launcher == "slurm"
        until(lambda: len(slurm.queue()) == 2, "those two wait, and what followed the queue has left")
    assert slurm.queue() == []


def test_what_waits_in_the_queue_is_counted_on_and_cancelled_first(state: Path, slurm: Slurm) -> None:
    """Nobody is ordered twice, and no engine goes in the place of one that has not come."""
    with Cluster(n=1, launcher="slurm", launcher_options=PENDS, wait_for=0) as client:
        cluster = client.cluster
        assert client.ids == []
        assert cluster.scale(3, timeout=None) == []
        assert cluster.scale(3, timeout=None) == []
        assert len(slurm.queue()) == 2
        assert "0 of 3" in repr(cluster)
        with pytest.raises(TimeoutError, match="0 of 3 engines"):
            cluster.scale(3, timeout=0.1)
        cluster.scale(1, timeout=None)
        assert len(slurm.queue()) == 1
        cluster.stop_engines_sync()
        assert slurm.queue() == []
        assert cluster.engines == {}


def test_a_job_that_waits_and_is_too_large_gives_way_to_a_smaller_one(state: Path, slurm: Slurm) -> None:
    """By number and by the queue; no engine that is there goes for it."""
    with Cluster(n=4, launcher="slurm", launcher_options=PENDS, wait_for=0) as client:
        cluster = client.cluster
        cluster.scale(3, timeout=None)
        assert cluster.engines[cluster.default_set].asked == 3
        assert len(slurm.queue()) == 1
        adapter = cluster.adapt(1, 3, idle=0.2, interval=0.1)
        assert adapter is not None
        until(lambda: cluster.engines[cluster.default_set].asked == 1 and len(slurm.queue()) == 1, "two are too many")
        assert (adapter.running, adapter.trouble) == (True, "")


def test_jobs_that_fail_at_once_are_not_submitted_for_ever(state: Path, slurm: Slurm) -> None:
    """The adapter says why, with the end of the log; each is later than the one before."""
    options = {"prologue": ["echo the module is not there >&2", "exit 3"]}
    with Cluster(n=0, launcher="slurm", launcher_options=options) as client:
        adapter = client.cluster.adapt(1, 1, interval=0.05)
        assert adapter is not None
        until(lambda: "the module is not there" in adapter.trouble, "the first has failed")
        assert "exit code 3" in adapter.trouble
        assert adapter.running


def test_a_job_that_fails_ends_the_wait_with_its_log(state: Path, slurm: Slurm) -> None:
    """In seconds, and leaves nothing."""
    options = {"prologue": ["echo the module is not there >&2", "exit 3"]}
    with pytest.raises(StartFailed, match="the module is not there"):
        Cluster(n=1, launcher="slurm", launcher_options=options, timeout=600).start()
    assert slurm.queue() == []


def test_jobs_that_fail_end_the_wait_of_scale_with_their_log(state: Path, slurm: Slurm) -> None:
    """Also those of another set than the first, and as often as it is tried."""
    options = {"prologue": ["echo the module is not there >&2", "exit 3"]}
    with Cluster(n=1, launcher="slurm") as client:
        cluster = client.cluster
        broken = cluster.start_engines_sync(1, launcher="slurm", launcher_options=options)
        for _ in range(2):
            with pytest.raises(StartFailed, match="the module is not there"):
                cluster.scale(3, broken, timeout=600)
        assert cluster.scale(2) == [0, 1]
    assert slurm.queue() == []


def test_a_job_that_waits_for_too_long_ends_the_wait_with_its_reason(
    state: Path, slurm: Slurm
) -> None:
    """It is not left in the queue."""
    with pytest.raises(StartFailed, match=r"0 of 1 engines .* pending \(PartitionDown\)"):
        Cluster(n=1, launcher="slurm", launcher_options=PENDS, timeout=2).start()
    assert slurm.queue() == []


def test_the_first_set_of_the_command_is_that_of_who_attaches(state: Path, slurm: Slurm) -> None:
    """Scaling goes on with the same launcher, and all ends with the cluster."""
    command = Command(state)
    started = command.run("start", "-n", "1", "--launcher", "slurm", "--listen", "127.0.0.1", "--daemonize")
    assert started.returncode == 0, started.stderr
    cluster = Cluster.from_file()
    try:
        with cluster as client:
            assert (cluster.launcher, cluster.n) == ("slurm", 1)
            assert cluster.scale(2) == [0, 1]
            assert client[1].apply_sync(os.getenv, "SLURM_JOB_NAME") is not None
            assert len(slurm.queue()) == 2
    finally:
        cluster.stop()
    assert slurm.queue() == []


def test_what_a_killed_program_has_left_in_the_queue_goes_with_the_next_cluster(
    state: Path, slurm: Slurm
) -> None:
    """A job of a dead cluster does not wait for its turn for ever."""
    process = subprocess.Popen(
        [sys.executable, "-c", OWNER],
        env=Command(state).environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "started\n"
    assert len(slurm.queue()) == 1
    process.kill()
    process.communicate()
    until(lambda: not Command(state).left(), "its hub ends")

    with Cluster(n=0):
        assert slurm.queue() == []


@pytest.mark.parametrize("further", [0, 1])
def test_a_program_that_simply_ends_leaves_no_job(state: Path, slurm: Slurm, further: int) -> None:
    """Without `stop`, with one set and with more: neither a job nor a file of its clusters is there any more."""
    ended = subprocess.run(
        [sys.executable, "-c", ENDS, str(further)],
        env=Command(state).environment,
        capture_output=True,
        text=True,
        timeout=100,
        check=True,
    )
    assert ended.stderr == ""
    assert slurm.queue() == []
    assert list((state / "clusters").glob("profiles/*")) == []

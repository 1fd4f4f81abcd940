"""What a job was given on a node: cores and GPUs, as schedulers and the system say."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ctrlhub.engine.given import Gpus, Node, listed, shares

UNLIMITED = {"/proc/self/cgroup": "0::/job\n", "/sys/fs/cgroup/job/cpu.max": "max 100000\n"}


def node(
    environment: Mapping[str, str] | None = None,
    files: Mapping[str, str] = UNLIMITED,
    affinity: int = 64,
    drivers: int = 0,
) -> Node:
    """Return a node of which these files are all there is."""

    def read(path: Path) -> str:
        try:
            return files[str(path)]
        except KeyError:
            raise FileNotFoundError(path) from None

    return Node(environment or {}, affinity, read, "n1.cluster", lambda: drivers)


def test_cores_that_nobody_limits() -> None:
    """All that the process may run on."""
    assert node().cores() == 64


@pytest.mark.parametrize(
    ("environment", "cores"),
    [
        ({"SLURM_CPUS_ON_NODE": "12"}, 12),
        ({"NCPUS": "3"}, 3),
        ({"PBS_NODEFILE": "/hosts"}, 2),
        ({"LSB_DJOB_HOSTFILE": "/hosts"}, 2),
        ({"PE_HOSTFILE": "/slots"}, 5),
        ({"SLURM_CPUS_ON_NODE": "200"}, 64),
        ({"SLURM_CPUS_ON_NODE": "nonsense", "NCPUS": "0"}, 64),
        ({"PBS_NODEFILE": "/not-here"}, 64),
    ],
)
def test_cores_that_a_scheduler_has_given(environment: Mapping[str, str], cores: int) -> None:
    """On this node, and never more than the process may run on."""
    files = {
        **UNLIMITED,
        "/hosts": "n1\nn1.cluster\nn2\n",
        "/slots": "n2 7 all.q@n2 UNDEFINED\nn1 5 all.q@n1 UNDEFINED\n",
    }
    assert node(environment, files).cores() == cores


@pytest.mark.parametrize(
    ("files", "cores"),
    [
        ({"/proc/self/cgroup": "0::/a/b\n", "/sys/fs/cgroup/a/cpu.max": "250000 100000\n"}, 3),
        ({"/proc/self/cgroup": "0::/a\n", "/sys/fs/cgroup/a/cpu.max": "1000 100000\n"}, 1),
        (
            {
                "/proc/self/cgroup": "1:cpu:/\n",
                "/sys/fs/cgroup/cpu/cpu.cfs_quota_us": "400000\n",
                "/sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000\n",
            },
            4,
        ),
        (
            {
                "/proc/self/cgroup": "1:cpu:/\n",
                "/sys/fs/cgroup/cpu/cpu.cfs_quota_us": "-1\n",
                "/sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000\n",
            },
            64,
        ),
        (
            {
                "/proc/self/cgroup": "4:cpu,cpuacct:/a/b\n0::/\n",
                "/sys/fs/cgroup/cpu/a/cpu.cfs_quota_us": "300000\n",
                "/sys/fs/cgroup/cpu/a/cpu.cfs_period_us": "100000\n",
            },
            3,
        ),
        ({}, 64),
    ],
)
def test_cores_that_a_control_group_leaves(files: Mapping[str, str], cores: int) -> None:
    """Its own quota, or that of a group around it; a part of a core counts as one."""
    assert node(files=files).cores() == cores


@pytest.mark.parametrize(
    ("environment", "devices", "variable"),
    [
        ({"CUDA_VISIBLE_DEVICES": "2,3"}, ("2", "3"), "CUDA_VISIBLE_DEVICES"),
        ({"CUDA_VISIBLE_DEVICES": "GPU-8f,GPU-1c"}, ("GPU-8f", "GPU-1c"), "CUDA_VISIBLE_DEVICES"),
        ({"ROCR_VISIBLE_DEVICES": "0"}, ("0",), "ROCR_VISIBLE_DEVICES"),
        ({"SLURM_JOB_GPUS": "0-2,5"}, ("0", "1", "2", "5"), "CUDA_VISIBLE_DEVICES"),
        ({"CUDA_VISIBLE_DEVICES": "1", "SLURM_JOB_GPUS": "0-3"}, ("1",), "CUDA_VISIBLE_DEVICES"),
        ({"CUDA_VISIBLE_DEVICES": ""}, (), "CUDA_VISIBLE_DEVICES"),
        ({"CUDA_VISIBLE_DEVICES": "NoDevFiles"}, (), "CUDA_VISIBLE_DEVICES"),
        ({"CUDA_VISIBLE_DEVICES": "0,-1,1"}, ("0",), "CUDA_VISIBLE_DEVICES"),
    ],
)
def test_gpus_of_a_job(
    environment: Mapping[str, str], devices: tuple[str, ...], variable: str
) -> None:
    """As the scheduler has set them, and in whichever variable; one engine is for each."""
    gpus = node(environment, drivers=8).gpus()
    assert gpus == Gpus(devices, variable, by_scheduler=True)
    assert node(environment, drivers=8).engines() == (len(devices) or 64)


def test_gpus_of_a_workstation() -> None:
    """All that have a driver are shared out; but as nobody has asked for GPUs, engines are for cores."""
    assert node(drivers=2).gpus() == Gpus(("0", "1"))
    assert node(drivers=2).engines() == 64
    assert node().gpus().shared_out(3) == ()


def test_gpus_as_asked() -> None:
    """A list counts, whatever there is, in the variable that is in use; none is none."""
    here = node({"ROCR_VISIBLE_DEVICES": "0,1"})
    assert here.gpus_as_asked("auto").devices == ("0", "1")
    assert here.gpus_as_asked("4-5").shared_out(2) == (
        {"ROCR_VISIBLE_DEVICES": "4"},
        {"ROCR_VISIBLE_DEVICES": "5"},
    )
    assert here.gpus_as_asked("none").shared_out(2) == ()


@given(st.integers(1, 20), st.integers(1, 20))
def test_shares(devices: int, engines: int) -> None:
    """Every engine has one; every device is somebody's; as evenly as may be, and in order."""
    parts = shares([str(n) for n in range(devices)], engines)
    flat = [int(each) for part in parts for each in part]
    assert len(parts) == engines
    assert flat == sorted(flat)
    assert set(flat) == set(range(devices))
    if engines <= devices:
        assert len(flat) == devices
        sizes = {len(part) for part in parts}
    else:
        assert all(len(part) == 1 for part in parts)
        sizes = {flat.count(n) for n in range(devices)}
    assert max(sizes) - min(sizes) <= 1


@given(st.text(alphabet="0123456789,-NoevFilsGPU ", max_size=30))
def test_any_list_is_read(text: str) -> None:
    """Whatever it says."""
    assert all("," not in each for each in listed(text))

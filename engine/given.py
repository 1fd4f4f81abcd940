"""What a job was given on this node: cores, and GPUs for each engine its own. No I/O but reading."""

from __future__ import annotations

import os
import platform
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path

from ctrlhub.link.control_groups import ReadText, own_groups, read_text

GPU_VARIABLES = ("CUDA_VISIBLE_DEVICES", "ROCR_VISIBLE_DEVICES", "HIP_VISIBLE_DEVICES")
"""What the libraries of GPUs read when they are loaded; schedulers set it, and so does a nanny."""

GPU_LISTS = ("SLURM_STEP_GPUS", "SLURM_JOB_GPUS", "GPU_DEVICE_ORDINAL")
"""Where schedulers say the same, for jobs in which nothing has set the variables above."""

CORE_COUNTS = ("SLURM_CPUS_ON_NODE", "NCPUS", "PBS_NUM_PPN")
"""Where schedulers say how many cores a job has on the node where this is asked."""

HOST_LISTS = ("PBS_NODEFILE", "LSB_DJOB_HOSTFILE")
"""Where they name a file that has a line for each core, with the name of its host."""

END_TIME = "SLURM_JOB_END_TIME"
"""Where Slurm says when (Unix time) a job's wall time is over."""

_NVIDIA = Path("/proc/driver/nvidia/gpus")
_RANGE = re.compile(r"(\d{1,4})-(\d{1,4})")
_NOTHING = frozenset({"", "-1", "none", "void", "NoDevFiles"})


@dataclass(frozen=True, slots=True)
class Gpus:
    """The GPUs of a node that a job may use.

    Parameters
    ----------
    devices
        What the library of the GPUs calls each: a number, or an identifier.
    variable
        Where engines are told of theirs.
    by_scheduler
        Whether somebody has given them to this job: it asked for them.
    """

    devices: tuple[str, ...] = ()
    variable: str = GPU_VARIABLES[0]
    by_scheduler: bool = False

    def shared_out(self, engines: int) -> tuple[dict[str, str], ...]:
        """Return what each engine finds in its environment; with more engines than GPUs, some share one.

        Where there are none, nothing is said of them.
        """
        if not self.devices:
            return ()
        return tuple(
            {self.variable: ",".join(part)} for part in shares(self.devices, engines)
        )


@dataclass(frozen=True, slots=True)
class Node:
    """Where to look for what this node has given.

    Parameters
    ----------
    environment
        The variables of the environment.
    affinity
        The cores that this process may run on.
    read
        Reads a file.
    host
        The node's name.
    drivers
        Lists the GPUs that the system has drivers for, by number.
    """

    environment: Mapping[str, str] = field(default_factory=lambda: dict(os.environ))
    affinity: int = field(default_factory=lambda: _affinity())
    read: ReadText = read_text
    host: str = field(default_factory=platform.node)
    drivers: Callable[[], int] = field(default=lambda: _count_of_drivers())

    def cores(self) -> int:
        """Return how many cores the job has on this node, as all say who limit them."""
        counts = [self.affinity, *self._quotas(), *self._scheduled()]
        return max(1, min(counts))

    def gpus(self) -> Gpus:
        """Return the GPUs that the job has on this node."""
        for name in GPU_VARIABLES:
            if name in self.environment:
                return Gpus(listed(self.environment[name]), name, by_scheduler=True)
        for name in GPU_LISTS:
            if name in self.environment:
                return Gpus(listed(self.environment[name]), by_scheduler=True)
        return Gpus(tuple(map(str, range(self.drivers()))))

    def gpus_as_asked(self, text: str) -> Gpus:
        """Return the GPUs of a list, with ``auto`` those that the job has, and with ``none`` none."""
        found = self.gpus()
        return found if text == "auto" else replace(found, devices=listed(text))

    def engines(self) -> int:
        """Return how many engines the node is for: one for each GPU that the job asked for, or core."""
        gpus = self.gpus()
        return len(gpus.devices) if gpus.by_scheduler and gpus.devices else self.cores()

    def ends(self) -> float | None:
        """Return when (Unix time) the job ends, as its scheduler says; None if nobody does."""
        found = self.environment.get(END_TIME, "")
        return float(found) if found.isdecimal() and int(found) else None

    def _scheduled(self) -> list[int]:
        """Return what schedulers say."""
        found = [self.environment.get(name, "") for name in CORE_COUNTS]
        counts = [int(text) for text in found if text.isdecimal() and int(text) > 0]
        for name in HOST_LISTS:
            lines = self._lines(self.environment.get(name, ""))
            counts += _positive(sum(1 for line in lines if self._is_here(line)))
        for line in self._lines(self.environment.get("PE_HOSTFILE", "")):  # Grid Engine
            host, _, rest = line.partition(" ")
            slots = rest.split(" ")[0]
            if self._is_here(host) and slots.isdecimal():
                counts += _positive(int(slots))
        return counts

    def _is_here(self, host: str) -> bool:
        return host.partition(".")[0] == self.host.partition(".")[0]

    def _lines(self, path: str) -> list[str]:
        if not path:
            return []
        try:
            return [line.strip() for line in self.read(Path(path)).splitlines()]
        except OSError:  # it is on another node
            return []

    def _quotas(self) -> list[int]:
        """Return what control groups leave of the cores: a container's, or a user's, quota of time."""
        found = []
        for group in own_groups("cpu", read=self.read):
            for directory in group.upwards():
                quota, period = self._quota(directory, group.is_old)
                if quota.isdecimal() and period.isdecimal() and int(quota) and int(period):
                    found.append(-(-int(quota) // int(period)))
        return found

    def _quota(self, directory: Path, is_old: bool) -> tuple[str, str]:
        """Return a quota and the period that it is for, as they stand there; empty where there is none."""
        try:
            if is_old:
                quota = self.read(directory / "cpu.cfs_quota_us").strip()
                return quota, self.read(directory / "cpu.cfs_period_us").strip()
            quota, _, period = self.read(directory / "cpu.max").strip().partition(" ")
        except OSError:  # the root has none, nor what is not visible from a container
            return "", ""
        return quota, period


def shares(devices: Sequence[str], engines: int) -> tuple[tuple[str, ...], ...]:
    """Share devices out: each engine has its own, neighbours beside each other, or some share one.

    >>> shares("0123", 2)
    (('0', '1'), ('2', '3'))
    >>> shares("01", 4)
    (('0',), ('0',), ('1',), ('1',))
    """
    count = len(devices)
    if engines >= count:
        return tuple((devices[n * count // engines],) for n in range(engines))
    bounds = [n * count // engines for n in range(engines + 1)]
    return tuple(tuple(devices[a:b]) for a, b in pairwise(bounds))


def listed(text: str) -> tuple[str, ...]:
    """Read a list of devices, such as ``0,1``, ``0-3`` or ``GPU-8f6a,GPU-1c2d``."""
    found: list[str] = []
    for part in text.split(","):
        word = part.strip()
        if word in _NOTHING:
            break  # as CUDA reads it: what follows is not visible
        numbers = _RANGE.fullmatch(word)
        if numbers is None:
            found.append(word)
        else:
            found += map(str, range(int(numbers[1]), int(numbers[2]) + 1))
    return tuple(found)


def _positive(count: int) -> list[int]:
    return [count] if count > 0 else []


def _affinity() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _count_of_drivers() -> int:
    try:
        return len(list(_NVIDIA.iterdir()))
    except OSError:
        return 0

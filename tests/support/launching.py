"""Where launchers work in tests: the local host, and batch systems, real ones and stand-ins."""

from __future__ import annotations

import os
import shutil
import signal
import sys
from pathlib import Path
from types import TracebackType
from typing import Any, ClassVar, Self

import pytest

from ctrlhub.cluster.launchers.base import Launcher
from tests.support import standins
from tests.support.gridengine import GridEngine, can_have_grid_engine
from tests.support.kube import KubeServer
from tests.support.processes import STATE_VARIABLE, is_alive, until
from tests.support.slurm import Slurm, can_have_slurm
from tests.support.ssh_hosts import FarHosts, can_have_sshd


class Site:
    """A place where one kind of launcher works.

    Parameters
    ----------
    place
        A directory of its own.
    """

    launcher: ClassVar[str]
    has_signals: ClassVar[bool] = True
    """Whether it can send engines' nannies a signal."""

    def __init__(self, place: Path) -> None:
        self.place = place
        self.options: dict[str, Any] = {}

    @classmethod
    def needs(cls) -> tuple[str, bool]:
        """Name what this needs of the system, and say whether it is there."""
        return "nothing", True

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        return

    def left(self, launcher: Launcher) -> list[str]:
        """Name what is left of a set in the batch system, or among the processes."""
        raise NotImplementedError


class LocalSite(Site):
    """This host."""

    launcher = "local"

    def left(self, launcher: Launcher) -> list[str]:
        """Look for the nanny."""
        pid = launcher.handle["pid"]
        return [f"process {pid}"] if is_alive(pid) else []


class MpiSite(LocalSite):
    """A real MPI on this host."""

    launcher = "mpi"

    def __init__(self, place: Path) -> None:
        super().__init__(place)
        self.options = {"mpiexec": "mpiexec --oversubscribe --allow-run-as-root"}

    @classmethod
    def needs(cls) -> tuple[str, bool]:
        """Name the package."""
        return "Open MPI (Debian: openmpi-bin)", shutil.which("mpiexec") is not None


class SshSite(Site):
    """A real ssh server on this host, which is two hosts by name."""

    launcher = "ssh"

    @classmethod
    def needs(cls) -> tuple[str, bool]:
        """Name the packages."""
        return "openssh-server and openssh-client", can_have_sshd()

    def __enter__(self) -> Self:
        self.server = FarHosts(self.place)
        self.server.start()
        self.options = {
            "hosts": "far-a,far-b",
            "ssh": self.server.ssh,
            "state_dir": str(self.place / "far state"),
        }
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.server.kill()

    def left(self, launcher: Launcher) -> list[str]:
        """Look for the nannies."""
        pids = [far["pid"] for far in launcher.handle["hosts"] if "pid" in far]
        return [f"process {pid}" for pid in pids if is_alive(pid)]


class KubernetesSite(Site):
    """A stand-in for the API server of Kubernetes; the client is the official one."""

    launcher = "kubernetes"
    has_signals = False

    def __enter__(self) -> Self:
        self.server = KubeServer(self.place).__enter__()
        self._patch = pytest.MonkeyPatch()
        self._patch.setenv("KUBECONFIG", str(self.server.config))
        self.options = {"image": "registry/engines:1", "python": sys.executable}
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._patch.undo()
        self.server.__exit__(kind, error, traceback)

    def left(self, launcher: Launcher) -> list[str]:
        """Look into the cluster."""
        cluster = self.server.cluster
        return [name for there in (cluster.jobs, cluster.secrets, cluster.pods) for _, name in there]


class SlurmSite(Site):
    """A real Slurm of two nodes."""

    launcher = "slurm"

    @classmethod
    def needs(cls) -> tuple[str, bool]:
        """Name the packages."""
        return "Slurm (Debian: slurm-wlm, munge; root)", can_have_slurm()

    def __enter__(self) -> Self:
        self.slurm = Slurm(self.place).__enter__()
        self._patch = pytest.MonkeyPatch()
        for name, value in self.slurm.environment.items():
            self._patch.setenv(name, value)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._patch.undo()
        self.slurm.close()

    def left(self, launcher: Launcher) -> list[str]:
        """Look into the queue."""
        return [line for line in self.slurm.queue() if launcher.job_name in line]


class GridEngineSite(Site):
    """A real Grid Engine of one host."""

    launcher = "sge"
    has_signals = False

    @classmethod
    def needs(cls) -> tuple[str, bool]:
        """Name the packages."""
        return (
            "Grid Engine (Debian: gridengine-master, gridengine-exec, gridengine-client; root)",
            can_have_grid_engine(),
        )

    def __enter__(self) -> Self:
        self.engine = GridEngine(self.place).__enter__()
        self._patch = pytest.MonkeyPatch()
        for name, value in self.engine.environment.items():
            self._patch.setenv(name, value)
        # Grid Engine hands on none of it, and tests find their processes by this.
        self.options = {"environment": [f"{STATE_VARIABLE}={os.environ.get(STATE_VARIABLE, '')}"]}
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._patch.undo()
        self.engine.close()

    def left(self, launcher: Launcher) -> list[str]:
        """Look into the queue."""
        return [launcher.job_name] if launcher.job_name in self.engine.queue() else []


class StandInSite(Site):
    """Stand-ins for the commands of a batch system that cannot run here."""

    def __enter__(self) -> Self:
        self._patch = pytest.MonkeyPatch()
        self._patch.setenv("PATH", f"{standins.install(self.place)}{os.pathsep}{os.environ['PATH']}")
        self._patch.setenv(standins.PLACE, str(self.place))
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        try:
            for job in standins.jobs():
                job.kill(signal.SIGKILL)
            until(lambda: all(job.is_over() for job in standins.jobs()), "no job is left")
        finally:
            self._patch.undo()

    def left(self, launcher: Launcher) -> list[str]:
        """Look for a job of its name that has not ended."""
        return [
            f"job {job.number}"
            for job in standins.jobs()
            if job.told["name"] == launcher.job_name and not job.is_over()
        ]


class PBSSite(StandInSite):
    """Stand-ins for PBS."""

    launcher = "pbs"


class LSFSite(StandInSite):
    """Stand-ins for LSF."""

    launcher = "lsf"


class HTCondorSite(StandInSite):
    """Stand-ins for HTCondor."""

    launcher = "htcondor"
    has_signals = False


SITES: list[type[Site]] = [LocalSite, MpiSite, SshSite, KubernetesSite, SlurmSite, GridEngineSite, PBSSite, LSFSite, HTCondorSite]
THOROUGH: list[type[Site]] = [LocalSite, SlurmSite]

"""Where launchers work in tests: the local host, and batch systems, real ones and stand-ins."""

from __future__ import annotations

import shutil
from pathlib import Path
from types import TracebackType
from typing import Any, ClassVar, Self

import pytest

from ctrlhub.cluster.launchers.base import Launcher
from tests.support.processes import is_alive
from tests.support.slurm import Slurm, can_have_slurm


class Site:
    """A place where one kind of launcher works.

    Parameters
    ----------
    place
        A directory of its own.
    """

    launcher: ClassVar[str]

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


SITES: list[type[Site]] = [LocalSite, MpiSite, SlurmSite]

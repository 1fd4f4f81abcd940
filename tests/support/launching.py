"""Where launchers work in tests: the local host, and batch systems, real ones and stand-ins."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType
from typing import Any, ClassVar, Self

from ctrlhub.cluster.launchers.base import Launcher
from tests.support.processes import is_alive


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


SITES: list[type[Site]] = [LocalSite]

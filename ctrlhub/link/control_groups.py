"""The control groups that this process is in, in both versions of them, and where what they say stands.

Systems have version 1 (a tree for each controller), version 2 (one tree), or both side by side. A
container may see its own group as the top, under a path that does not exist for it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

ReadText = Callable[[Path], str]


def read_text(path: Path) -> str:
    """Return what a file of the system says."""
    return path.read_text(encoding="ascii", errors="replace")


@dataclass(frozen=True, slots=True)
class ControlGroup:
    """A group that this process is in.

    Parameters
    ----------
    top
        The top of its tree.
    name
        Its place under that.
    is_old
        It is one of version 1, whose files have other names.
    """

    top: Path
    name: PurePosixPath
    is_old: bool

    @property
    def directory(self) -> Path:
        """Where it is."""
        return self.top / self.name

    def upwards(self) -> Iterator[Path]:
        """Yield where it is and where all are that it is in, the top last: each may limit it."""
        for part in (self.name, *self.name.parents):
            yield self.top / part


def own_groups(
    controller: str, root: Path = Path("/"), read: ReadText = read_text
) -> Iterator[ControlGroup]:
    """Yield the groups of this process that may say something of a controller; none where there are none.

    Parameters
    ----------
    controller
        Such as ``memory``, ``cpu`` or ``pids``.
    root
        The top of the file system.
    read
        Reads a file.
    """
    try:
        lines = read(root / "proc/self/cgroup").splitlines()
    except OSError:
        return
    tree = root / "sys/fs/cgroup"
    for line in lines:
        _, controllers, place = line.split(":", 2)
        name = PurePosixPath(place.lstrip("/"))
        if not controllers:
            yield ControlGroup(tree, name, is_old=False)
        elif controller in controllers.split(","):
            yield ControlGroup(tree / controller, name, is_old=True)

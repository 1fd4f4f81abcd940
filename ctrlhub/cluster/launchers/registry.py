"""Which launchers there are: those of the entry point group ``ctrlhub.launchers``."""

from __future__ import annotations

from importlib.metadata import EntryPoint, entry_points

from ctrlhub.cluster.errors import LauncherError
from ctrlhub.cluster.launchers.base import Launcher

GROUP = "ctrlhub.launchers"


def launcher_names() -> list[str]:
    """Return the names of all launchers; imports none of them."""
    return sorted({each.name for each in entry_points(group=GROUP)})


def launcher_named(name: str) -> type[Launcher]:
    """Return the launcher of a name.

    Raises
    ------
    ValueError
        There is none.
    LauncherError
        It cannot be imported, or is no launcher.
    """
    found = [each for each in entry_points(group=GROUP) if each.name == name]
    if not found:
        listed = ", ".join(launcher_names())
        raise ValueError(f"there is no launcher {name!r}; there are: {listed or 'none: reinstall ctrl-hub'}")
    return _loaded(found[0])


def _loaded(entry: EntryPoint) -> type[Launcher]:
    try:
        kind = entry.load()
    except ImportError as error:
        extra = f" (`pip install 'ctrl-hub[{entry.name}]'` may bring it)" if entry.extras else ""
        raise LauncherError(f"launcher {entry.name!r} cannot be loaded: {error}{extra}") from error
    if not (isinstance(kind, type) and issubclass(kind, Launcher)):
        raise LauncherError(f"launcher {entry.name!r}: {entry.value} is no Launcher")
    return kind

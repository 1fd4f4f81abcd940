"""Where the engines of a ``ctrl-hub engine`` write their logs: beside others of the profile.

They go when it ends well. When it does not they say why, and stay until the next one starts. Those of
a set stay in the set's directory, with a note of how the nanny ended.
"""

from __future__ import annotations

import os
import platform
import shutil
from dataclasses import dataclass
from pathlib import Path

from ctrlhub.cluster.launchers.endings import note_ending
from ctrlhub.wire.liveness import pid_exists
from ctrlhub.wire.places import Profile
from ctrlhub.wire.private import make_private_dir


@dataclass(frozen=True, slots=True)
class Logs:
    """The logs of one nanny's engines.

    Parameters
    ----------
    directory
        Where they are.
    stay_in
        The directory of the logs of their set; None where there is none.
    """

    directory: Path
    stay_in: Path | None = None

    @classmethod
    def of(cls, profile: Profile) -> Logs:
        """Have them in a directory among the profile's."""
        profile.make()
        return cls(make_logs(profile))

    @classmethod
    def kept(cls, directory: Path, *, as_it_is: bool = False) -> Logs:
        """Have them in a directory of a set's own, or `as_it_is` in that which its watcher has named."""
        make_private_dir(directory)
        if as_it_is:
            return cls(directory, directory)
        logs = directory / f"{platform.node()}-{os.getpid()}"
        make_private_dir(logs)
        return cls(logs, directory)

    def ended(self, code: int) -> None:
        """Remove them if nobody will ask for them, or note how it ended."""
        if self.stay_in is not None:
            note_ending(self.stay_in, code)
        elif code == 0:
            shutil.rmtree(self.directory)


def make_logs(profile: Profile) -> Path:
    """Make a directory for this process's engines, and remove those of dead ones on this host."""
    # Named after the host, too: where hosts share a home, another one's pids mean nothing here.
    prefix = f"nanny-{platform.node()}-"
    for directory in profile.logs.glob("nanny-*"):
        pid = directory.name.removeprefix(prefix)
        if pid.isdecimal() and not pid_exists(int(pid)):
            shutil.rmtree(directory, ignore_errors=True)
    logs = profile.logs / f"{prefix}{os.getpid()}"
    make_private_dir(logs)
    return logs

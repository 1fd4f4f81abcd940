"""Where the engines of a ``ctrl-hub engine`` write their logs: beside others of the profile.

They go when it ends well. When it does not they say why, and stay until the next one starts.
"""

from __future__ import annotations

import os
import platform
import shutil
from pathlib import Path

from ctrlhub.wire.liveness import pid_exists
from ctrlhub.wire.places import Profile
from ctrlhub.wire.private import make_private_dir


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

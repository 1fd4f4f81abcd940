"""Whether the hub that wrote a connection file lives, and whether another will take its place.

Told by the locks that stand beside the file, which end with the processes that hold them; for a file
that was copied elsewhere by the pid in it. Of a hub on another host nothing can be told from here.
"""

from __future__ import annotations

import os

from ctrlhub.wire.connection import ConnectionInfo, Here
from ctrlhub.wire.places import Profile
from ctrlhub.wire.private import StateError


def pid_exists(pid: int) -> bool:
    """Say whether a process has this pid."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def has_died(info: ConnectionInfo) -> bool:
    """Say whether a hub is known to be dead; another may be starting in its place."""
    if not _was_here(info):
        return False
    profile = _profile(info)
    if profile is None:
        return not pid_exists(info.hub_pid)
    try:
        return profile.hub_lock().holder() != info.hub_pid
    except (OSError, StateError):
        return False  # that cannot be told: a file system without locks, for instance


def is_gone(info: ConnectionInfo) -> bool:
    """Say whether a hub has ended and nobody will start another in its place.

    A supervisor would. Whoever else started hub and engines together does not, and removes the
    connection file when the hub has died.
    """
    if info.file is None or not _was_here(info):
        return False
    is_removed = not info.file.exists()
    profile = _profile(info)
    if profile is None:
        # A copy, whose profile and its supervisor may be anywhere; or a profile that was discarded.
        return is_removed and not pid_exists(info.hub_pid)
    try:
        if any(
            lock.holder() is not None for lock in (profile.hub_lock(), profile.supervisor_lock())
        ):
            return False
        return is_removed or profile.owner_lock().holder() is None
    except (OSError, StateError):
        return False  # that cannot be told


def _was_here(info: ConnectionInfo) -> bool:
    return Here.find().reaches(Here(info.boot_id, info.uid, info.host))


def _profile(info: ConnectionInfo) -> Profile | None:
    """Return the profile that the file stands in, if it stands in one."""
    if info.file is None:
        return None
    profile = Profile(info.profile, info.file.parent)
    return profile if profile.lock.exists() else None

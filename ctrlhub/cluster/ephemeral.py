"""Profiles of clusters that have none: private, gone with their creator.

They stand in ``clusters`` inside the state directory, each named after the process that made it. What
a killed creator left there is swept when the next one comes.
"""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Iterator
from pathlib import Path

from ctrlhub.cluster.claim import connection_of
from ctrlhub.cluster.errors import ClusterError
from ctrlhub.wire.errors import AlreadyRunning
from ctrlhub.wire.liveness import pid_exists
from ctrlhub.wire.places import Profile, known_profiles, remove_sockets, socket_dir, state_dir
from ctrlhub.wire.private import StateError

_log = logging.getLogger(__name__)

_NAME = re.compile(r"([0-9]+)-[0-9a-f]{8}")


def private_state(state: Path | None = None) -> Path:
    """Return the state directory of clusters without a profile, which may not exist yet."""
    return (state or state_dir()) / "clusters"


def private_profile(state: Path | None = None) -> Profile:
    """Return a new profile for a cluster of this process; nothing is made yet."""
    return Profile.named(f"{os.getpid()}-{os.urandom(4).hex()}", private_state(state))


def private_profiles(state: Path | None = None) -> Iterator[Profile]:
    """Yield the profiles of clusters without one, dead ones included."""
    for profile in known_profiles(private_state(state)):
        if _NAME.fullmatch(profile.name):
            yield profile


def discard(profile: Profile) -> None:
    """Remove a profile with all that belongs to it. Its hub must have ended."""
    import shutil

    if profile.directory.is_dir():
        remove_sockets(socket_dir(profile.directory))
    shutil.rmtree(profile.directory, ignore_errors=True)


def end_left_sets(profile: Profile) -> None:
    """End the sets of engines that a killed owner has left: jobs that wait, too.

    Raises
    ------
    StopFailed
        Some cannot be ended.
    """
    if not profile.sets.is_dir():
        return
    from ctrlhub.cluster.launchers.sets import known_sets, stop_sets
    from ctrlhub.cluster.launchers.spec import Owner

    left = [each for each in known_sets(profile).launchers if each.spec.owner is Owner.SUPERVISOR]
    if left:
        stop_sets(left)


def sweep(state: Path | None = None) -> None:
    """Discard the profiles whose creators are dead, and their hubs too."""
    for profile in private_profiles(state):
        try:
            if is_abandoned(profile):
                discard_if_free(profile)
        except (StateError, ClusterError) as error:
            # What is wrong with somebody's old directory is no reason not to start.
            _log.warning("left %s as it is: %s", profile.directory, error)


def is_abandoned(profile: Profile) -> bool:
    """Say whether the creator of a private profile is dead, and was of this host."""
    return not _creator_may_live(profile) and _was_here(profile)


def discard_if_free(profile: Profile) -> bool:
    """Remove a profile unless its hub lives; say whether it was removed."""
    # Held while the directory goes, so that two sweepers do not meet; and not to be had while the
    # hub, or somebody who looks on, still has it.
    try:
        with profile.hub_lock():
            end_left_sets(profile)
            discard(profile)
    except (AlreadyRunning, FileNotFoundError):
        return False
    return True


def _creator_may_live(profile: Profile) -> bool:
    if profile.owner_lock().holder() is not None:
        return True
    # Between the making of its directory and the taking of its lock, a creator has only its name.
    found = _NAME.fullmatch(profile.name)
    assert found is not None
    return pid_exists(int(found[1])) and not profile.owner_lock().path.exists()


def _was_here(profile: Profile) -> bool:
    # Where hosts share a home, their pids and their locks may mean nothing here.
    from ctrlhub.wire.connection import Here

    info = connection_of(profile)
    return info is None or info.host == Here.find().host

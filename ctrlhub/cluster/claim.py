"""The right to run a hub and its engines in a profile, and the cleaning that goes with it.

Three locks stand in a profile's directory. The hub holds its own while it runs, whoever started it.
Who starts hub and engines together, and ends them together, holds the owner's lock: a `Cluster` or a
supervisor (``ctrl-hub start``). A supervisor holds one more, by which ``ctrl-hub stop`` knows that the
owner is a process to be stopped and not somebody's program. A lock ends with the process that holds
it, so none of this has to be believed about a process that may be long dead.
"""

from __future__ import annotations

import platform
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from ctrlhub.cluster.record import SupervisorRecord
from ctrlhub.wire.errors import AlreadyRunning, ConnectionFileError
from ctrlhub.wire.lock import HubLock
from ctrlhub.wire.places import Profile, remove_sockets, socket_dir
from ctrlhub.wire.trouble import forget_trouble

if TYPE_CHECKING:
    from ctrlhub.wire.connection import ConnectionInfo

ORPHANS_END = 5.0
"""Seconds that a hub whose owner was killed is given to end by itself before a new one begins."""
POLL = 0.01
"""Seconds between two looks at another process's lock."""


class Claim:
    """The owner's right to a profile: while it is held nobody else starts a hub there.

    Parameters
    ----------
    profile
        The profile.
    """

    def __init__(self, profile: Profile) -> None:
        self.profile = profile
        self._lock = profile.owner_lock()

    def take(self) -> None:
        """Take it, and remove what a killed predecessor left behind.

        Raises
        ------
        AlreadyRunning
            If the profile has an owner, or a hub that somebody started alone.
        StateError
            If the profile's directory cannot be made or used.
        """
        self.profile.make()
        self._lock.acquire()
        try:
            # Of two kinds of hub without an owner, one was started alone, and stays; the other has
            # just lost its owner, and ends by itself.
            if self.profile.supervisor.exists():
                wait_until_free(self.profile.hub_lock(), ORPHANS_END)
                _end_orphans(self.profile)
            clean(self.profile)
            _end_sets(self.profile)
            forget_trouble(self.profile.directory)
        except BaseException:
            self._lock.release()
            raise

    def give_back(self) -> None:
        """Remove what is left of a hub that was killed, and give the right back."""
        try:
            clean(self.profile)
        except AlreadyRunning:
            # Somebody started a hub alone as soon as ours had ended; nothing here is ours now.
            return
        finally:
            self._lock.release()


def _end_orphans(profile: Profile) -> None:
    """See to it that what a killed supervisor has left has ended: its engines' keys are ours now."""
    record = SupervisorRecord.load(profile.supervisor)
    if record is not None and record.host == platform.node() and profile.hub_lock().holder() is None:
        for process in record.processes.values():
            if not process.wait(ORPHANS_END):
                process.end(ORPHANS_END)


def _end_sets(profile: Profile) -> None:
    """End the engines that a killed owner has left in a batch system; those of users' own stay."""
    if not any(profile.sets.glob("*.json")):
        return
    from ctrlhub.cluster.launchers.sets import known_sets
    from ctrlhub.cluster.launchers.spec import Owner
    from ctrlhub.cluster.set_keeper import end_left_sets

    left = [each for each in known_sets(profile).launchers if each.spec.owner is Owner.SUPERVISOR]
    end_left_sets(left)


def clean(profile: Profile) -> None:
    """Remove connection files, sockets and records of a hub that is dead.

    Raises
    ------
    AlreadyRunning
        If it is not.
    """
    if not profile.directory.is_dir():
        return
    with profile.hub_lock():
        for directory in _socket_dirs(profile):
            remove_sockets(directory)
        profile.clear()


def wait_until_free(lock: HubLock, patience: float) -> bool:
    """Wait until nobody holds the lock, for at most `patience` seconds; say whether it came so."""
    deadline = time.monotonic() + patience
    while lock.holder() is not None:
        if time.monotonic() >= deadline:
            return False
        time.sleep(POLL)
    return True


def connection_of(profile: Profile) -> ConnectionInfo | None:
    """Return what the profile's connection file for clients says, or None if it says nothing."""
    if not profile.connection_client.exists():
        return None
    from ctrlhub.wire.connection import ConnectionInfo

    try:
        return ConnectionInfo.load(profile.connection_client)
    except ConnectionFileError:
        return None


def _socket_dirs(profile: Profile) -> Iterator[Path]:
    # Where this process would put sockets, and where the dead hub, whose environment may have been
    # another one, did.
    yield socket_dir(profile.directory)
    info = connection_of(profile)
    if info is not None:
        yield from {Path(address.removeprefix("ipc://")).parent for address in info.ipc.values()}

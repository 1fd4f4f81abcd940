"""What dead clusters have left, and its removal: what ``ctrl-hub clean`` does.

Nothing is ended here, and nothing is taken from what lives: of a process that may live, or that
another host may know more of, what it has is left, with the reason.
"""

from __future__ import annotations

import os
import platform
import shutil
import socket
import stat
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from ctrlhub.cluster.claim import clean, connection_of
from ctrlhub.cluster.ephemeral import discard_if_free, is_abandoned, private_profiles
from ctrlhub.cluster.launchers.sets import known_sets, stop_sets
from ctrlhub.cluster.listing import State, list_clusters
from ctrlhub.cluster.nannies import NannyRecord
from ctrlhub.cluster.record import SupervisorRecord
from ctrlhub.wire.connection import Here
from ctrlhub.wire.errors import AlreadyRunning, CtrlHubError
from ctrlhub.wire.liveness import pid_exists
from ctrlhub.wire.places import Profile, known_profiles, socket_dirs, socket_roots
from ctrlhub.wire.trouble import forget_trouble

OLD = 24 * 3600.0
"""Sockets of which nobody here knows the profile are left for so long (seconds): its hub may be about to
be started again."""


@dataclass(frozen=True, slots=True)
class Leftover:
    """Something that a dead cluster has left.

    Parameters
    ----------
    what
        What it is.
    path
        Where it is.
    remove
        Removes it; False if it is in use again.
    why_left
        Why it is not to be removed; empty if it is.
    """

    what: str
    path: Path
    remove: Callable[[], bool]
    why_left: str = ""


def leftovers(state: Path | None = None, *, logs: bool = False) -> Iterator[Leftover]:
    """Find what dead clusters have left.

    Parameters
    ----------
    state
        The state directory; None is the user's.
    logs
        Also the logs of profiles of which nothing runs.
    """
    dead = {each.directory for each in list_clusters(state) if each.state is State.DEAD}
    for profile in known_profiles(state):
        yield from _of_nannies(profile)
        if profile.directory in dead:
            yield _of_cluster(profile)
        elif not _lives(profile):
            yield from _of_sets(profile)
        if logs and not _lives(profile) and any(profile.logs.glob("*")):
            yield Leftover(f"logs of profile {profile.name}", profile.logs, _removal(profile.logs), _why_left(profile))
    for profile in private_profiles(state):
        if is_abandoned(profile) and not _lives(profile):
            yield Leftover("a cluster whose program was killed", profile.directory, _discarding(profile))
    yield from _of_sockets(state)


def _lives(profile: Profile) -> bool:
    locks = (profile.supervisor_lock(), profile.owner_lock(), profile.hub_lock())
    return any(lock.holder() is not None for lock in locks)


# ---------------------------------------------------------------- clusters with a profile


def _of_cluster(profile: Profile) -> Leftover:
    def remove() -> bool:
        try:
            # A supervisor that comes has this lock before it writes anything.
            with profile.owner_lock():
                clean(profile)
                forget_trouble(profile.directory)
        except AlreadyRunning:
            return False
        stop_sets(known_sets(profile).launchers)
        return True

    return Leftover(f"files of a dead cluster of profile {profile.name}", profile.directory, remove, _why_left(profile))


def _why_left(profile: Profile) -> str:
    """Say what of a cluster may live although its owner is dead; empty if nothing does."""
    here, stop = Here.find().host, f"`ctrl-hub stop --profile {profile.name}` ends it"
    info = connection_of(profile)
    record = SupervisorRecord.load(profile.supervisor)
    hosts = {each.host for each in (info, record) if each is not None} - {here}
    if hosts:
        return f"it is of host {min(hosts)}: clean up there"
    for name, process in (record.processes if record is not None else {}).items():
        if process.is_alive():
            return f"its {name} lives (pid {process.pid}): {stop}"
    for nanny in _nannies(profile):
        if nanny.host != here or nanny.process.is_alive():
            return f"a nanny of it waits for another hub (pid {nanny.process.pid} on {nanny.host}): {stop}"
    sets = known_sets(profile)
    if sets.troubles:
        return sets.troubles[0]
    for launcher in sets.launchers:
        try:
            state = launcher.state()
        except CtrlHubError as error:
            return f"it is not known how its engines {launcher.spec.key!r} are: {error}"
        if not state.phase.is_over:
            return f"its engines {launcher.spec.key!r} are {state.phase.value}: {stop}"
    return ""


def _of_sets(profile: Profile) -> Iterator[Leftover]:
    """Find sets of engines that are over, of a profile without a cluster."""
    launchers = known_sets(profile).launchers
    if not launchers:
        return

    def remove() -> bool:
        stop_sets(launchers)
        return True

    yield Leftover(f"records of engines of profile {profile.name}", profile.sets, remove, _why_left(profile))


def _nannies(profile: Profile) -> Iterator[NannyRecord]:
    for path in profile.nannies.glob("*.json"):
        record = NannyRecord.load(path)
        if record is not None:
            yield record


def _of_nannies(profile: Profile) -> Iterator[Leftover]:
    """Find records and logs of nannies of this host that are dead."""
    here = platform.node()
    for path in sorted(profile.nannies.glob("*.json")):
        record = NannyRecord.load(path)
        if record is not None and record.host == here and not record.process.is_alive():
            yield Leftover("the record of a nanny that was killed", path, _unlinking(path))
    prefix = f"nanny-{here}-"
    for directory in sorted(profile.logs.glob(f"{prefix}*")):
        pid = directory.name.removeprefix(prefix)
        if pid.isdecimal() and not pid_exists(int(pid)):
            yield Leftover("logs of engines whose nanny was killed", directory, _removal(directory))


# ---------------------------------------------------------------- sockets


def _of_sockets(state: Path | None) -> Iterator[Leftover]:
    """Find directories of sockets on which nobody listens, and of which no profile here is."""
    if sys.platform == "win32":
        return
    every = [*known_profiles(state), *private_profiles(state)]
    known = {directory for profile in every for directory in socket_dirs(profile.directory)}
    for root in socket_roots():
        for directory in sorted(root.glob("*")) if root.is_dir() else ():
            if directory not in known and _is_dead(directory):
                yield Leftover("sockets of a dead hub", directory, _removal(directory))


def _is_dead(directory: Path) -> bool:
    """Say whether nothing but old sockets is there, and nobody listens on any."""
    try:
        found = [(path, path.lstat()) for path in directory.iterdir()]
    except OSError:
        return False
    old = time.time() - OLD
    return bool(found) and all(
        stat.S_ISSOCK(about.st_mode) and about.st_mtime < old and not _listens(path) for path, about in found
    )


def _listens(path: Path) -> bool:
    """Say whether somebody listens on a Unix socket; yes if that cannot be told."""
    with socket.socket(getattr(socket, "AF_UNIX", -1), socket.SOCK_STREAM) as probe:
        probe.setblocking(False)
        try:
            probe.connect(os.fspath(path))
        except ConnectionRefusedError:
            return False
        except OSError:
            return True
    return True


# ---------------------------------------------------------------- removals


def _removal(directory: Path) -> Callable[[], bool]:
    def remove() -> bool:
        shutil.rmtree(directory)
        return True

    return remove


def _unlinking(path: Path) -> Callable[[], bool]:
    def remove() -> bool:
        path.unlink(missing_ok=True)
        return True

    return remove


def _discarding(profile: Profile) -> Callable[[], bool]:
    def remove() -> bool:
        return discard_if_free(profile)

    return remove

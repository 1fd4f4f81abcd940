"""What ``ctrl-hub stop`` does: end a profile's cluster, whatever of it still lives, and clean up."""

from __future__ import annotations

import signal
from dataclasses import dataclass

from ctrlhub.cluster.child import TERMINATE_AFTER
from ctrlhub.cluster.claim import clean, connection_of, wait_until_free
from ctrlhub.cluster.errors import StopFailed
from ctrlhub.cluster.launchers.sets import known_sets, stop_sets
from ctrlhub.cluster.nannies import end_nannies
from ctrlhub.cluster.processes import KnownProcess
from ctrlhub.cluster.record import SupervisorRecord
from ctrlhub.wire.connection import Here
from ctrlhub.wire.lock import HubLock
from ctrlhub.wire.places import Profile
from ctrlhub.wire.trouble import forget_trouble

PATIENCE = 2 * 1.5 * TERMINATE_AFTER + 6.0
"""Seconds a supervisor has to end hub and engines before it is killed: as long as both may take, and
a little for itself."""
ORPHANS = 5.0
"""Seconds that hub and nanny of a killed supervisor have to end by themselves, and then to be told."""


@dataclass(frozen=True, slots=True)
class Stopped:
    """What was found when a cluster was to be stopped.

    Parameters
    ----------
    pid
        The process that was told to end: a supervisor, or a hub that was alone; None for neither.
    leftovers
        Whether something of a cluster that had died was there to clean up.
    """

    pid: int | None
    leftovers: bool

    @property
    def anything(self) -> bool:
        """Whether there was anything to stop or to clean up."""
        return self.pid is not None or self.leftovers


def stop_cluster(profile: Profile) -> Stopped:
    """End the cluster of a profile and remove what is left of it; keys and logs stay.

    Raises
    ------
    StopFailed
        If it is not for us to end: it runs on another host, or belongs to somebody's program.
    """
    if not profile.directory.is_dir():
        return Stopped(None, leftovers=False)
    _refuse_other_host(profile)
    # Read first: it goes when the supervisor ends, and it names what a killed one leaves behind.
    record = SupervisorRecord.load(profile.supervisor)
    sets = known_sets(profile)
    leftovers = profile.supervisor.exists() or profile.connection_client.exists() or bool(sets.launchers)
    pid = _end(profile.supervisor_lock(), PATIENCE)
    if pid is None:
        _refuse_foreign_owner(profile)
    # And again: what it started before it heard of its end is named there if it could not end it.
    for each in (record, SupervisorRecord.load(profile.supervisor)):
        if each is not None:
            _end_orphans(profile, each)
    hub_pid = _end(profile.hub_lock(), ORPHANS)
    # Last: a hub that lives has told them, and their goodbyes need one.
    nannies, stayed = end_nannies(profile, ORPHANS)
    clean(profile)
    forget_trouble(profile.directory)
    if stayed:
        raise StopFailed(f"engines' processes cannot be ended: {', '.join(map(str, stayed))}")
    # Those that had begun have heard from their hub, or from nobody; those in a queue never would.
    stop_sets(known_sets(profile).launchers)
    if sets.troubles:
        raise StopFailed("; ".join(sets.troubles))
    return Stopped(pid or hub_pid, leftovers or bool(nannies))


def _end(lock: HubLock, patience: float) -> int | None:
    """End the process that holds a lock, and return its pid; None where nobody held it."""
    pid = lock.holder()
    if not pid:  # nobody, or somebody who has just come and not yet said who
        wait_until_free(lock, 0.0 if pid is None else patience)
        return None
    process = KnownProcess.find(pid)
    if lock.holder() != pid:
        return None
    # To a hub SIGTERM would mean that another is to take its place.
    if not (process.end(patience, signal.SIGINT) and wait_until_free(lock, patience)):
        raise StopFailed(f"process {pid} holds {lock.path} and cannot be ended")
    return pid


def _end_orphans(profile: Profile, record: SupervisorRecord) -> None:
    """See to it that the children of a supervisor end, which they do by themselves."""
    if record.host != Here.find().host:
        return
    wait_until_free(profile.hub_lock(), ORPHANS)
    for name, process in record.processes.items():
        if not process.wait(ORPHANS) and not process.end(ORPHANS):
            raise StopFailed(f"the {name}, process {process.pid}, cannot be ended")


def _refuse_foreign_owner(profile: Profile) -> None:
    owner = profile.owner_lock().holder()
    if owner:
        raise StopFailed(
            f"the cluster of profile {profile.name!r} belongs to process {owner} and ends with it: "
            "end that program, or call stop() on its Cluster"
        )


def _refuse_other_host(profile: Profile) -> None:
    info = connection_of(profile)
    here = Here.find().host
    if info is not None and info.host != here and profile.hub_lock().holder() is not None:
        raise StopFailed(
            f"the hub of profile {profile.name!r} runs on host {info.host!r} and this is {here!r}: "
            "stop it there"
        )

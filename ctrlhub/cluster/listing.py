"""Which clusters there are: what ``ctrl-hub list`` shows. Nobody is asked but the locks."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from ctrlhub.cluster.claim import connection_of
from ctrlhub.cluster.ephemeral import private_profiles
from ctrlhub.wire.places import Profile, known_profiles


class State(StrEnum):
    """How a cluster is."""

    RUNNING = "running"
    STARTING = "starting"
    """It has an owner, and no hub: one that is starting, or being started again."""
    DEAD = "dead"
    """It was killed, and left something that ``ctrl-hub stop`` removes."""


class Kind(StrEnum):
    """What a cluster lives with."""

    SUPERVISED = "supervised"
    """``ctrl-hub start``."""
    PROGRAM = "program"
    """A `Cluster` of some program."""
    HUB = "hub"
    """A hub that was started alone."""


@dataclass(frozen=True, slots=True)
class Listed:
    """One cluster.

    Parameters
    ----------
    profile
        The name of its profile.
    state, kind
        How it is, and what it lives with.
    pid
        The process it lives with; None for a dead one.
    hub_pid, started, host
        Its hub, when that began (Unix time, seconds) and where; None where unknown.
    directory
        Where its state is.
    """

    profile: str
    state: State
    kind: Kind
    pid: int | None
    hub_pid: int | None
    started: float | None
    host: str | None
    directory: Path


def list_clusters(state: Path | None = None) -> list[Listed]:
    """List the clusters that run, or were killed and left something, by profile."""
    named = _listed(known_profiles(state))
    # A dead one without a name has nothing for `ctrl-hub stop`: the next `Cluster` sweeps it away.
    private = (each for each in _listed(private_profiles(state)) if each.state is not State.DEAD)
    return [*named, *private]


def _listed(profiles: Iterator[Profile]) -> Iterator[Listed]:
    for profile in profiles:
        supervisor = profile.supervisor_lock().holder()
        owner = profile.owner_lock().holder()
        hub = profile.hub_lock().holder()
        info = connection_of(profile)
        pid = next((each for each in (supervisor, owner, hub) if each is not None), None)
        if pid is None and info is None and not (profile.supervisor.exists() or any(profile.sets.glob("*.json"))):
            continue  # was used, and ended as it should
        yield Listed(
            profile.name,
            _state(pid, hub),
            _kind(profile, supervisor, owner),
            pid,
            hub,
            info.hub_started if info is not None else None,
            info.host if info is not None else None,
            profile.directory,
        )


def _state(pid: int | None, hub: int | None) -> State:
    if hub is not None:
        return State.RUNNING
    return State.DEAD if pid is None else State.STARTING


def kind_of(profile: Profile) -> Kind:
    """Say what a cluster lives with."""
    return _kind(profile, profile.supervisor_lock().holder(), profile.owner_lock().holder())


def _kind(profile: Profile, supervisor: int | None, owner: int | None) -> Kind:
    if supervisor is not None or profile.supervisor.exists():
        return Kind.SUPERVISED
    return Kind.HUB if owner is None else Kind.PROGRAM

"""Which clusters there are, told from locks and files alone."""

from __future__ import annotations

import os
from contextlib import ExitStack
from pathlib import Path

import pytest

from ctrlhub.cluster.ephemeral import private_profile
from ctrlhub.cluster.listing import Kind, State, list_clusters
from ctrlhub.wire.places import Profile

HELD = {"hub": Profile.hub_lock, "owner": Profile.owner_lock, "supervisor": Profile.supervisor_lock}


@pytest.mark.parametrize(
    ("held", "state", "kind"),
    [
        (("hub",), State.RUNNING, Kind.HUB),
        (("hub", "owner"), State.RUNNING, Kind.PROGRAM),
        (("hub", "owner", "supervisor"), State.RUNNING, Kind.SUPERVISED),
        (("owner", "supervisor"), State.STARTING, Kind.SUPERVISED),
    ],
)
def test_locks_say_how_a_cluster_is(
    held: tuple[str, ...], state: State, kind: Kind, tmp_path: Path
) -> None:
    """Whose locks are held, and whose are not, tells everything."""
    profile = Profile.named("p", tmp_path)
    profile.make()
    with ExitStack() as locks:
        for name in held:
            locks.enter_context(HELD[name](profile))
        (found,) = list_clusters(tmp_path)

    assert (found.profile, found.state, found.kind, found.pid) == ("p", state, kind, os.getpid())


def test_a_profile_that_was_used_is_no_cluster(tmp_path: Path) -> None:
    """Keys and logs stay after a stop, and are not listed."""
    profile = Profile.named("p", tmp_path)
    profile.make()
    profile.keys.touch(mode=0o600)

    assert list_clusters(tmp_path) == []


def test_what_a_killed_program_left_is_not_listed(tmp_path: Path) -> None:
    """A cluster without a profile has no name to stop it by; the next one sweeps it away."""
    profile = private_profile(tmp_path)
    profile.make()
    profile.supervisor.touch(mode=0o600)

    assert list_clusters(tmp_path) == []

    with profile.owner_lock():
        assert [each.profile for each in list_clusters(tmp_path)] == [profile.name]


def test_what_a_killed_hub_left_is_a_dead_cluster(tmp_path: Path) -> None:
    """It is shown, so that somebody stops it."""
    profile = Profile.named("p", tmp_path)
    profile.make()
    profile.supervisor.touch(mode=0o600)

    (found,) = list_clusters(tmp_path)

    assert (found.state, found.pid, found.hub_pid) == (State.DEAD, None, None)

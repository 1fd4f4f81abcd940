"""Profiles of clusters that have none."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from ctrlhub.cluster.claim import Claim
from ctrlhub.cluster.ephemeral import discard, private_profile, private_profiles, sweep
from ctrlhub.wire.places import Profile


@pytest.fixture(scope="module")
def dead_pid() -> int:
    """The pid of a process that has ended."""
    child = subprocess.Popen([sys.executable, "-c", ""])
    child.wait()
    return child.pid


def left_by(pid: int, state: Path) -> Profile:
    """Make the profile of a creator with this pid, as it is when that has been killed."""
    made = private_profile(state)
    profile = Profile(f"{pid}-{'0' * 8}", made.directory.with_name(f"{pid}-{'0' * 8}"))
    Claim(profile).take()
    (profile.logs / "hub.log").touch()
    return profile


def release(profile: Profile) -> None:
    """Leave the owner's lock to nobody, as the system does when a process ends."""
    (profile.directory / "owner.lock").unlink()
    (profile.directory / "owner.lock").touch(mode=0o600)


def test_names_differ_and_tell_the_creator(tmp_path: Path) -> None:
    """Two clusters of one program do not meet."""
    one, other = private_profile(tmp_path), private_profile(tmp_path)

    assert one.directory != other.directory
    assert one.name.startswith(f"{os.getpid()}-")


def test_a_discarded_profile_is_gone(tmp_path: Path) -> None:
    """A private cluster leaves nothing behind."""
    profile = private_profile(tmp_path)
    profile.make()

    discard(profile)

    assert not profile.directory.exists()


def test_a_dead_creators_profile_is_swept(tmp_path: Path, dead_pid: int) -> None:
    """What a killed program left is removed when the next cluster starts."""
    profile = left_by(dead_pid, tmp_path)
    release(profile)

    sweep(tmp_path)

    assert not profile.directory.exists()


def test_a_pid_used_again_does_not_protect(tmp_path: Path) -> None:
    """The lock says who lives; a pid alone may be another process's by now."""
    profile = left_by(os.getpid(), tmp_path)
    release(profile)

    sweep(tmp_path)

    assert not profile.directory.exists()


def test_a_living_creators_profile_stays(tmp_path: Path, dead_pid: int) -> None:
    """Whoever holds the owner's lock lives, whatever the name says."""
    profile = left_by(dead_pid, tmp_path)

    sweep(tmp_path)

    assert profile.directory.exists()


def test_a_profile_in_the_making_stays(tmp_path: Path) -> None:
    """Between the making of its directory and the taking of its lock a creator is not overrun."""
    profile = private_profile(tmp_path)
    profile.make()

    sweep(tmp_path)

    assert profile.directory.exists()


def test_a_hub_that_is_still_ending_is_left_alone(tmp_path: Path, dead_pid: int) -> None:
    """Its directory goes after it."""
    profile = left_by(dead_pid, tmp_path)
    release(profile)
    with profile.hub_lock():
        sweep(tmp_path)
        assert profile.directory.exists()

    sweep(tmp_path)

    assert not profile.directory.exists()


def test_what_is_not_ours_is_not_swept(tmp_path: Path) -> None:
    """Only names that we give are looked at."""
    stranger = tmp_path / "clusters" / "profiles" / "mine"
    stranger.mkdir(parents=True)

    sweep(tmp_path)

    assert stranger.exists()
    assert list(private_profiles(tmp_path)) == []

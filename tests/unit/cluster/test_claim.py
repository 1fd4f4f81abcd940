"""The right to run a hub in a profile."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from ctrlhub.cluster.claim import Claim, clean
from ctrlhub.cluster.processes import KnownProcess
from ctrlhub.cluster.record import SupervisorRecord
from ctrlhub.wire.errors import AlreadyRunning
from ctrlhub.wire.places import Profile


@pytest.fixture
def profile(tmp_path: Path) -> Profile:
    """A profile that was never used."""
    return Profile.named("p", tmp_path)


def leave(path: Path) -> Path:
    """Make a private file, as a hub does that is then killed."""
    path.touch(mode=0o600)
    return path


def test_the_second_claim_is_refused_with_the_pid_of_the_first(profile: Profile) -> None:
    """Two starts of one profile do not meet."""
    Claim(profile).take()

    with pytest.raises(AlreadyRunning) as caught:
        Claim(profile).take()
    assert caught.value.pid == os.getpid()


def test_a_claim_given_back_can_be_taken(profile: Profile) -> None:
    """A profile can be used again and again."""
    for _ in range(2):
        claim = Claim(profile)
        claim.take()
        claim.give_back()


def test_a_hub_started_alone_keeps_its_profile(profile: Profile) -> None:
    """A hub without an owner is somebody's too, and the claim is not kept."""
    profile.make()
    with profile.hub_lock():
        with pytest.raises(AlreadyRunning) as caught:
            Claim(profile).take()
        assert caught.value.pid == os.getpid()
        assert profile.owner_lock().holder() is None


def test_a_claim_removes_what_a_killed_hub_left(profile: Profile) -> None:
    """No stale file stops the next start, or misleads those who wait for it."""
    profile.make()
    stale = [
        leave(path)
        for path in (profile.connection_client, profile.connection_engine, profile.supervisor)
    ]
    kept = leave(profile.keys)

    Claim(profile).take()

    assert [path for path in stale if path.exists()] == []
    assert kept.exists()


def test_what_is_given_back_is_clean(profile: Profile) -> None:
    """Also where the hub was killed, its connection files are gone at the end."""
    claim = Claim(profile)
    claim.take()
    stale = leave(profile.connection_client)

    claim.give_back()

    assert not stale.exists()


def test_a_strangers_hub_survives_giving_back(profile: Profile) -> None:
    """Who started a hub alone as soon as ours had ended keeps its files."""
    claim = Claim(profile)
    claim.take()
    with profile.hub_lock():
        theirs = leave(profile.connection_client)
        claim.give_back()
        assert theirs.exists()
    assert profile.owner_lock().holder() is None


def test_cleaning_what_never_was_makes_nothing(profile: Profile) -> None:
    """No directory comes of it."""
    clean(profile)

    assert not profile.directory.exists()


def test_what_a_killed_supervisor_left_has_ended(
    profile: Profile, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its nanny's engines have the keys of ours: they are not to be there at once."""
    monkeypatch.setattr("ctrlhub.cluster.claim.ORPHANS_END", 0.05)
    profile.make()
    nanny = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    try:
        processes = {"nanny": KnownProcess.find(nanny.pid)}
        SupervisorRecord(nanny.pid, processes=processes).write(profile.supervisor)
        claim = Claim(profile)
        claim.take()
        assert nanny.wait(60) != 0
        claim.give_back()
    finally:
        nanny.kill()
        nanny.wait()

"""Whether a hub lives, and whether another will take its place."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest

from ctrlhub.wire.connection import ConnectionInfo, Here
from ctrlhub.wire.liveness import has_died, is_gone
from ctrlhub.wire.messages import Role, Stream
from ctrlhub.wire.places import Profile

NOBODY = 2**31 - 1
"""A pid that no process has: Linux gives none beyond 2**22."""


@pytest.fixture
def profile(tmp_path: Path) -> Profile:
    """Return a profile of a state directory of its own."""
    profile = Profile.named("p", tmp_path)
    profile.make()
    return profile


@pytest.fixture
def info(profile: Profile) -> ConnectionInfo:
    """Return what the hub of the profile wrote: as if this process were it."""
    here = Here.find()
    ConnectionInfo(
        profile="p",
        role=Role.ADMIN,
        epoch="e",
        hub_pid=os.getpid(),
        hub_started=1.0,
        boot_id=here.boot_id,
        uid=here.uid,
        host=here.host,
        python="3.11",
        package="0",
        ipc={stream: f"ipc:///nowhere/{stream.value}" for stream in Stream},
    ).write(profile.connection_client)
    return ConnectionInfo.load(profile.connection_client)


@pytest.fixture
def dead(profile: Profile, info: ConnectionInfo) -> ConnectionInfo:
    """Return what a hub wrote that has died."""
    with profile.hub_lock():
        pass
    return info


def test_a_hub_lives_as_long_as_it_holds_its_lock(profile: Profile, info: ConnectionInfo) -> None:
    """Whatever its pid says."""
    with profile.hub_lock():
        assert not has_died(info)
        assert has_died(replace(info, hub_pid=NOBODY))  # another holds it
    assert has_died(info)


def test_a_copied_file_is_judged_by_the_pid(info: ConnectionInfo, tmp_path: Path) -> None:
    """No lock stands beside it."""
    copy = replace(info, file=tmp_path / "copy.json")
    assert not has_died(copy)
    assert has_died(replace(copy, hub_pid=NOBODY))
    assert has_died(replace(copy, hub_pid=NOBODY, file=None))


def test_a_copy_is_not_gone_as_long_as_it_is_there(info: ConnectionInfo, tmp_path: Path) -> None:
    """Its profile may be anywhere, and a supervisor there."""
    copy = tmp_path / "copy.json"
    info.write(copy)
    of_dead = replace(info, file=copy, hub_pid=NOBODY)
    assert not is_gone(of_dead)
    copy.unlink()
    assert is_gone(of_dead)
    assert not is_gone(replace(of_dead, file=None))


def test_a_hub_that_was_alone_is_gone_when_it_is_dead(
    profile: Profile, info: ConnectionInfo
) -> None:
    """Nobody is there to start it again, although its file says nothing of its death."""
    with profile.hub_lock():
        assert not is_gone(info)
    assert is_gone(info)
    assert is_gone(replace(info, ipc={}))  # the way to it does not matter
    with profile.hub_lock():
        profile.connection_client.unlink()
        assert not is_gone(info)  # one starts, and has not written its file yet
    assert is_gone(info)


def test_a_supervised_hub_is_never_gone(profile: Profile, dead: ConnectionInfo) -> None:
    """It comes back: also when it has crashed, and removed its file."""
    with profile.owner_lock(), profile.supervisor_lock():
        assert not is_gone(dead)
        profile.connection_client.unlink()
        assert not is_gone(dead)


def test_a_programs_hub_is_gone_with_its_file(profile: Profile, dead: ConnectionInfo) -> None:
    """The program says by this that it has seen the death."""
    with profile.owner_lock():
        assert not is_gone(dead)
        profile.connection_client.unlink()
        assert is_gone(dead)


def test_a_hub_elsewhere_cannot_be_judged(profile: Profile, dead: ConnectionInfo) -> None:
    """Its locks and its pid mean nothing here."""
    elsewhere = replace(dead, boot_id="another", host="far", hub_pid=NOBODY)
    profile.connection_client.unlink()
    assert not has_died(elsewhere)
    assert not is_gone(elsewhere)

"""Finding the hub that is meant, and telling at once when there is none."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from ctrlhub.client.client import Client
from ctrlhub.client.opening import find
from ctrlhub.wire.connection import ConnectionInfo, Here
from ctrlhub.wire.errors import ConnectionFileError, HubNotFound, HubUnavailable
from ctrlhub.wire.lock import HubLock
from ctrlhub.wire.messages import Role, Stream
from ctrlhub.wire.places import STATE_VARIABLE, Profile
from ctrlhub.wire.trouble import forget_trouble, note_trouble


@pytest.fixture
def profile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Profile:
    """Return the default profile of a state directory of its own."""
    monkeypatch.setenv(STATE_VARIABLE, str(tmp_path))
    found = Profile.named()
    found.make()
    return found


def info(
    pid: int | None = None, role: Role = Role.ADMIN, here: Here | None = None
) -> ConnectionInfo:
    """Return what a hub would write."""
    place = here or Here.find()
    return ConnectionInfo(
        profile="default",
        role=role,
        epoch="e",
        hub_pid=pid or os.getpid(),
        hub_started=1.0,
        boot_id=place.boot_id,
        uid=place.uid,
        host=place.host,
        python="3.11",
        package="0",
        ipc={stream: f"ipc:///nowhere/there/to/be/{stream.value}" for stream in Stream},
    )


def ended_pid() -> int:
    """Return the pid of a process that has ended."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def test_no_hub_is_said_in_one_line(profile: Profile) -> None:
    """With the command that starts one."""
    with pytest.raises(HubNotFound) as caught:
        Client()
    assert str(caught.value) == "no hub is running: start one with `ctrl-hub start -n 4`"

    with pytest.raises(HubNotFound, match="--profile other"):
        Client(profile="other")


def test_the_hub_of_the_profile_is_found(profile: Profile) -> None:
    """Its lock is held and its file is there."""
    info().write(profile.connection_client)
    with profile.hub_lock():
        assert find(None, None, 1.0).epoch == "e"
        assert find(None, "default", 1.0).epoch == "e"


def test_the_environment_may_name_the_profile(
    profile: Profile, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the program does not, `CTRLHUB_PROFILE` does, as for the command."""
    monkeypatch.setenv("CTRLHUB_PROFILE", "other")

    with pytest.raises(HubNotFound, match="profile 'other'"):
        find(None, None, 60.0)
    with pytest.raises(HubNotFound, match="profile 'third'"):
        find(None, "third", 60.0)


def test_a_dead_hubs_file_is_not_believed(profile: Profile) -> None:
    """Nobody holds the lock any more: that is told at once, not after a timeout."""
    info().write(profile.connection_client)
    with profile.hub_lock():
        pass

    with pytest.raises(HubNotFound, match="no hub is running"):
        find(None, None, 60.0)
    with pytest.raises(HubNotFound, match="has ended"):
        find(profile.connection_client, None, 60.0)


def test_a_copied_file_of_a_dead_hub_is_not_believed(tmp_path: Path) -> None:
    """Where there is no lock beside it, the hub's process tells."""
    path = tmp_path / "copy.json"
    info(ended_pid()).write(path)

    with pytest.raises(HubNotFound, match="has ended"):
        find(path, None, 60.0)


def test_a_hub_elsewhere_cannot_be_judged_from_here(tmp_path: Path) -> None:
    """Its lock and its pid mean nothing on this host."""
    path = tmp_path / "copy.json"
    info(ended_pid(), here=Here("another boot", os.getuid(), "far")).write(path)

    assert find(str(path), None, 1.0).host == "far"


def test_a_starting_hub_is_waited_for(profile: Profile) -> None:
    """It holds its lock and will write its file; but not for ever."""
    with profile.hub_lock(), pytest.raises(HubNotFound):
        find(None, None, 0.02)


def test_a_mapping_is_read_like_a_file(tmp_path: Path) -> None:
    """With the same checks."""
    path = tmp_path / "file.json"
    info().write(path)

    assert find(json.loads(path.read_text()), None, 1.0) == info()
    with pytest.raises(ConnectionFileError):
        find({"format": 1}, None, 1.0)


def test_a_missing_file_is_a_named_error(tmp_path: Path) -> None:
    """With what to do."""
    with pytest.raises(ConnectionFileError, match="ctrl-hub start"):
        Client(tmp_path / "nothing.json")


@pytest.mark.parametrize("text", ["", "not json", "[]", '{"format": 99}'])
def test_a_malformed_file_is_a_named_error(tmp_path: Path, text: str) -> None:
    """Whatever is wrong with it."""
    path = tmp_path / "bad.json"
    path.write_text(text)
    path.chmod(0o600)

    with pytest.raises(ConnectionFileError):
        Client(path)


@pytest.mark.skipif(os.name != "posix", reason="permissions are POSIX's")
def test_a_file_that_others_can_read_is_not_believed(tmp_path: Path) -> None:
    """Its secrets are none."""
    path = tmp_path / "open.json"
    info().write(path)
    path.chmod(0o644)

    with pytest.raises(ConnectionFileError):
        Client(path)


def test_the_engines_file_is_not_for_clients(tmp_path: Path) -> None:
    """The message names the right one."""
    path = tmp_path / "connection-engine.json"
    info(role=Role.ENGINE).write(path)

    with pytest.raises(ConnectionFileError, match=r"connection-client\.json"):
        Client(path)


def test_a_file_and_a_profile_are_one_too_many(tmp_path: Path) -> None:
    """Which of them is meant is not guessed."""
    with pytest.raises(TypeError, match="not both"):
        Client(tmp_path / "x.json", profile="default")


def test_a_path_that_nobody_listens_on_is_an_error_in_time(tmp_path: Path) -> None:
    """A hub whose sockets are not here cannot be reached."""
    path = tmp_path / "file.json"
    info().write(path)

    with pytest.raises(HubNotFound, match="sockets"):
        Client(path, timeout=0.1)


def test_a_file_of_the_hub_before_is_not_believed(profile: Profile) -> None:
    """Another hub holds the lock and will write its own file, with other ports perhaps."""
    info(ended_pid()).write(profile.connection_client)
    with profile.hub_lock():
        for where in (None, profile.connection_client):
            with pytest.raises(HubNotFound):
                find(where, None, 0.02)


def test_what_was_found_says_where(profile: Profile, tmp_path: Path) -> None:
    """Its own file, or that of the profile if that is of the same hub."""
    path, copy = profile.connection_client, tmp_path / "copy.json"
    for each in (path, copy):
        info().write(each)
    read = ConnectionInfo.load(copy)
    with profile.hub_lock():
        assert find(None, None, 1.0).file == path
        assert find(copy, None, 1.0).file == copy
        assert find(read, None, 1.0).file == copy
        assert find(info(), None, 1.0).file == path
    path.unlink()
    assert find(info(), None, 1.0).file is None


def test_a_hub_that_its_supervisor_starts_again_is_waited_for(profile: Profile) -> None:
    """As long as it may take, and not longer; what keeps the hub from starting is said."""
    info(ended_pid()).write(profile.connection_client)
    started: list[HubLock] = []

    def start() -> None:
        started.append(profile.hub_lock())
        started[0].acquire()
        info().write(profile.connection_client)

    with profile.supervisor_lock():
        with pytest.raises(HubUnavailable, match="its supervisor goes on"):
            find(None, None, 0.02)
        note_trouble(profile.directory, "no space left")
        try:
            with pytest.raises(HubUnavailable, match="no space left"):
                find(profile.connection_client, None, 0.02)
        finally:
            forget_trouble(profile.directory)
        later = threading.Timer(0.1, start)
        later.start()
        try:
            assert find(None, None, 60.0).hub_pid == os.getpid()
        finally:
            later.join()
            started[0].release()
    with pytest.raises(HubNotFound):
        find(None, None, 60.0)


@pytest.mark.parametrize(
    "where",
    ["127.0.0.1:8787/?token=secret", " https://hub:8787/?token=secret", "wss://hub/?token=secret", "ftp://hub/x", "tcp://hub:1"],
)
def test_an_address_that_is_none_of_a_hub_is_no_path(where: str) -> None:
    """Who leaves the beginning out, or mistypes it, is told how one looks, and has no token shown."""
    with pytest.raises(ValueError, match="https://HOST:PORT") as refused:
        Client(where, timeout=1.0)
    assert "secret" not in str(refused.value)

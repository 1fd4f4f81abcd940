"""What dead clusters have left is removed, and nothing of what lives."""

from __future__ import annotations

import json
import os
import platform
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from ctrlhub.cluster import cleaning
from ctrlhub.cluster.cleaning import OLD, Leftover, leftovers
from ctrlhub.cluster.ephemeral import private_state
from ctrlhub.cluster.nannies import NannyRecord
from ctrlhub.cluster.processes import KnownProcess
from ctrlhub.cluster.record import SupervisorRecord
from ctrlhub.wire.places import Profile
from ctrlhub.wire.private import make_private_dir, write_private


@pytest.fixture
def runtime(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The only place of sockets."""
    runtime = tmp_path / "run"
    runtime.mkdir(mode=0o700)
    monkeypatch.setattr(cleaning, "socket_roots", lambda: iter([runtime]))
    return runtime


@pytest.fixture
def profile(tmp_path: Path, runtime: Path) -> Profile:
    """A profile."""
    profile = Profile.named("default", tmp_path)
    profile.make()
    return profile


@pytest.fixture
def living() -> Iterator[KnownProcess]:
    """A process that lives for the time of the test."""
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        yield KnownProcess.find(process.pid)
        process.kill()


DEAD = KnownProcess(4_000_000, "long ago")


def record_nanny(profile: Profile, process: KnownProcess, host: str | None = None) -> Path:
    """Leave what `ctrl-hub engine` leaves."""
    make_private_dir(profile.nannies)
    record = NannyRecord(process, host or platform.node())
    path = profile.nannies / f"{process.pid}.json"
    about = {"process": {"pid": process.pid, "birth": process.birth}, "host": record.host}
    write_private(path, json.dumps(about).encode())
    return path


def found(tmp_path: Path, *, logs: bool = False) -> list[Leftover]:
    """Look for what is left."""
    return list(leftovers(tmp_path, logs=logs))


def test_nothing(tmp_path: Path, profile: Profile) -> None:
    """A profile that ended as it should has left nothing."""
    write_private(profile.keys, b"{}")
    assert found(tmp_path) == []


def test_what_a_killed_supervisor_left(tmp_path: Path, profile: Profile) -> None:
    """Its record goes; keys, configuration, store and logs stay."""
    SupervisorRecord(DEAD.pid, processes={"hub": DEAD}).write(profile.supervisor)
    stays = [profile.keys, profile.directory / "config.toml", profile.logs / "hub.log", profile.store / "store.db"]
    profile.store.mkdir()
    for path in stays:
        write_private(path, b"{}")

    (left,) = found(tmp_path)

    assert (left.path, left.why_left) == (profile.directory, "")
    assert profile.supervisor.exists()  # looking changes nothing
    assert left.remove() is True
    assert not profile.supervisor.exists()
    assert all(path.exists() for path in stays)
    assert found(tmp_path) == []


def test_what_may_live_is_left(tmp_path: Path, profile: Profile, living: KnownProcess) -> None:
    """A child of a killed supervisor, a nanny that waits for another hub: it is said how to end them."""
    SupervisorRecord(DEAD.pid, processes={"nanny": living}).write(profile.supervisor)
    (left,) = found(tmp_path)
    assert f"its nanny lives (pid {living.pid}): `ctrl-hub stop --profile default`" in left.why_left

    SupervisorRecord(DEAD.pid).write(profile.supervisor)
    path = record_nanny(profile, living)
    (left,) = found(tmp_path)
    assert f"a nanny of it waits for another hub (pid {living.pid}" in left.why_left
    assert path.exists()


def test_what_is_of_another_host_is_left(tmp_path: Path, profile: Profile) -> None:
    """Pids and locks mean nothing here."""
    SupervisorRecord(DEAD.pid, host="elsewhere").write(profile.supervisor)
    (left,) = found(tmp_path)
    assert left.why_left == "it is of host elsewhere: clean up there"
    profile.supervisor.unlink()
    record_nanny(profile, DEAD, "elsewhere")
    assert found(tmp_path) == []


def test_a_cluster_that_lives_is_left(tmp_path: Path, profile: Profile) -> None:
    """Also if it began after it was looked at."""
    SupervisorRecord(DEAD.pid).write(profile.supervisor)
    (left,) = found(tmp_path)
    with profile.owner_lock():
        assert found(tmp_path, logs=True) == []
        assert left.remove() is False
    with profile.hub_lock():
        assert left.remove() is False
    assert profile.supervisor.exists()


def test_what_killed_nannies_left(tmp_path: Path, profile: Profile, living: KnownProcess) -> None:
    """Records and logs of this host's dead ones go, also while the cluster lives."""
    dead, alive = record_nanny(profile, DEAD), record_nanny(profile, living)
    logs = {pid: profile.logs / f"nanny-{platform.node()}-{pid}" for pid in (DEAD.pid, living.pid)}
    other = profile.logs / f"nanny-elsewhere-{DEAD.pid}"
    for directory in (*logs.values(), other):
        make_private_dir(directory)
        (directory / "engine-0.log").touch()
    with profile.hub_lock():
        left = found(tmp_path)
        assert {each.path for each in left} == {dead, logs[DEAD.pid]}
        assert all(each.remove() for each in left)
    assert (dead.exists(), alive.exists()) == (False, True)
    assert (logs[DEAD.pid].exists(), logs[living.pid].exists(), other.exists()) == (False, True, True)


def test_logs_only_if_asked_for(tmp_path: Path, profile: Profile) -> None:
    """And only of what does not run."""
    (profile.logs / "hub.log").touch()
    assert found(tmp_path) == []
    (left,) = found(tmp_path, logs=True)
    with profile.hub_lock():
        assert found(tmp_path, logs=True) == []
    assert left.remove() is True
    assert not profile.logs.exists()


def test_what_a_killed_program_left(tmp_path: Path, runtime: Path) -> None:
    """Its private profile goes whole; that of a living one stays."""
    state = private_state(tmp_path)
    dead = Profile.named(f"{DEAD.pid}-0123abcd", state)
    alive = Profile.named(f"{os.getpid()}-0123abcd", state)
    for each in (dead, alive):
        each.make()

    with alive.owner_lock():
        (left,) = found(tmp_path)
        assert left.path == dead.directory
        with dead.hub_lock():
            assert left.remove() is False
        assert left.remove() is True
    assert (dead.directory.exists(), alive.directory.exists()) == (False, True)


def bind(directory: Path, *, age: float, listen: bool = False) -> socket.socket:
    """Bind a socket as a hub has it."""
    directory.mkdir(mode=0o700)
    bound = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    path = directory / "h"
    # By its short name: temporary directories of tests are long.
    here = os.open(directory, os.O_RDONLY)
    bound.bind(f"/proc/self/fd/{here}/h")
    os.close(here)
    if listen:
        bound.listen()
    os.utime(path, times=(time.time() - age,) * 2)
    return bound


@pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="binds by way of /proc/self/fd")
def test_sockets_of_dead_hubs(tmp_path: Path, runtime: Path) -> None:
    """Old ones on which nobody listens go; new ones, others' files and living hubs' stay."""
    bind(runtime / "dead", age=OLD + 60).close()
    bind(runtime / "young", age=60).close()
    bind(runtime / "mixed", age=OLD + 60).close()
    (runtime / "mixed" / "notes").touch()
    (runtime / "empty").mkdir()
    with bind(runtime / "living", age=OLD + 60, listen=True):
        (left,) = found(tmp_path)
        assert left.path == runtime / "dead"
        assert left.remove() is True
    assert {path.name for path in runtime.iterdir()} == {"young", "mixed", "empty", "living"}

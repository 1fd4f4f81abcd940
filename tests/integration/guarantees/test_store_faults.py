"""Guarantee 1 when the disk of the store is full, may not be written, or what is on it is damaged."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from ctrlhub import Client, StoreError
from ctrlhub.wire.places import Profile
from tests.support.processes import Command, until
from tests.support.stores_on_disk import contents, leave

MILLION = 1024 * 1024


def can_mount() -> bool:
    """Say whether this process may have mounts of its own."""
    if shutil.which("unshare") is None:
        return False
    command = ["unshare", "--mount", "mount", "-t", "tmpfs", "none", "/mnt"]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


@pytest.fixture
def mounted(
    command: Command, tmp_path: Path, require_system_part: Callable[[str, bool], None]
) -> Callable[..., subprocess.Popen[str]]:
    """``mounted(options, ...)``: run ``ctrl-hub`` where ``small`` is a file system of its own."""
    require_system_part("mount namespaces", can_mount())
    (tmp_path / "small").mkdir(mode=0o700)

    def run(options: str, *arguments: str) -> subprocess.Popen[str]:
        script = f'mount -t tmpfs -o {options} none "$1"; shift; exec "$@"'
        process = subprocess.Popen(
            ["unshare", "--mount", "sh", "-ec", script, "sh", str(tmp_path / "small"),
             sys.executable, "-m", "ctrlhub", *arguments],
            env=command.environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        command.started.append(process)
        return process

    return run


def test_a_full_disk(
    mounted: Callable[..., subprocess.Popen[str]], command: Command, tmp_path: Path
) -> None:
    """What is new is refused with the reason, what was accepted runs; with room again all is well."""
    store = tmp_path / "small" / "store"
    process = mounted("size=24m,mode=700", "start", "-n", "2", "--store", f"sqlite:{store}")
    assert process.stdout is not None
    until(lambda: process.stdout.readline() == "ready\n", "it is ready")  # type: ignore[union-attr]
    with Client() as client:
        inside = Path(f"/proc/{client.status()['hub']['pid']}/root{tmp_path}/small")
        accepted = client[0].apply_async(lambda: __import__("time").sleep(1.0) or 7)
        until(lambda: client.status()["store"]["requests"], "it is accepted")
        fill(inside / "filler")
        large = client.load_balanced_view().apply_async(len, b"x" * MILLION)
        trouble = until(lambda: client.status()["store"]["trouble"], "it is said")
        assert "full" in trouble or "No space" in trouble
        assert "NOTHING CAN BE STORED" in command.run("status").stdout
        with pytest.raises(StoreError, match="cannot store requests now"):
            client[1].apply_sync(int)
        assert accepted.get(60) == 7
        assert large.get(60) == MILLION  # it was there before anybody knew
        (inside / "filler").unlink()
        until(lambda: not client.status()["store"]["trouble"], "there is room again")
        assert client[:].apply_sync(int) == [0, 0]
        [record] = client.db_query({"msg_id": accepted.msg_ids[0]})
        assert record["status"] == "ok"
    assert command.run("stop").returncode == 0


def fill(path: Path) -> None:
    """Write until there is no room."""
    with open(path, "wb", buffering=0) as file:
        try:
            while True:
                file.write(b"x" * 4096)
        except OSError:
            return


def test_a_file_system_that_is_read_only(
    mounted: Callable[..., subprocess.Popen[str]], tmp_path: Path
) -> None:
    """The hub does not start, and says what to do."""
    place = f"sqlite:{tmp_path / 'small' / 'store'}"
    _, said = mounted("ro,mode=700", "hub", "--store", place).communicate(timeout=60)
    assert "the hub cannot start" in said
    assert "Read-only file system" in said
    assert str(tmp_path / "small") in said


@pytest.fixture
def client(command: Command) -> Iterator[Client]:
    """A client of an engine and a hub that has a store."""
    command.start("-n", "1")
    with Client() as client:
        yield client
    assert command.run("stop").returncode == 0


def test_a_database_that_is_damaged_while_it_is_used(client: Client) -> None:
    """Nothing is stored into it, requests are refused with the reason; when it is put right all goes on."""
    database = Path(client.status()["store"]["where"]) / "store.db"
    accepted = client[0].apply_async(lambda: __import__("time").sleep(1.0) or 7)
    until(lambda: client.status()["store"]["requests"], "it is accepted")
    root = set_root(database, 999_999)
    try:
        client[0].apply_async(int)
        trouble = until(lambda: client.status()["store"]["trouble"], "it is said")
        assert "malformed" in trouble
        with pytest.raises(StoreError, match="malformed"):
            client[0].apply_sync(int)
        assert accepted.get(60) == 7
    finally:
        set_root(database, root)
    until(lambda: not client.status()["store"]["trouble"], "it stores again")
    assert client[0].apply_sync(int) == 0


def set_root(database: Path, page: int) -> int:
    """Say that the table of batches begins at a page; return which it was."""
    with closing(sqlite3.connect(database, timeout=10)) as connection:
        connection.execute("PRAGMA writable_schema = ON")  # it reads what is damaged, too
        where = "WHERE name = 'batches' AND type = 'table'"
        (root,) = connection.execute(f"SELECT rootpage FROM sqlite_master {where}").fetchone()
        with connection:
            connection.execute(f"UPDATE sqlite_master SET rootpage = ? {where}", (page,))
            (version,) = connection.execute("PRAGMA schema_version").fetchone()
            connection.execute(f"PRAGMA schema_version = {version + 1}")
        return int(root)


def test_a_database_that_is_damaged_when_the_hub_starts(command: Command) -> None:
    """It does not, says where it is and what to do, and leaves it as it is."""
    profile = Profile.named("default", command.state)
    profile.make()
    profile.store.mkdir(mode=0o700)
    database = profile.store / "store.db"
    descriptor = os.open(database, os.O_CREAT | os.O_WRONLY, 0o600)
    os.write(descriptor, b"no database, but somebody's only copy")
    os.close(descriptor)
    before = database.read_bytes()
    failed = command.run("start", "-n", "1")
    assert failed.returncode != 0
    assert f"the store in {profile.store} cannot be used" in failed.stderr
    assert "move it away" in failed.stderr
    assert database.read_bytes() == before


def test_a_database_that_is_missing_when_the_hub_starts(command: Command) -> None:
    """Where something was stored no empty one is begun, and what is left proves it again."""
    profile = Profile.named("default", command.state)
    profile.make()
    leave(profile.store)
    (profile.store / "store.db").unlink()
    left = contents(profile.store)
    failed = command.run("hub")
    assert failed.returncode != 0
    assert "store.db is missing or empty, and something was stored here" in failed.stderr
    assert contents(profile.store) == left

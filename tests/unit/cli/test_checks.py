"""What ``ctrl-hub doctor`` thinks of what it finds."""

from __future__ import annotations

import socket
import stat
from pathlib import Path

import pytest

from ctrlhub.cli.checks import files, limits, network, running, software
from ctrlhub.cli.checks.finding import Finding, Level, size
from ctrlhub.wire.places import Profile

OK, WARNING, WRONG = Level.OK, Level.WARNING, Level.WRONG
INFINITY = -1
MIB, GIB = 1 << 20, 1 << 30


@pytest.mark.parametrize(
    ("finding", "level", "said"),
    [
        (software.python((3, 11, 7), "CPython", "python"), OK, "CPython 3.11.7"),
        (software.python((3, 9, 0), "CPython", "python"), WRONG, "3.9.0"),
        (software.python((3, 11, 7), "PyPy", "python"), WARNING, "PyPy"),
        (software.libzmq((4, 3, 5), "27", has_curve=True, has_ipc=True), OK, "libzmq 4.3.5, with CURVE"),
        (software.libzmq((4, 3, 5), "27", has_curve=False, has_ipc=True), WRONG, "without CURVE"),
        (software.libzmq((4, 3, 5), "27", has_curve=True, has_ipc=False), WRONG, "without ipc"),
        (software.packer("1.1", "msgpack._cmsgpack"), OK, "C extension"),
        (software.packer("1.1", "msgpack.fallback"), WARNING, "in Python"),
        (limits.descriptors((1024, 1024), 4, INFINITY), OK, "1024 open files"),
        (limits.descriptors((1024, INFINITY), 4000, INFINITY), OK, "at most any"),
        (limits.descriptors((1024, 1024), 1000, INFINITY), WRONG, "at most 1024"),
        (limits.processes(None, 4), OK, "as many"),
        (limits.processes(100, 4), OK, "100 more"),
        (limits.processes(100, 40), WARNING, "100 more"),
        (limits.memory(8 * GIB, 4 * GIB, None), OK, "8 GiB in all, 4 GiB free"),
        (limits.memory(8 * GIB, 100 * MIB, None), WARNING, "100 MiB free"),
        (limits.memory(8 * GIB, None, 9 * GIB), WRONG, "the hub may take 9 GiB"),
        (limits.shared_memory(True), OK, "shared"),
        (limits.shared_memory(False), WARNING, "no memory files"),
        (limits.shm(64 * MIB), WARNING, "64 MiB"),
        (limits.shm(GIB), OK, "1 GiB"),
        (files.disk(Path("/x"), 10 * GIB), OK, "10 GiB free"),
        (files.disk(Path("/x"), 500 * MIB), WARNING, "500 MiB free"),
        (files.disk(Path("/x"), MIB), WRONG, "1 MiB free"),
        (network.address("192.0.2.7", ""), OK, "on 192.0.2.7, encrypted"),
        (network.address("127.0.0.1", ""), WARNING, "other hosts do not reach"),
        (network.address("192.0.2.7", "it is no address of this machine"), WRONG, "no address of this"),
        (network.port_range((100, 109), 6), OK, "4 of 100-109 are free"),
        (network.port_range((100, 109), 7), WRONG, "3 of 100-109 are free"),
        (running.clocks(1000.2, 1000.0, 0.1), OK, "agrees"),
        (running.clocks(1005.0, 1000.0, 0.0), WARNING, "5.0 s ahead of"),
        (running.clocks(995.0, 1000.0, 0.0), WARNING, "5.0 s behind"),
        (running.clocks(1003.0, 1000.0, 5.0), OK, "to 2.500 s"),
        (running.clocks(None, 1000.0, 0.1), OK, "does not tell"),
        (running.engines([]), WARNING, "none"),
        (running.engines([{"id": 3, "state": "idle", "failed_hooks": []}]), OK, "1"),
        (running.engines([{"id": 3, "state": "suspect", "failed_hooks": []}]), WARNING, "1, of which 3"),
        (running.engines([{"id": 3, "state": "idle", "failed_hooks": ["a"]}]), WARNING, "no tasks"),
        (running.answer({"hub": {"pid": 7, "version": "0.0.0"}}, 0.01), WARNING, "version 0.0.0"),
    ],
)  # fmt: skip
def test_what_is_thought(finding: Finding, level: Level, said: str) -> None:
    """How it is, what was found, and what to do about it if anything."""
    assert finding.level is level
    assert said in finding.text
    assert bool(finding.advice) == (level is not OK)


@pytest.mark.parametrize(
    ("groups", "tree"),
    [("0::/a/b\n", ""), ("9:pids:/a/b\n", "pids"), ("9:pids:/a/b\n1:name=systemd:/\n0::/a\n", "pids")],
)
def test_processes_that_control_groups_allow(tmp_path: Path, groups: str, tree: str) -> None:
    """In both versions of such groups, and where a system has both: of each group what is left."""
    (tmp_path / "proc/self").mkdir(parents=True)
    (tmp_path / "proc/self/cgroup").write_text(groups)
    for place, most, current in (("a/b", "max", "5"), ("a", "20", "8")):
        directory = tmp_path / "sys/fs/cgroup" / tree / place
        directory.mkdir(parents=True, exist_ok=True)
        (directory / "pids.max").write_text(f"{most}\n")
        (directory / "pids.current").write_text(f"{current}\n")
    assert list(limits.spare_pids(tmp_path)) == [12]


def test_what_the_hub_says_is_wrong() -> None:
    """Its own troubles, those of its store, and peers that it has refused."""
    hub = {"trouble": ["no memory"], "refused": 2}
    found = list(running.troubles({"hub": hub, "store": {"trouble": "disk full"}}))
    assert [(each.level, each.text) for each in found] == [
        (WARNING, "no memory"),
        (WRONG, "nothing can be stored: disk full"),
        (WARNING, "2 messages of peers were refused"),
    ]
    assert list(running.troubles({"hub": {"trouble": [], "refused": 0}, "store": {"trouble": ""}})) == []


@pytest.mark.parametrize(
    ("mode", "owner", "said"),
    [
        (stat.S_IFREG | 0o600, 7, None),
        (stat.S_IFDIR | 0o700, 7, None),
        (stat.S_IFREG | 0o640, 7, "chmod 600"),
        (stat.S_IFDIR | 0o755, 7, "chmod 700"),
        (stat.S_IFREG | 0o600, 8, "chown 7"),
        (stat.S_IFLNK | 0o777, 7, "links are not followed"),
    ],
)
def test_modes(mode: int, owner: int, said: str | None) -> None:
    """What is private is this user's alone, and no link."""
    finding = files.mode_trouble(Path("/x"), mode, owner, 7)
    assert (finding is None) == (said is None)
    if finding is not None and said is not None:
        assert (finding.level, said in finding.advice) == (WRONG, True)


def test_every_open_file_is_named(tmp_path: Path) -> None:
    """Keys, connection files and directories, in one look."""
    profile = Profile.named("default", tmp_path)
    profile.make()
    for name in ("keys.json", "connection-client.json"):
        (profile.directory / name).touch(mode=0o600)
    assert [each.level for each in files.modes(profile)] == [OK]
    (profile.directory / "keys.json").chmod(0o604)
    profile.logs.chmod(0o750)

    found = list(files.modes(profile))

    assert {each.text.split()[0] for each in found} == {str(profile.directory / "keys.json"), str(profile.logs)}


def test_a_state_directory_to_be_made(tmp_path: Path) -> None:
    """What there is of its path decides; nothing is made."""
    assert files.directory("x", tmp_path / "a" / "b").level is OK
    (tmp_path / "file").touch()
    assert files.directory("x", tmp_path / "file" / "b").level is WRONG
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_where_stores_are(tmp_path: Path) -> None:
    """Only SQLite's have a directory."""
    profile = Profile.named("default", tmp_path)
    assert files.store_directory(profile, "sqlite") == profile.store
    assert files.store_directory(profile, "sqlite:/scratch/x") == Path("/scratch/x")
    assert files.store_directory(profile, "memory") is None
    assert files.store_directory(profile, "postgresql://h/d") is None


def test_no_place_for_sockets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each place is named with what is wrong there; nothing is made."""
    monkeypatch.setattr(files, "socket_places", lambda profile: iter([(tmp_path / "a", "too long"), (tmp_path / "b", "others")]))
    finding = files.sockets(Profile.named("default", tmp_path))
    assert (finding.level, finding.text) == (WRONG, "too long; others")
    assert list(tmp_path.iterdir()) == []


def test_listening_is_tried() -> None:
    """A port that somebody has, an address of another machine, a name of none."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert "in use" in network.bind_error("127.0.0.1", port)
    assert network.bind_error("127.0.0.1", 0) == ""
    assert network.bind_error("192.0.2.7", 0) == "it is no address of this machine"
    assert "not known" in network.bind_error("no-such-host.invalid", 0)


def test_sizes() -> None:
    """In the unit that suits them."""
    assert [size(n) for n in (0, 1023, 1 << 20, 3 << 40)] == ["0 bytes", "1023 bytes", "1 MiB", "3.0 TiB"]

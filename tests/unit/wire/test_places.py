"""Where state and sockets live."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from ctrlhub.wire.errors import AlreadyRunning
from ctrlhub.wire.messages import Role, Stream
from ctrlhub.wire.places import (
    MAX_SOCKET_PATH,
    SOCKET_NAMES,
    Profile,
    ipc_addresses,
    known_profiles,
    profile_dir,
    remove_sockets,
    socket_dir,
    state_dir,
)
from ctrlhub.wire.private import StateError, this_uid


def mode(path: Path) -> int:
    """Give the permissions of a path itself."""
    return stat.S_IMODE(path.lstat().st_mode)


@pytest.fixture
def short() -> Iterator[Path]:
    """A private directory with a short path, in which sockets fit."""
    path = Path(tempfile.mkdtemp(prefix="ctrlhub-test-", dir="/tmp"))
    yield path
    shutil.rmtree(path)


@pytest.fixture
def runtime(short: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The user's runtime directory; the temporary one is another."""
    path = short / "run"
    path.mkdir(mode=0o700)
    (short / "tmp").mkdir(mode=0o700)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(path))
    monkeypatch.setattr(tempfile, "tempdir", str(short / "tmp"))
    return path


def temporary_place(short: Path) -> Path:
    """Where sockets go when the runtime directory will not do."""
    return short / "tmp" / f"ctrlhub-{this_uid()}"


class TestStateDir:
    def test_the_variable_names_it(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """As it stands, and with the home written as ~."""
        monkeypatch.setenv("HOME", str(tmp_path))
        for value, expected in ((f"{tmp_path}/a", tmp_path / "a"), ("~/b", tmp_path / "b")):
            monkeypatch.setenv("CTRLHUB_STATE_DIR", value)
            assert expected == state_dir()

    def test_a_relative_one_does_not_move_with_the_process(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """It is made absolute where it is read."""
        monkeypatch.chdir(tmp_path)
        monkeypatch.setenv("CTRLHUB_STATE_DIR", "here")

        assert Path.cwd() / "here" == state_dir()

    def test_a_home_that_there_is_not(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Is an error that names the variable."""
        monkeypatch.setenv("CTRLHUB_STATE_DIR", "~no-such-user-here/x")

        with pytest.raises(StateError, match="CTRLHUB_STATE_DIR"):
            state_dir()

    @pytest.mark.skipif(sys.platform != "linux", reason="XDG directories are Linux's")
    def test_otherwise_it_is_the_users(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The XDG state directory; an empty variable is none."""
        monkeypatch.setenv("CTRLHUB_STATE_DIR", "")
        monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))

        assert tmp_path / "ctrlhub" == state_dir()


class TestProfile:
    @pytest.mark.parametrize("name", ["default", "a", "A-1_b.c", "x" * 64])
    def test_names(self, tmp_path: Path, name: str) -> None:
        """Each has a directory of its own in the state directory."""
        assert tmp_path == profile_dir(name, tmp_path).parents[1]
        assert name == profile_dir(name, tmp_path).name

    @pytest.mark.parametrize(
        "name",
        [
            "",
            ".",
            "..",
            ".x",
            "-x",
            "a..b",
            "a/b",
            "../a",
            "/a",
            "a\n",
            "a b",
            "ä",
            "x" * 65,
            "a\0",
        ],
    )
    def test_what_is_no_name(self, tmp_path: Path, name: str) -> None:
        """A name never leads out of the state directory; the message says what is allowed."""
        with pytest.raises(ValueError, match="is not a profile name: use"):
            profile_dir(name, tmp_path)

    def test_its_files_are_different(self, tmp_path: Path) -> None:
        """Each path is in its directory, and its own."""
        profile = Profile.named("p", tmp_path)
        paths = [
            profile.connection_client,
            profile.connection_engine,
            profile.keys,
            profile.lock,
            profile.supervisor,
            profile.logs,
        ]

        assert len(paths) == len(set(paths))
        assert {profile.directory} == {path.parent for path in paths}
        assert profile.connection_engine == profile.connection(Role.NANNY)

    def test_is_made_private_whatever_the_umask(self, tmp_path: Path) -> None:
        """The state directory too, when it is new."""
        profile = Profile.named("p", tmp_path / "state")
        before = os.umask(0)
        try:
            profile.make()
        finally:
            os.umask(before)

        made = (tmp_path / "state", profile.directory.parent, profile.directory, profile.logs)
        assert [mode(path) for path in made] == [0o700] * 4

    def test_a_given_state_directory_keeps_its_mode(self, tmp_path: Path) -> None:
        """It may be anything, such as a shared scratch; what is ours in it is closed."""
        (tmp_path / "state").mkdir()
        (tmp_path / "state").chmod(0o755)
        profile = Profile.named("p", tmp_path / "state")
        profile.make()

        assert (mode(tmp_path / "state"), mode(profile.directory)) == (0o755, 0o700)

    def test_clear_leaves_keys_logs_and_lock(self, tmp_path: Path) -> None:
        """What speaks of a running hub goes, half-written files included."""
        profile = Profile.named("p", tmp_path)
        profile.make()
        for path in (profile.connection_client, profile.connection_engine, profile.supervisor):
            path.touch()
        (profile.directory / ".keys.json.0123.unfinished").touch()
        profile.keys.touch()
        profile.lock.touch()
        profile.clear()
        profile.clear()

        assert sorted(os.listdir(profile.directory)) == ["keys.json", "lock", "logs"]

    def test_its_lock_names_it(self, tmp_path: Path) -> None:
        """The error of a second hub says which profile is taken."""
        profile = Profile.named("p", tmp_path)
        profile.make()

        with profile.hub_lock(), pytest.raises(AlreadyRunning, match="'p'"):
            profile.hub_lock().acquire()

    def test_the_known_ones(self, tmp_path: Path) -> None:
        """By name; what is no profile's directory does not count."""
        assert list(known_profiles(tmp_path)) == []
        for name in ("b", "a"):
            Profile.named(name, tmp_path).make()
        (profile_dir("a", tmp_path).parent / "file").touch()
        (profile_dir("a", tmp_path).parent / ".hidden").mkdir()

        assert [Profile.named("a", tmp_path), Profile.named("b", tmp_path)] == list(
            known_profiles(tmp_path)
        )


class TestSocketDir:
    def test_stands_in_the_runtime_directory(self, runtime: Path, tmp_path: Path) -> None:
        """Private, with its parent, whatever the umask."""
        before = os.umask(0)
        try:
            found = socket_dir(tmp_path)
        finally:
            os.umask(before)

        assert runtime / "ctrlhub" == found.parent
        assert (mode(found), mode(found.parent)) == (0o700, 0o700)

    def test_is_the_same_for_the_same_profile(self, runtime: Path, tmp_path: Path) -> None:
        """So that engines find a hub that was started again; also under another path."""
        (tmp_path / "a").mkdir()
        (tmp_path / "link").symlink_to(tmp_path / "a")
        found = [socket_dir(tmp_path / name) for name in ("a", "a", "link", "b")]

        assert found[0] == found[1] == found[2]
        assert found[0] != found[3]

    @pytest.mark.parametrize("value", ["", "relative", "/does/not/exist"])
    def test_without_a_runtime_directory(
        self,
        runtime: Path,
        short: Path,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
        value: str,
    ) -> None:
        """It stands in a directory of the user's in the temporary one."""
        monkeypatch.setenv("XDG_RUNTIME_DIR", value)

        assert temporary_place(short) == socket_dir(tmp_path).parent
        assert mode(temporary_place(short)) == 0o700

    def test_another_users_runtime_directory_is_not_used(
        self, runtime: Path, short: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """`sudo` and `su` leave it in the environment."""
        monkeypatch.setattr("ctrlhub.wire.places._is_ours", lambda path: path != runtime)

        assert temporary_place(short) == socket_dir(tmp_path).parent
        assert os.listdir(runtime) == []

    def test_a_long_runtime_directory_is_not_used(
        self, runtime: Path, short: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A path that is too long for a socket gives way to a shorter one."""
        long = runtime / ("x" * 100)
        long.mkdir(mode=0o700)
        monkeypatch.setenv("XDG_RUNTIME_DIR", str(long))

        assert temporary_place(short) == socket_dir(tmp_path).parent
        assert os.listdir(long) == []

    def test_every_path_fits(
        self, runtime: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """To the byte: the longest runtime directory that is used, and the next."""
        used = 0
        for size in range(1, 90):
            base = runtime / ("é" * (size // 2) + "x" * (size % 2))
            base.mkdir(mode=0o700)
            monkeypatch.setenv("XDG_RUNTIME_DIR", str(base))
            found = socket_dir(tmp_path)
            longest = max(len(os.fsencode(found / name)) for name in SOCKET_NAMES.values())
            assert longest <= MAX_SOCKET_PATH
            used = max(used, longest)
        assert used == MAX_SOCKET_PATH

    def test_a_long_temporary_directory_gives_way_to_the_common_one(
        self, runtime: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Batch systems make temporary directories with long names."""
        monkeypatch.setenv("XDG_RUNTIME_DIR", "")
        monkeypatch.setattr(tempfile, "tempdir", "/tmp/" + "x" * 100)
        found = socket_dir(tmp_path)
        try:
            assert Path(f"/tmp/ctrlhub-{this_uid()}") == found.parent
        finally:
            remove_sockets(found)

    @pytest.mark.parametrize("way", ["link", "file", "another user's"])
    def test_a_place_that_is_not_ours_is_not_used(
        self, runtime: Path, short: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, way: str
    ) -> None:
        """Anyone may make our directory in the temporary one before us."""
        monkeypatch.setenv("XDG_RUNTIME_DIR", "")
        monkeypatch.setattr("ctrlhub.wire.places._socket_bases", lambda: [temporary_place(short)])
        if way == "link":
            temporary_place(short).symlink_to(runtime)
        elif way == "file":
            temporary_place(short).touch()
        else:
            temporary_place(short).mkdir(mode=0o700)
            monkeypatch.setattr("ctrlhub.wire.private.this_uid", lambda: 54321)

        with pytest.raises(StateError, match=f"no place for the hub's sockets.*{short}.*TMPDIR"):
            socket_dir(tmp_path)
        assert os.listdir(runtime) == []

    @pytest.mark.parametrize("level", ["base", "directory"])
    def test_a_link_further_down_is_not_used_either(
        self, runtime: Path, short: Path, tmp_path: Path, level: str
    ) -> None:
        """The runtime directory is passed over; the temporary one serves."""
        found = socket_dir(tmp_path)
        target = found if level == "directory" else found.parent
        shutil.move(target, short / "moved")
        target.symlink_to(short / "moved")

        assert temporary_place(short) == socket_dir(tmp_path).parent

    def test_ground_on_which_others_can_rename_is_not_used(
        self, runtime: Path, short: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A temporary directory that all can write to must be sticky."""
        monkeypatch.setenv("XDG_RUNTIME_DIR", "")
        monkeypatch.setattr("ctrlhub.wire.places._socket_bases", lambda: [temporary_place(short)])
        (short / "tmp").chmod(0o777)
        with pytest.raises(StateError, match="others can rename"):
            socket_dir(tmp_path)
        (short / "tmp").chmod(0o1777)

        assert temporary_place(short) == socket_dir(tmp_path).parent

    def test_every_stream_has_an_address(self) -> None:
        """No two have the same."""
        addresses = ipc_addresses(Path("/run/x"))

        assert set(Stream) == set(addresses)
        assert addresses[Stream.HUB] == "ipc:///run/x/h"
        assert len(set(addresses.values())) == len(Stream)


class TestRemoveSockets:
    def leave(self, directory: Path) -> None:
        """Leave sockets, as a killed hub does."""
        for name in SOCKET_NAMES.values():
            os.mknod(directory / name, stat.S_IFSOCK | 0o600)

    def test_leaves_nothing(self, runtime: Path, tmp_path: Path) -> None:
        """Neither sockets nor directories; a second call finds nothing to do."""
        found = socket_dir(tmp_path)
        self.leave(found)
        remove_sockets(found)
        remove_sockets(found)

        assert os.listdir(runtime) == []

    def test_leaves_other_profiles_alone(self, runtime: Path, tmp_path: Path) -> None:
        """Their sockets, and the directory above both."""
        ours, theirs = socket_dir(tmp_path / "a"), socket_dir(tmp_path / "b")
        self.leave(ours)
        self.leave(theirs)
        remove_sockets(ours)

        assert not ours.exists()
        assert set(SOCKET_NAMES.values()) == set(os.listdir(theirs))

    def test_removes_nothing_but_sockets(self, runtime: Path, tmp_path: Path) -> None:
        """A file of one of their names is someone's."""
        found = socket_dir(tmp_path)
        (found / "h").write_bytes(b"kept")
        remove_sockets(found)

        assert (found / "h").read_bytes() == b"kept"

    def test_refuses_a_directory_that_is_open(self, runtime: Path, tmp_path: Path) -> None:
        """It is not one of ours."""
        found = socket_dir(tmp_path)
        self.leave(found)
        found.chmod(0o755)

        with pytest.raises(StateError, match="open to other users"):
            remove_sockets(found)


def test_importing_it_is_cheap() -> None:
    """What is needed now and then is imported then."""
    code = (
        "import sys, ctrlhub.wire.places, ctrlhub.wire.connection;"
        "print(*{'zmq', 'platformdirs', 'tempfile', 'secrets', 'hashlib', 'fcntl'} & {*sys.modules})"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert run.stdout.split() == []

"""Private files and directories."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from ctrlhub.wire import private
from ctrlhub.wire.private import (
    StateError,
    check_private_dir,
    make_private_dir,
    open_private,
    read_private,
    remove_unfinished,
    this_uid,
    write_private,
)

LIMIT = 1000


@pytest.fixture(autouse=True)
def umask_zero() -> Iterator[None]:
    """Nothing but our own care closes a file."""
    before = os.umask(0)
    yield
    os.umask(before)


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A private directory."""
    tmp_path.chmod(0o700)
    return tmp_path


def be_another_user(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make everything on the disk someone else's."""
    other = this_uid() + 1
    monkeypatch.setattr(private, "this_uid", lambda: other)


def mode(path: Path) -> int:
    """Give the permissions of a path itself."""
    return stat.S_IMODE(path.lstat().st_mode)


class TestMakePrivateDir:
    def test_makes_it_and_its_parents_closed(self, place: Path) -> None:
        """Whatever the umask, nobody else can look into what was made."""
        make_private_dir(place / "a" / "b" / "c")

        assert [mode(place / p) for p in ("a", "a/b", "a/b/c")] == [0o700] * 3

    def test_is_closed_from_its_creation(
        self, place: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """There is no instant in which it stands open."""
        born = []
        real = os.mkdir

        def watched(path: Path, how: int = 0o777) -> None:
            real(path, how)
            born.append(mode(Path(path)))

        monkeypatch.setattr(os, "mkdir", watched)
        make_private_dir(place / "a" / "b")

        assert born == [0o700, 0o700]

    def test_leaves_existing_parents_alone(self, place: Path) -> None:
        """A user's own directories keep their modes."""
        (place / "shared").mkdir(mode=0o755)
        make_private_dir(place / "shared" / "ours")

        assert (mode(place / "shared"), mode(place / "shared" / "ours")) == (0o755, 0o700)

    def test_is_content_with_one_that_exists(self, place: Path) -> None:
        """Making it twice changes nothing in it."""
        make_private_dir(place / "a")
        (place / "a" / "kept").touch()
        make_private_dir(place / "a")

        assert (place / "a" / "kept").exists()

    def test_closes_one_that_stands_open(self, place: Path) -> None:
        """A directory of ours that others could write into is closed."""
        (place / "a").mkdir(mode=0o777)
        make_private_dir(place / "a")

        assert mode(place / "a") == 0o700

    def test_refuses_one_that_does_not_close(
        self, place: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Some file systems accept a mode and keep another; that is noticed."""
        (place / "a").mkdir(mode=0o755)
        monkeypatch.setattr(os, "fchmod", lambda *_: None)

        with pytest.raises(StateError, match=r"open to other users \(mode 0755\).*chmod 700"):
            make_private_dir(place / "a")

    def test_refuses_a_link(self, place: Path) -> None:
        """A link in its place may lead anywhere, also to a directory of ours."""
        (place / "real").mkdir(mode=0o700)
        (place / "a").symlink_to(place / "real")

        with pytest.raises(StateError, match="symbolic link"):
            make_private_dir(place / "a")

    def test_refuses_a_link_to_nowhere(self, place: Path) -> None:
        """Nothing is made where a dangling link points."""
        (place / "a").symlink_to(place / "elsewhere")

        with pytest.raises(StateError, match="symbolic link"):
            make_private_dir(place / "a")
        assert not (place / "elsewhere").exists()

    def test_refuses_another_users(self, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """One that someone made before us is theirs to change, whatever its mode."""
        (place / "a").mkdir(mode=0o700)
        be_another_user(monkeypatch)

        with pytest.raises(StateError, match="belongs to uid"):
            make_private_dir(place / "a")

    def test_does_not_change_another_users(
        self, place: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Root, who could, does not close directories that are not its own."""
        (place / "a").mkdir(mode=0o777)
        be_another_user(monkeypatch)

        with pytest.raises(StateError):
            make_private_dir(place / "a")
        assert mode(place / "a") == 0o777

    @pytest.mark.parametrize("name", ["file", "file/below"])
    def test_refuses_a_file(self, place: Path, name: str) -> None:
        """A file in its place, or above it, is an error that names the path."""
        (place / "file").touch()

        with pytest.raises(StateError, match="file"):
            make_private_dir(place / name)

    def test_survives_a_parent_that_vanishes(
        self, place: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Another hub's end may remove the parent, empty for an instant; it is made again."""
        real = os.mkdir
        vanish = [True]

        def hostile(path: Path, how: int = 0o777) -> None:
            if Path(path).name == "b" and vanish:
                vanish.pop()
                os.rmdir(Path(path).parent)
            real(path, how)

        monkeypatch.setattr(os, "mkdir", hostile)
        make_private_dir(place / "a" / "b")

        assert mode(place / "a" / "b") == 0o700


class TestCheckPrivateDir:
    def test_accepts_a_private_one(self, place: Path) -> None:
        """A directory of ours, closed, is what is wanted; it stays as it is."""
        before = os.stat(place)

        assert check_private_dir(place) is None  # type: ignore[func-returns-value]
        assert os.stat(place) == before

    @pytest.mark.parametrize("name", ["missing", "file/below"])
    def test_says_that_there_is_none(self, place: Path, name: str) -> None:
        """A missing directory is not an unsafe one."""
        (place / "file").touch()

        with pytest.raises(FileNotFoundError):
            check_private_dir(place / name)

    def test_refuses_an_open_one_and_leaves_it(self, place: Path) -> None:
        """Looking changes nothing."""
        (place / "a").mkdir(mode=0o750)

        with pytest.raises(StateError, match="open to other users"):
            check_private_dir(place / "a")
        assert mode(place / "a") == 0o750

    def test_refuses_links_files_and_other_users(
        self, place: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Each says what it is."""
        (place / "link").symlink_to(place)
        (place / "file").touch()

        with pytest.raises(StateError, match="symbolic link"):
            check_private_dir(place / "link")
        with pytest.raises(StateError, match="not a directory"):
            check_private_dir(place / "file")
        be_another_user(monkeypatch)
        with pytest.raises(StateError, match="belongs to uid"):
            check_private_dir(place)


class TestWritePrivate:
    def test_writes_closed(self, place: Path) -> None:
        """Nobody else can read it, whatever the umask."""
        write_private(place / "f", b"data")

        assert ((place / "f").read_bytes(), mode(place / "f")) == (b"data", 0o600)

    def test_is_closed_from_its_creation(
        self, place: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """There is no instant in which the file stands open."""
        born = []
        real = os.open

        def watched(path: Path, flags: int, how: int = 0o777) -> int:
            descriptor = real(path, flags, how)
            if flags & os.O_CREAT:
                born.append(stat.S_IMODE(os.fstat(descriptor).st_mode))
            return descriptor

        monkeypatch.setattr(os, "open", watched)
        write_private(place / "f", b"data")

        assert born == [0o600]

    def test_replaces_an_open_file_by_a_closed_one(self, place: Path) -> None:
        """Whoever holds the old file open does not see the new one."""
        (place / "f").write_bytes(b"old")
        with (place / "f").open("rb") as reader:
            write_private(place / "f", b"new")
            seen = reader.read()

        assert (seen, (place / "f").read_bytes(), mode(place / "f")) == (b"old", b"new", 0o600)

    def test_replaces_a_link_and_not_what_it_points_to(self, place: Path) -> None:
        """A link that someone left does not choose where secrets go."""
        (place / "victim").write_bytes(b"kept")
        (place / "f").symlink_to(place / "victim")
        write_private(place / "f", b"data")

        assert (place / "victim").read_bytes() == b"kept"
        assert not (place / "f").is_symlink()

    def test_leaves_no_trace_of_a_failure(
        self, place: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A full disk leaves the old file, and nothing beside it."""
        write_private(place / "f", b"old")

        def full(descriptor: int) -> None:
            raise OSError(errno.ENOSPC, "No space left on device")

        monkeypatch.setattr(os, "fsync", full)
        with pytest.raises(StateError, match=r"cannot write .*f: No space left"):
            write_private(place / "f", b"new")

        assert ((place / "f").read_bytes(), os.listdir(place)) == (b"old", ["f"])

    def test_says_where_it_cannot_write(self, place: Path) -> None:
        """A missing directory, or one in the file's place, is an error that names the path."""
        (place / "dir").mkdir()

        for path in (place / "missing" / "f", place / "dir"):
            with pytest.raises(StateError, match=f"cannot write {path}"):
                write_private(path, b"")
        assert os.listdir(place) == ["dir"]

    def test_what_a_killed_writer_left_can_be_removed(
        self, place: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Half-written files are told from all others."""
        write_private(place / "f", b"data")
        monkeypatch.setattr(os, "replace", lambda *_: None)  # as if killed before it
        write_private(place / "f", b"half")
        assert len(os.listdir(place)) == 2
        remove_unfinished(place)

        assert os.listdir(place) == ["f"]


class TestReadPrivate:
    def test_reads_what_was_written(self, place: Path) -> None:
        """A file of at most the limit comes back whole."""
        write_private(place / "f", b"x" * LIMIT)

        assert read_private(place / "f", LIMIT) == b"x" * LIMIT

    def test_says_that_there_is_none(self, place: Path) -> None:
        """A missing file, or a file where its directory should be, is not an unsafe one."""
        write_private(place / "f", b"")

        for path in (place / "missing", place / "f" / "below"):
            with pytest.raises(FileNotFoundError):
                read_private(path, LIMIT)

    def test_refuses_a_link(self, place: Path) -> None:
        """Also one to a good file."""
        write_private(place / "real", b"data")
        (place / "f").symlink_to(place / "real")

        with pytest.raises(StateError, match="symbolic link"):
            read_private(place / "f", LIMIT)

    def test_refuses_a_fifo_at_once(self, place: Path) -> None:
        """A FIFO does not make it wait for a writer."""
        os.mkfifo(place / "f", 0o600)

        with pytest.raises(StateError, match="not a regular file"):
            read_private(place / "f", LIMIT)

    def test_refuses_a_directory(self, place: Path) -> None:
        """A directory is no file."""
        (place / "f").mkdir(mode=0o700)

        with pytest.raises(StateError, match="not a regular file"):
            read_private(place / "f", LIMIT)

    @pytest.mark.parametrize("bits", [0o640, 0o604, 0o620, 0o602, 0o610, 0o777])
    def test_refuses_one_that_stands_open(self, place: Path, bits: int) -> None:
        """Each permission of others counts; the message says how to mend it."""
        write_private(place / "f", b"data")
        (place / "f").chmod(bits)

        with pytest.raises(StateError, match=rf"mode 0{bits:o}\): `chmod 600 {place}/f`"):
            read_private(place / "f", LIMIT)

    def test_refuses_another_users(self, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Someone else's file is not believed."""
        write_private(place / "f", b"data")
        be_another_user(monkeypatch)

        with pytest.raises(StateError, match="belongs to uid"):
            read_private(place / "f", LIMIT)

    def test_refuses_a_huge_one_without_reading_it(self, place: Path) -> None:
        """A file of a terabyte costs no more than its limit."""
        write_private(place / "f", b"")
        os.truncate(place / "f", 1 << 40)

        with pytest.raises(StateError, match="larger than 1000 bytes"):
            read_private(place / "f", LIMIT)

    def test_refuses_a_path_with_a_nul(self) -> None:
        """What the system cannot even name is an error like the others."""
        with pytest.raises(StateError, match="null"):
            read_private(Path("a\0b"), LIMIT)

    def test_leaves_no_descriptor_open(self, place: Path) -> None:
        """Neither good files nor bad ones cost a descriptor."""
        write_private(place / "good", b"data")
        os.mkfifo(place / "fifo", 0o600)
        before = os.open(os.devnull, os.O_RDONLY)
        os.close(before)
        for _ in range(3):
            read_private(place / "good", LIMIT)
            with pytest.raises(StateError):
                read_private(place / "good", 1)
            with pytest.raises(StateError):
                read_private(place / "fifo", LIMIT)
            make_private_dir(place / "dir")
        after = os.open(os.devnull, os.O_RDONLY)
        os.close(after)

        assert before == after


def test_a_new_private_file_is_closed(place: Path) -> None:
    """A file made by opening it is 0600 too."""
    os.close(open_private(place / "f", os.O_RDWR | os.O_CREAT))

    assert mode(place / "f") == 0o600

"""The lock of a profile, within one process; tests/integration/test_lock.py has several."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from ctrlhub.wire.errors import AlreadyRunning
from ctrlhub.wire.lock import HubLock
from ctrlhub.wire.private import StateError


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """The file of a lock that nobody has taken yet."""
    return tmp_path / "lock"


def test_nobody_holds_a_lock_that_was_never_taken(path: Path) -> None:
    """Asking makes no file."""
    assert (HubLock(path).holder(), path.exists()) == (None, False)


def test_the_holder_is_known(path: Path) -> None:
    """Who asks, through the same object or another one, gets the pid."""
    with HubLock(path) as lock:
        assert (os.getpid(), os.getpid()) == (lock.holder(), HubLock(path).holder())


def test_asking_does_not_take_it(path: Path) -> None:
    """A holder asked for many times still holds it, and a free lock stays free."""
    with HubLock(path) as lock:
        HubLock(path).holder()
        assert HubLock(path).holder() == os.getpid()
        lock.release()
        HubLock(path).holder()
        assert HubLock(path).holder() is None


def test_a_second_one_is_refused_with_pid_and_profile(path: Path) -> None:
    """The error names the pid of the first and its profile."""
    with HubLock(path, "mine"), pytest.raises(AlreadyRunning) as caught:
        HubLock(path, "mine").acquire()

    assert (os.getpid(), "mine") == (caught.value.pid, caught.value.profile)


def test_the_same_object_does_not_take_it_twice(path: Path) -> None:
    """Nor does a second call give up what the first took."""
    with HubLock(path) as lock:
        with pytest.raises(AlreadyRunning):
            lock.acquire()
        assert HubLock(path).holder() == os.getpid()


def test_it_can_be_taken_again_after_its_release(path: Path) -> None:
    """By anyone; releasing twice is harmless."""
    first = HubLock(path)
    first.acquire()
    first.release()
    first.release()
    with HubLock(path) as second:
        assert second.holder() == os.getpid()
    first.acquire()
    first.release()


def test_a_holder_without_a_name_is_not_taken_for_nobody(path: Path) -> None:
    """Someone emptied the file; the lock is held all the same."""
    with HubLock(path):
        os.truncate(path, 0)
        for ask in (HubLock(path).holder, HubLock(path).acquire):
            with pytest.raises(StateError, match="does not say by whom"):
                ask()


def test_the_pid_of_an_earlier_holder_does_not_show(path: Path) -> None:
    """What a killed process left, longer or damaged, is written over."""
    path.write_bytes(b"9" * 18)
    path.chmod(0o600)

    assert HubLock(path).holder() is None
    with HubLock(path):
        assert HubLock(path).holder() == os.getpid()


def test_its_files_are_private(path: Path) -> None:
    """The umask does not decide."""
    before = os.umask(0)
    try:
        with HubLock(path):
            modes = [file.stat().st_mode & 0o777 for file in path.parent.iterdir()]
            assert modes == [0o600, 0o600]
    finally:
        os.umask(before)


def test_a_link_is_not_followed(path: Path, tmp_path: Path) -> None:
    """A link in its place neither takes nor writes what it points to."""
    (tmp_path / "victim").write_bytes(b"kept")
    (tmp_path / "victim").chmod(0o600)
    path.symlink_to(tmp_path / "victim")

    with pytest.raises(StateError, match="symbolic link"):
        HubLock(path).acquire()
    with pytest.raises(StateError, match="symbolic link"):
        HubLock(path).holder()
    assert (tmp_path / "victim").read_bytes() == b"kept"


def test_a_file_system_without_locks_is_named(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The message says where to put the state instead."""
    import fcntl

    def unsupported(*_: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", unsupported)
    with pytest.raises(StateError, match=r"No locks available.*CTRLHUB_STATE_DIR"):
        HubLock(path).acquire()


def test_a_failure_leaves_it_free(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A lock whose name could not be written is not kept."""
    with monkeypatch.context() as patch:
        patch.setattr("ctrlhub.wire.lock._write_pid", lambda _: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            HubLock(path).acquire()

    assert HubLock(path).holder() is None

"""Private files and directories: 0600 and 0700 from their creation, ours, and no links.

Whoever can read these files can run code as their owner, and whoever can write into these
directories can put a socket of their own in place of the hub's. So nothing is ever made open and
closed afterwards, and nothing is believed about a path that was not asked of an open descriptor.

Where the system has no owners and modes (Windows), the user's folder protects what is in it and
the checks have nothing to look at.
"""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from ctrlhub.wire.errors import CtrlHubError

NO_UID = -1
"""The uid where the system has none."""

_OTHERS = 0o077
_UNFINISHED = ".unfinished"
# Flags that one system or another lacks count as nothing there.
_NOFOLLOW = getattr(os, "O_NOFOLLOW", 0)
_NONBLOCK = getattr(os, "O_NONBLOCK", 0)
_DIRECTORY = getattr(os, "O_DIRECTORY", 0)
_CLOEXEC = getattr(os, "O_CLOEXEC", 0)
_BINARY = getattr(os, "O_BINARY", 0)
_NEW_DIRECTORY_TRIES = 8


class StateError(CtrlHubError):
    """A file or directory of ctrl-hub's cannot be used as it is; the message says what to do."""


def this_uid() -> int:
    """Return the user that this process acts as, or `NO_UID`."""
    if sys.platform == "win32":
        return NO_UID
    return os.geteuid()


def make_private_dir(path: Path) -> None:
    """Make a directory that nobody else can look into, with the parents it lacks.

    A directory of ours that stands open is closed; what exists above it is left as it is.

    Raises
    ------
    StateError
        If it cannot be made, is a link or a file, belongs to someone else, or cannot be closed.
    """
    path = path.absolute()
    with _explained("make the directory", path):
        _make_missing(path)
    if sys.platform == "win32":
        return
    with _explained("open the directory", path):
        _refuse_link(path, os.lstat(path))
        descriptor = os.open(path, os.O_RDONLY | _DIRECTORY | _NOFOLLOW | _CLOEXEC)
    try:
        _refuse_foreign(path, os.fstat(descriptor))
        if os.fstat(descriptor).st_mode & _OTHERS:
            with _explained("close off the directory", path):
                os.fchmod(descriptor, 0o700)
        # Some file systems accept a mode and keep another.
        _refuse_open(path, os.fstat(descriptor), "700")
    finally:
        os.close(descriptor)


def check_private_dir(path: Path) -> None:
    """Make sure that a directory is ours, and closed to others.

    Raises
    ------
    FileNotFoundError
        If there is none.
    StateError
        If it is a link or a file, belongs to someone else, or stands open.
    """
    try:
        found = os.lstat(path)
    except (FileNotFoundError, NotADirectoryError):
        raise FileNotFoundError(f"there is no directory {path}") from None
    except OSError as error:
        raise StateError(f"cannot look at {path}: {error.strerror}") from error
    _refuse_link(path, found)
    if not stat.S_ISDIR(found.st_mode):
        raise StateError(f"{path} is not a directory: remove it")
    if sys.platform != "win32":
        _refuse_foreign(path, found)
        _refuse_open(path, found, "700")


def write_private(path: Path, data: bytes) -> None:
    """Write a file whole or not at all, closed to others from its creation.

    Raises
    ------
    StateError
        If it cannot be written.
    """
    unfinished = path.with_name(f".{path.name}.{os.urandom(6).hex()}{_UNFINISHED}")
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | _NOFOLLOW | _CLOEXEC | _BINARY
    with _explained("write", path):
        descriptor = os.open(unfinished, flags, 0o600)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            os.replace(unfinished, path)
        except BaseException:
            with suppress(FileNotFoundError):
                os.unlink(unfinished)
            raise
        sync_dir(path.parent)


def read_private(path: Path, limit: int) -> bytes:
    """Read a file that must be regular, ours, closed to others and of at most `limit` bytes.

    Raises
    ------
    FileNotFoundError
        If there is none.
    StateError
        If it is anything else than that, or cannot be read.
    """
    try:
        descriptor = open_private(path, os.O_RDONLY)
    except NotADirectoryError:
        raise FileNotFoundError(f"there is no file {path}") from None
    try:
        with _explained("read", path), os.fdopen(descriptor, "rb", closefd=False) as file:
            data = file.read(limit + 1)
    finally:
        os.close(descriptor)
    if len(data) > limit:
        raise StateError(f"{path} is larger than {limit} bytes, so none of ours: remove it")
    return data


def open_private(path: Path, flags: int) -> int:
    """Open a private file and return its descriptor; a new one (``O_CREAT``) is 0600.

    Raises
    ------
    FileNotFoundError, NotADirectoryError
        If there is none.
    StateError
        If it is a link, not a regular file, someone else's, or stands open to others.
    """
    try:
        # Without NONBLOCK a FIFO in the file's place would keep us waiting for its writer.
        descriptor = os.open(path, flags | _NOFOLLOW | _NONBLOCK | _CLOEXEC | _BINARY, 0o600)
    except (FileNotFoundError, NotADirectoryError):
        raise
    except (OSError, ValueError) as error:
        # O_NOFOLLOW has another error number on each system; asking is clearer than guessing.
        if path.is_symlink():
            raise StateError(_link_text(path)) from None
        raise StateError(f"cannot open {path}: {_reason(error)}") from error
    try:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode):
            raise StateError(f"{path} is not a regular file: name another, or see what it is")
        if sys.platform != "win32":
            _refuse_foreign(path, found)
            _refuse_open(path, found, "600")
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def remove_unfinished(directory: Path) -> None:
    """Remove what writers that were killed half-way left behind.

    Only for one who knows that nobody is writing there, such as the holder of the profile's lock.
    """
    for path in directory.glob(f".*{_UNFINISHED}"):
        path.unlink(missing_ok=True)


def _make_missing(path: Path) -> None:
    for _ in range(_NEW_DIRECTORY_TRIES):
        # A hub that ends removes empty parents, perhaps just below the one we are about to make.
        with suppress(FileNotFoundError):
            missing = [path]
            while not os.path.lexists(missing[-1].parent):
                missing.append(missing[-1].parent)
            for place in reversed(missing):
                with suppress(FileExistsError):
                    os.mkdir(place, 0o700)
                    # Else a power cut takes it, with all that was written into it.
                    with suppress(PermissionError):  # a parent that others may not look into
                        sync_dir(place.parent)
            return
    os.mkdir(path, 0o700)


def sync_dir(directory: Path) -> None:
    """Make what was made, renamed or removed in a directory durable; where a directory cannot be opened, the system does it by itself."""
    if sys.platform == "win32":
        return
    descriptor = os.open(directory, os.O_RDONLY | _DIRECTORY | _CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _refuse_link(path: Path, found: os.stat_result) -> None:
    if stat.S_ISLNK(found.st_mode):
        raise StateError(_link_text(path))


def _refuse_foreign(path: Path, found: os.stat_result) -> None:
    if found.st_uid != this_uid():
        raise StateError(
            f"{path} belongs to uid {found.st_uid} and this process runs as uid {this_uid()}: "
            "use a place of your own"
        )


def _refuse_open(path: Path, found: os.stat_result, wanted: str) -> None:
    mode = stat.S_IMODE(found.st_mode)
    if mode & _OTHERS:
        raise StateError(
            f"{path} is open to other users (mode {mode:04o}): `chmod {wanted} {path}`, "
            "or choose a file system that keeps modes"
        )


def _link_text(path: Path) -> str:
    return f"{path} is a symbolic link, which is not followed: name the place itself"


@contextmanager
def _explained(doing: str, path: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, ValueError) as error:
        raise StateError(f"cannot {doing} {path}: {_reason(error)}") from error


def _reason(error: OSError | ValueError) -> str:
    return (error.strerror if isinstance(error, OSError) else None) or str(error)

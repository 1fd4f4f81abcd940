"""What keeps a hub from starting: whether it may pass, and a note of it for whoever waits for the hub.

The note stands beside the hub's sockets: the disk that is full, or may not be written, is most often
that of the profile, where log and records are.
"""

from __future__ import annotations

import errno
from contextlib import suppress
from pathlib import Path

from ctrlhub.wire.places import socket_dir, socket_dirs
from ctrlhub.wire.private import StateError, check_private_dir, read_private, write_private

NOTE = "trouble"
MAX_BYTES = 8192

PASSING = frozenset(
    {
        errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM, errno.EIO, errno.EBUSY, errno.EAGAIN,
        errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ESTALE, errno.ETIMEDOUT,
    }
)  # fmt: skip
"""How the system refuses what it may allow later: when there is room, or somebody has seen to it."""


def may_pass(error: BaseException) -> bool:
    """Say whether what an error is about, or comes from, may pass without another start being wrong."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, OSError) and cause.errno in PASSING:
            return True
        cause = cause.__cause__
    return False


def note_trouble(profile: Path, text: str) -> None:
    """Note why the hub of a profile cannot start.

    Raises
    ------
    StateError
        There is no place for that, either.
    """
    write_private(socket_dir(profile) / NOTE, text.encode("utf-8", "replace")[:MAX_BYTES])


def noted_trouble(profile: Path) -> str:
    """Return what is noted; "" if nothing is."""
    for directory in socket_dirs(profile):
        with suppress(FileNotFoundError, StateError):
            check_private_dir(directory)
            return read_private(directory / NOTE, MAX_BYTES).decode("utf-8", "replace")
    return ""


def forget_trouble(profile: Path) -> None:
    """Remove the note: it has passed, or nobody waits for this hub any more."""
    for directory in socket_dirs(profile):
        with suppress(FileNotFoundError, StateError):
            check_private_dir(directory)
            (directory / NOTE).unlink()
            with suppress(OSError):  # not empty
                directory.rmdir()
                directory.parent.rmdir()

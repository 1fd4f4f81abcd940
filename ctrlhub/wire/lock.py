"""The lock of a profile: one hub at a time, and the lock of a dead one is nobody's.

It is taken before anything is bound, since a second bind to an ``ipc://`` path takes the path
away from the first without a word. The system drops it with the process that held it, however
that ended; its file stays, because removing a file that others may be locking makes two locks.

To see whether it is held one must try to take it, and for that instant be the holder. So there is
a second file, the gate: whoever takes the lock or looks at it passes through the gate, one at a
time and without delay. A look is never mistaken for a hub, and the pid that is read is always the
one that belongs to the lock.
"""

from __future__ import annotations

import errno
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from enum import Enum
from pathlib import Path
from types import TracebackType

from ctrlhub.wire.errors import AlreadyRunning
from ctrlhub.wire.forking import in_forks
from ctrlhub.wire.private import StateError, open_private

_PID_WIDTH = 20

_LOCKED_BYTE = 1 << 30
_POLL = 0.005
"""On Windows: which byte is locked, and the seconds between two tries of who waits for it."""


class _Step(Enum):
    """What can be done with the lock of an open file."""

    WAIT = "take it, and wait for it"
    TRY = "take it if it is free"
    DROP = "give it back"


class HubLock:
    """The lock of one profile.

    A process that is forked while the lock is held does not share it: it ends with its holder.

    Parameters
    ----------
    path
        The lock's file, in a private directory that exists.
    profile
        The name of the profile, for the error.
    """

    def __init__(self, path: Path, profile: str = "default") -> None:
        self.path = path
        self.profile = profile
        self._descriptor: int | None = None
        self._watches_forks = False

    def acquire(self) -> None:
        """Take the lock; does not wait for a holder.

        Raises
        ------
        AlreadyRunning
            If the lock is held.
        StateError
            If its file cannot be used, or the file system has no locks.
        """
        if self._descriptor is not None:
            raise AlreadyRunning(os.getpid(), self.profile)
        self._end_in_forks()
        with self._gate():
            descriptor = open_private(self.path, os.O_RDWR | os.O_CREAT)
            try:
                if not self._lock(descriptor, _Step.TRY):
                    raise AlreadyRunning(self._pid_in(descriptor), self.profile)
                _write_pid(descriptor)
            except BaseException:
                os.close(descriptor)
                raise
            self._descriptor = descriptor

    def release(self) -> None:
        """Give the lock back; harmless when it is not held."""
        if self._descriptor is not None:
            descriptor, self._descriptor = self._descriptor, None
            os.close(descriptor)

    def holder(self) -> int | None:
        """Return the pid of the process that holds the lock, or None if nobody does.

        On a file system that several hosts share, it is a pid of the host where the hub runs.

        Raises
        ------
        StateError
            If its file cannot be used.
        """
        if not os.path.lexists(self.path):
            return None
        with self._gate():
            descriptor = _open_to_look(self.path, os.O_RDWR)
            try:
                free = self._lock(descriptor, _Step.TRY)
                return None if free else self._pid_in(descriptor)
            finally:
                os.close(descriptor)

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Wait for one's turn, and be alone for a moment; nobody holds the lock for that."""
        with self._gate():
            yield

    def __enter__(self) -> HubLock:
        self.acquire()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.release()

    @contextmanager
    def _gate(self) -> Iterator[None]:
        gate = self.path.with_name(f"{self.path.name}.gate")
        descriptor = _open_to_look(gate, os.O_RDWR | os.O_CREAT)
        try:
            self._lock(descriptor, _Step.WAIT)
            try:
                yield
            finally:
                # Said aloud: closing would not do it while a process forked by another thread
                # of this one has the file open.
                self._lock(descriptor, _Step.DROP)
        finally:
            os.close(descriptor)

    def _lock(self, descriptor: int, step: _Step) -> bool:
        """Do a step, and say whether it could be done."""
        if sys.platform == "win32":
            return self._lock_on_windows(descriptor, step)
        import fcntl

        ways = {
            _Step.WAIT: fcntl.LOCK_EX,
            _Step.TRY: fcntl.LOCK_EX | fcntl.LOCK_NB,
            _Step.DROP: fcntl.LOCK_UN,
        }
        try:
            fcntl.flock(descriptor, ways[step])
        except BlockingIOError:
            return False
        except OSError as error:
            raise self._no_locks(str(error.strerror)) from error
        return True

    def _lock_on_windows(self, descriptor: int, step: _Step) -> bool:
        """Lock a byte behind the text: there it is not only a word among those who ask."""
        if sys.platform == "win32":
            import msvcrt

            way = msvcrt.LK_UNLCK if step is _Step.DROP else msvcrt.LK_NBLCK
            while True:
                os.lseek(descriptor, _LOCKED_BYTE, os.SEEK_SET)
                try:
                    msvcrt.locking(descriptor, way, 1)
                except OSError as error:
                    if error.errno not in (errno.EACCES, errno.EDEADLK):
                        raise self._no_locks(str(error.strerror)) from error
                    if step is not _Step.WAIT:
                        return False
                    time.sleep(_POLL)  # the system's own wait ends after ten seconds
                else:
                    return True
        return False

    def _no_locks(self, reason: str) -> StateError:
        return StateError(
            f"cannot lock {self.path}: {reason}; put the state on a local disk (CTRLHUB_STATE_DIR)"
        )

    def _pid_in(self, descriptor: int) -> int:
        os.lseek(descriptor, 0, os.SEEK_SET)
        text = os.read(descriptor, _PID_WIDTH + 1).strip()
        if not text.isdigit():
            raise StateError(f"{self.path} is locked and does not say by whom: it was changed")
        return int(text)

    def _end_in_forks(self) -> None:
        # The lock belongs to the open file, which a fork shares: without this, an engine forked
        # by a hub that was killed would keep the next hub out.
        if not self._watches_forks:
            in_forks(self.release)
            self._watches_forks = True


def _open_to_look(path: Path, flags: int) -> int:
    """Open a file to lock it; where nothing can be written, to read, which most file systems lock as well."""
    try:
        return open_private(path, flags)
    except StateError as error:
        cause = error.__cause__
        if not isinstance(cause, OSError) or cause.errno not in (errno.EROFS, errno.EACCES):
            raise
        return open_private(path, os.O_RDONLY)


def _write_pid(descriptor: int) -> None:
    # Of one length, so that nothing of a longer one before it stays.
    os.lseek(descriptor, 0, os.SEEK_SET)
    os.write(descriptor, f"{os.getpid():<{_PID_WIDTH}}\n".encode())

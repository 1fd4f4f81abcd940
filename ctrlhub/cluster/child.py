"""One child process of ours, tied to us by a lifeline.

The child's standard input is a pipe whose other end only we hold: first comes one line of JSON, its
configuration, then nothing, and in the end the end of the file. That end comes when we ask for it
and also when we are killed, so that nothing outlives its creator, however that ended.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import weakref
from collections import deque
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from ctrlhub.link.log_file import LOG_BYTES, aside, open_log
from ctrlhub.link.polling import POLLIN, make_poller

TAIL_BYTES = 16 * 1024
TAIL_LINES = 20
TERMINATE_AFTER = 8.0
"""Seconds a child has to end by itself before it is told to, then half of them before it is killed."""
LOOK = 0.05
"""Seconds between two looks at children whose end the system does not announce."""


class Child:
    """A running ``python -m`` module of ctrl-hub's.

    Parameters
    ----------
    name
        What it is, for messages.
    module
        The module to run.
    config
        Its configuration, one line of JSON.
    log
        The file that its output is appended to.
    environment
        What is in its environment besides ours.
    log_bytes
        A log longer than this is set aside before it writes to it.
    """

    def __init__(
        self,
        name: str,
        module: str,
        config: str,
        log: Path,
        environment: Mapping[str, str] | None = None,
        log_bytes: int = LOG_BYTES,
    ) -> None:
        self.name = name
        self.log = log
        self.started = time.monotonic()
        output = open_log(log, log_bytes)
        try:
            self._log_start = LogMark.of(output)
            # A session of its own: Ctrl-C and a closed terminal are its creator's to judge.
            self._popen = subprocess.Popen(
                # -P: what lies in the working directory must not take the place of our modules.
                [sys.executable, "-P", "-m", module],
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=output,
                bufsize=0,
                env={**os.environ, **environment} if environment else None,
                start_new_session=True,
            )
        finally:
            os.close(output)
        _with_lifelines.add(self)
        self._tell(config)

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._popen.pid

    def ended(self) -> int | None:
        """Give its exit code, the negative number of the signal that killed it, or None."""
        return self._popen.poll()

    def how_it_ended(self) -> str:
        """Say in words how it ended."""
        code = self._popen.returncode
        if code is None:
            return "is running"
        if code >= 0:
            return f"ended with exit code {code}"
        try:
            return f"was killed by {signal.Signals(-code).name}"
        except ValueError:
            return f"was killed by signal {-code}"

    def cut_lifeline(self) -> None:
        """Ask it to end; does not wait."""
        assert self._popen.stdin is not None
        self._popen.stdin.close()

    def wait(self, timeout: float) -> bool:
        """Wait for its end, for at most `timeout` seconds; say whether it came."""
        timeout = max(0.0, timeout)
        if self._popen.poll() is None and not _wait_for_end([self.pid], timeout):
            try:
                self._popen.wait(timeout)
            except subprocess.TimeoutExpired:
                return False
        return self._popen.poll() is not None

    def end(self, patience: float = TERMINATE_AFTER) -> None:
        """End it: by asking, after `patience` seconds by SIGTERM, in the end by SIGKILL."""
        self.cut_lifeline()
        if self.wait(patience):
            return
        self._popen.terminate()
        if self.wait(patience / 2):
            return
        self._popen.kill()
        self._popen.wait()

    def log_tail(self) -> str:
        """Give the last lines that it wrote."""
        return tail(self.log, self._log_start)

    def _tell(self, config: str) -> None:
        assert self._popen.stdin is not None
        try:
            rest = memoryview(config.encode() + b"\n")
            while rest:  # a signal may cut a long one short
                rest = rest[self._popen.stdin.write(rest) :]
        except BrokenPipeError:
            # It is dead already; who waits for it will notice, and has its log to say why.
            return


def wait_for_any(children: Sequence[Child], timeout: float) -> None:
    """Wait until one of several has ended, for at most `timeout` seconds."""
    deadline = time.monotonic() + timeout
    while all(child.ended() is None for child in children):
        left = deadline - time.monotonic()
        if left <= 0:
            return
        if not _wait_for_end([child.pid for child in children], left):
            time.sleep(min(left, LOOK))


def _wait_for_end(pids: Sequence[int], timeout: float) -> bool:
    """Wait for the end of a child; False where the system offers nothing better than looking."""
    with ExitStack() as opened:
        open_pid = getattr(os, "pidfd_open", None)
        if open_pid is None:
            return False
        ends = make_poller()
        try:
            for pid in pids:
                descriptor = open_pid(pid)
                opened.callback(os.close, descriptor)
                ends.register(descriptor, POLLIN)
        except OSError:
            return False
        # `Popen.wait` looks ever more seldom; this wakes in the moment of its end.
        ends.poll(timeout * 1000)
    return True


@dataclass(frozen=True, slots=True)
class LogMark:
    """Where in a log something begins.

    Parameters
    ----------
    file
        Which file it is, whatever its name: a log may be set aside.
    place
        How long it was (bytes).
    """

    file: tuple[int, int]
    place: int

    @classmethod
    def of(cls, descriptor: int) -> LogMark:
        """Return where the end of an open log is."""
        found = os.fstat(descriptor)
        return cls((found.st_dev, found.st_ino), found.st_size)


def tail(log: Path, mark: LogMark | None = None) -> str:
    """Give the last lines of a log, of what stands behind a mark; "" where there is none."""
    found, is_marked = _end_of(log, mark)
    if mark is not None and not is_marked:  # it was set aside since
        found = _end_of(aside(log), mark)[0] + found
    return "\n".join(deque(found.decode("utf-8", "replace").splitlines(), TAIL_LINES))


def _end_of(log: Path, mark: LogMark | None) -> tuple[bytes, bool]:
    """Return the end of a file, and whether the mark is in it."""
    try:
        with open(log, "rb") as file:
            now = LogMark.of(file.fileno())
            is_marked = mark is not None and mark.file == now.file and mark.place <= now.place
            file.seek(max(mark.place if mark is not None and is_marked else 0, now.place - TAIL_BYTES))
            return file.read(), is_marked
    except OSError:
        return b"", False


_with_lifelines: weakref.WeakSet[Child] = weakref.WeakSet()


def _leave_lifelines_to_parent() -> None:
    # A process forked from us (multiprocessing, say) would otherwise hold every lifeline open, and
    # with it a hub and engines whose creator is dead.
    for child in tuple(_with_lifelines):
        child.cut_lifeline()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_leave_lifelines_to_parent)

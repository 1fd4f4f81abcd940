"""The warm process: has imported what engines need, and forks them.

Forking is safe only from a process with one thread and no ZeroMQ context, so this one never has
either. It is forked by the nanny before that becomes what this must not be, and is from then on the
parent of all engines: it learns of their deaths at once. If it dies, the system kills them, and the
nanny what they had started; if the nanny dies, it kills all of these itself.
"""

from __future__ import annotations

import atexit
import gc
import os
import random
import resource
import select
import signal
import sys
import traceback
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import FrameType
from typing import NoReturn

from ctrlhub.engine.board import Board
from ctrlhub.engine.channel import (
    Channel,
    EngineEnded,
    EngineStarted,
    Note,
    SignalEngine,
    StartEngine,
    Target,
)
from ctrlhub.engine.config import EngineConfig
from ctrlhub.engine.descriptors import Pipes, writer_of
from ctrlhub.engine.outlets import Outlets
from ctrlhub.engine.threads import THREAD_VARIABLES
from ctrlhub.link.log_file import LogFiles, follow_log

_PR_SET_PDEATHSIG = 1
WARM_FDS = 65_536
"""So many descriptors the warm process may have, if the system lets it."""

_FIRST_FD = 3
_MOST_FDS = 1 << 20


class WarmProcess:
    """The nanny's hold on its warm process.

    Attributes
    ----------
    pid : int
        Its process.
    channel : Channel
        How to talk to it.
    board : Board
        The memory shared with the engines.
    capacity : int
        How many engines it can have at a time.
    """

    def __init__(self, pid: int, channel: Channel, board: Board, capacity: int) -> None:
        self.pid = pid
        self.capacity = capacity
        self.channel = channel
        self.board = board

    @classmethod
    def fork(cls, engines: int, max_threads: int, logs: Path) -> WarmProcess:
        """Fork it.

        Parameters
        ----------
        engines
            How many slots there are.
        max_threads
            How many threads the numerical libraries of an engine may use.
        logs
            The directory of the nanny's log.

        Raises
        ------
        RuntimeError
            This process has several threads: nothing safe can be forked from it.
        """
        if _threads() != 1:
            raise RuntimeError("a nanny must be started in a process that has one thread")
        board = Board(engines)
        ours, theirs = Channel.pair()
        sys.stdout.flush()
        sys.stderr.flush()
        pid = os.fork()
        if pid:
            theirs.close()
            return cls(pid, ours, board, engines)
        ours.close()
        _serve_and_exit(theirs, board, max_threads, logs)

    def kill_orphans(self, engine: int) -> None:
        """Kill what an engine had started, which the system has killed after this process."""
        if engine:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(engine, signal.SIGKILL)

    def close(self) -> None:
        """End it, and whatever engines it still has."""
        self.channel.close()
        os.waitpid(self.pid, 0)


def _threads() -> int:
    try:
        return len(os.listdir("/proc/self/task"))
    except FileNotFoundError:
        import threading

        return threading.active_count()


# ---------------------------------------------------------------- in the warm process


def _serve_and_exit(channel: Channel, board: Board, max_threads: int, logs: Path) -> NoReturn:
    """Be the warm process. Nothing of the frames above may run in it, hence no return."""
    code = 1
    try:
        atexit._clear()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)  # the nanny decides, not the terminal
        ours = [name for name in THREAD_VARIABLES if name not in os.environ]
        os.environ.update(dict.fromkeys(ours, str(max_threads)))
        import ctrlhub.engine.process  # noqa: F401 - this is what warm means

        gc.collect()
        gc.freeze()
        _Nursery(channel, board, ours, LogFiles(logs).own()).serve()
        code = 0
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(code)


def die_with(parent: int) -> None:
    """Have the system kill this process when its parent dies; end at once if it has died."""
    if sys.platform == "linux":
        import ctypes

        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0)
    if os.getppid() != parent:
        os._exit(1)


class _Nursery:
    """Forks engines, signals them, and tells of their ends."""

    def __init__(
        self, channel: Channel, board: Board, thread_variables: Sequence[str], log: Path | None
    ) -> None:
        self._log = log
        self._channel = channel
        self._board = board
        self._thread_variables = thread_variables
        self._pids: dict[int, int] = {}
        self._outlets = Outlets()
        self._limits = resource.getrlimit(resource.RLIMIT_NOFILE)
        soft, hard = self._limits
        if soft != resource.RLIM_INFINITY:  # two for each engine, which gets the limits of before
            most = WARM_FDS if hard == resource.RLIM_INFINITY else min(hard, WARM_FDS)
            resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, most), hard))
        self._wakeup = os.pipe()
        for end in self._wakeup:
            os.set_blocking(end, False)
        signal.signal(signal.SIGCHLD, _ignore)
        signal.set_wakeup_fd(self._wakeup[1], warn_on_full_buffer=False)

    def serve(self) -> None:
        """Serve until the nanny closes its end, or is dead; then kill what is left.

        No signal ends this process with its nanny, as one ends engines with this: what they have
        started would be left.
        """
        poller = select.poll()
        poller.register(self._channel, select.POLLIN)
        poller.register(self._wakeup[0], select.POLLIN)
        notes: list[Note] | None = []
        while notes is not None:
            room = select.POLLOUT if self._channel.unsent else 0
            poller.modify(self._channel, select.POLLIN | room)
            ready = dict(poller.poll(self._outlets.patience))
            if not ready:
                self._outlets.relieve()
            if self._wakeup[0] in ready:
                with suppress(BlockingIOError):
                    os.read(self._wakeup[0], 4096)
                self._reap()
            events = ready.get(self._channel.fileno(), 0)
            if events & select.POLLOUT:
                self._channel.flush()
            if events & ~select.POLLOUT:
                notes = self._channel.receive()
                for note in notes or ():
                    self._heed(note)
        for slot in list(self._pids):
            self._signal(slot, signal.SIGKILL, Target.GROUP)

    def _heed(self, note: Note) -> None:
        if isinstance(note, StartEngine):
            self._start(note)
        elif isinstance(note, SignalEngine):
            self._signal(note.slot, note.number, Target(note.target))

    def _start(self, note: StartEngine) -> None:
        if self._log is not None:
            follow_log(self._log)  # the nanny sets it aside when it has grown long
        self._board.clear(note.slot)
        warm = os.getpid()
        pipes = Pipes.make()
        pid = os.fork()
        if pid == 0:
            self._become_engine(note, warm, pipes)
        self._pids[note.slot] = pid
        log = Path(EngineConfig.from_json(note.config).log)
        self._outlets.open(pid, pipes, log, self._board.slot(note.slot))
        self._channel.post(EngineStarted(note.slot, pid))

    def _signal(self, slot: int, number: int, target: Target) -> None:
        # A child keeps its number until it is reaped, here, so this hits nobody else.
        pid = self._pids.get(slot)
        if pid is None:
            return
        with suppress(ProcessLookupError):
            if target is Target.GROUP:
                os.killpg(pid, number)
            else:
                os.kill(pid, number)

    def _reap(self) -> None:
        for slot, pid in list(self._pids.items()):
            if not _has_ended(pid):
                continue
            # What it started and left behind, before its number can be anyone else's.
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(pid, signal.SIGKILL)
            _, status = os.waitpid(pid, 0)
            del self._pids[slot]
            self._outlets.last_words(pid)
            self._channel.post(EngineEnded(slot, pid, status))

    def _become_engine(self, note: StartEngine, warm: int, pipes: Pipes) -> NoReturn:
        code = 1
        try:
            signal.set_wakeup_fd(-1)
            for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGCHLD):
                signal.signal(number, signal.SIG_DFL)
            os.setsid()
            die_with(warm)
            resource.setrlimit(resource.RLIMIT_NOFILE, self._limits)
            config = EngineConfig.from_json(note.config)
            if config.threads:
                os.environ.update(dict.fromkeys(self._thread_variables, str(config.threads)))
            self._channel.close()
            redirect(Path(config.log))
            close_all_but(pipes.all)
            _renew_random(sys.modules)
            os.environ.update(config.environment)
            from ctrlhub.engine.process import run_engine

            code = run_engine(config, self._board.slot(note.slot), pipes)
            atexit._run_exitfuncs()
        except BaseException:
            traceback.print_exc()
        finally:
            for stream in (sys.stdout, sys.stderr):
                with suppress(OSError, ValueError):
                    stream.flush()
            os._exit(code)


def _has_ended(pid: int) -> bool:
    """Tell whether a child has ended, and leave it to be waited for."""
    found = os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    return found is not None


def _ignore(number: int, frame: FrameType | None) -> None:
    """Handle a signal that only has to interrupt a poll."""


def redirect(log: Path) -> None:
    """Let everything printed go to the engine's log, and nothing come from the terminal."""
    from ctrlhub.wire.private import open_private

    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    file = open_private(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(file, 1)
    os.dup2(file, 2)
    sys.stdin = open(0, encoding="utf-8", closefd=False)  # noqa: SIM115 - for good
    sys.stdout, sys.stderr = writer_of(1), writer_of(2)


def close_all_but(kept: Iterable[int]) -> None:
    """Close what is the warm process's."""
    first = _FIRST_FD
    for descriptor in sorted(kept):
        os.closerange(first, descriptor)
        first = descriptor + 1
    os.closerange(first, _MOST_FDS)


def _renew_random(modules: Mapping[str, object]) -> None:
    """Give each engine random numbers of its own: a fork continues its parent's."""
    random.seed()
    numpy = modules.get("numpy.random")
    if numpy is not None:
        numpy.seed()  # type: ignore[attr-defined]

"""Engines as processes of their own making, where nothing can be forked from a warm one.

In place of a `WarmProcess`: Windows has no fork, and on macOS one without exec is not safe. An engine
starts from nothing, which takes as long as its imports do, and shares the board through a file. Its
standard input is its lifeline: it ends when the nanny does, however that ended; and it is told of
signals there where the system cannot send them.
"""

from __future__ import annotations

import json
import logging
import os
import shutil
import subprocess
import sys
import tempfile
from collections import deque
from contextlib import suppress
from pathlib import Path
from threading import Lock, Thread
from typing import Protocol

from ctrlhub.engine.board import Board
from ctrlhub.engine.channel import (
    EngineEnded,
    EngineStarted,
    Note,
    SignalEngine,
    StartEngine,
    Target,
)
from ctrlhub.engine.config import EngineConfig
from ctrlhub.link.wakeup import PairSignal
from ctrlhub.wire.private import open_private

_log = logging.getLogger(__name__)


class Line(Protocol):
    """What a nanny says to who starts its engines, and hears."""

    def fileno(self) -> int:
        """Return the descriptor to poll."""

    def send(self, note: Note) -> None:
        """Say something."""

    def receive(self) -> list[Note] | None:
        """Take what was said; None once nobody is there."""


class Maker(Protocol):
    """Who starts a nanny's engines.

    Attributes
    ----------
    pid : int
        The process that is their parent.
    capacity : int
        How many there can be at a time.
    board : Board
        The memory shared with them.
    """

    pid: int
    capacity: int
    board: Board

    @property
    def channel(self) -> Line:
        """How to talk to it."""

    def kill_orphans(self, engine: int) -> None:
        """Kill what an engine had started that has died with its parent."""

    def close(self) -> None:
        """End it, and whatever engines it still has."""


class Spawner:
    """Starts engines from this process, which is their parent.

    Parameters
    ----------
    engines
        How many slots there are.
    max_threads
        How many threads the numerical libraries of an engine may use.
    """

    def __init__(self, engines: int, max_threads: int) -> None:
        self.pid = os.getpid()
        self.capacity = engines
        self.channel = _Spawned(self)
        self._directory = Path(tempfile.mkdtemp(prefix="ctrlhub-nanny-"))
        self._board_file = self._directory / "board"
        self.board = Board(engines, self._board_file)
        self._max_threads = max_threads
        self._engines: dict[int, subprocess.Popen[bytes]] = {}
        self._lock = Lock()

    def start(self, note: StartEngine) -> None:
        """Start an engine."""
        self.board.clear(note.slot)
        config = EngineConfig.from_json(note.config)
        told = {"config": note.config, "board": str(self._board_file), "slots": self.capacity}
        log = open_private(Path(config.log), os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        try:
            process = subprocess.Popen(
                [sys.executable, "-P", "-m", "ctrlhub.engine.spawned"],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                bufsize=0,
                env={**os.environ, **self._threads(config), **config.environment},
                creationflags=_OF_ITS_OWN,
                start_new_session=True,
            )
        finally:
            os.close(log)
        with self._lock:
            self._engines[note.slot] = process
        assert process.stdin is not None
        with suppress(OSError):  # it is dead already, as its end will tell
            process.stdin.write(json.dumps(told).encode() + b"\n")
        self.channel.say(EngineStarted(note.slot, process.pid))
        Thread(target=self._wait, args=(note.slot, process), name="ctrlhub-spawned", daemon=True).start()

    def _threads(self, config: EngineConfig) -> dict[str, str]:
        from ctrlhub.engine.threads import THREAD_VARIABLES

        count = str(config.threads or self._max_threads)
        return {name: count for name in THREAD_VARIABLES if name not in os.environ}

    def _wait(self, slot: int, process: subprocess.Popen[bytes]) -> None:
        code = process.wait()
        self.kill_orphans(process.pid)
        assert process.stdin is not None
        with self._lock:
            process.stdin.close()
            if self._engines.get(slot) is process:
                del self._engines[slot]
        self.channel.say(EngineEnded(slot, process.pid, code << 8 if code >= 0 else -code))

    def signal(self, note: SignalEngine) -> None:
        """Send a signal to an engine, or tell it of one."""
        with self._lock:  # as long as it is here, its number is nobody else's
            process = self._engines.get(note.slot)
            if process is None or process.poll() is not None:
                return
            if sys.platform != "win32":
                with suppress(ProcessLookupError):
                    if note.target == Target.GROUP:
                        os.killpg(process.pid, note.number)
                    else:
                        os.kill(process.pid, note.number)
            elif note.target == Target.GROUP:
                process.kill()
            else:
                assert process.stdin is not None
                with suppress(OSError):  # it has ended
                    process.stdin.write(b"%d\n" % note.number)

    def kill_orphans(self, engine: int) -> None:
        """Kill what an engine had started."""
        if sys.platform != "win32" and engine:
            from ctrlhub.wire.killing import KILL

            with suppress(ProcessLookupError, PermissionError):
                os.killpg(engine, KILL)

    def close(self) -> None:
        """Kill whatever engines there still are."""
        with self._lock:
            left = list(self._engines.values())
        for process in left:
            process.kill()
            process.wait()
        self.channel.close()
        self.board.close()
        shutil.rmtree(self._directory, ignore_errors=True)


class _Spawned:
    """What a nanny says to a `Spawner` in its own process, and hears."""

    def __init__(self, spawner: Spawner) -> None:
        self._spawner = spawner
        self._notes: deque[Note] = deque()
        self._signal = PairSignal()
        self._lock = Lock()
        self._closed = False

    def fileno(self) -> int:
        """Return the descriptor to poll."""
        return self._signal.fileno()

    def send(self, note: Note) -> None:
        """Have something done, at once."""
        if isinstance(note, StartEngine):
            try:
                self._spawner.start(note)
            except OSError as error:  # no process to be had: that may pass
                _log.error("the engine of slot %d could not be started: %s", note.slot, error)
                self.say(EngineEnded(note.slot, 0, 1 << 8))
        elif isinstance(note, SignalEngine):
            self._spawner.signal(note)

    def say(self, note: Note) -> None:
        """Let the nanny hear something; from any thread."""
        with self._lock:
            if not self._closed:
                self._notes.append(note)
                self._signal.give()

    def receive(self) -> list[Note]:
        """Take what was said."""
        self._signal.take()
        return [self._notes.popleft() for _ in range(len(self._notes))]

    def close(self) -> None:
        """Hear no more."""
        with self._lock:
            self._closed = True
            self._signal.close()


_OF_ITS_OWN: int = getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0)
"""On Windows, for Ctrl-C to be no matter of engines; elsewhere they have sessions of their own."""

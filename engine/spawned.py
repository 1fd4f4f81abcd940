"""``python -m ctrlhub.engine.spawned``: an engine that a nanny has not forked.

The first line of standard input says what it is to be. What follows is a lifeline, whose end means that
the nanny is gone, and lines with the numbers of signals where the system does not send them.
"""

from __future__ import annotations

import _thread
import atexit
import json
import os
import sys
import threading
from collections.abc import Callable
from pathlib import Path

from ctrlhub.engine.__main__ import read_line
from ctrlhub.engine.board import Board
from ctrlhub.engine.config import EngineConfig
from ctrlhub.engine.descriptors import Pipes, can_wait_for_pipes, writer_of

STDIN = 0
ORPHANED = 1
"""Exit code of an engine whose nanny is gone, as the system's signal would be where there is one."""


def listen(lifeline: int, struck: Callable[[int], object], orphaned: Callable[[], object]) -> None:
    """Hear of signals until the lifeline ends."""
    rest = b""
    while data := os.read(lifeline, 4096):
        *lines, rest = (rest + data).split(b"\n")
        for line in lines:
            struck(int(line))
    orphaned()


def _die() -> None:
    """End, with all that was started from here."""
    if sys.platform != "win32":
        from ctrlhub.wire.killing import KILL

        os.killpg(0, KILL)
    os._exit(ORPHANED)


def main() -> int:
    """Be an engine, and return its exit code."""
    told = json.loads(read_line(STDIN))
    config = EngineConfig.from_json(told["config"])
    lifeline = os.dup(STDIN)
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, STDIN)
    os.close(null)
    sys.stdin = open(STDIN, encoding="utf-8", closefd=False)  # noqa: SIM115 - for good
    sys.stdout, sys.stderr = writer_of(1), writer_of(2)
    board = Board(told["slots"], Path(told["board"]))
    threading.Thread(
        target=listen, args=(lifeline, _thread.interrupt_main, _die), name="ctrlhub-lifeline", daemon=True
    ).start()
    from ctrlhub.engine.process import run_engine

    pipes = Pipes.make() if can_wait_for_pipes() else None

    code = run_engine(config, board.slot(config.slot), pipes)
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    os._exit(code)


if __name__ == "__main__":
    sys.exit(main())

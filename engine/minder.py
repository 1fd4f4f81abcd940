"""Who looks after a rank of MPI from beside it, as a warm process does with its engines.

It is forked before MPI begins, since nothing safe can be forked afterwards. It reads the rank's pipes
where that cannot, and when the rank has ended it ends what that has started, and notes what it ran.
"""

from __future__ import annotations

import os
import platform
import select
import signal
import traceback
from collections.abc import MutableSequence
from contextlib import suppress
from pathlib import Path
from typing import NoReturn

from ctrlhub.engine.board import LEAVING, RUNNING, WORDS
from ctrlhub.engine.descriptors import Pipes
from ctrlhub.engine.logs import LastWords
from ctrlhub.engine.outlets import PATIENCE_MS, Outlets
from ctrlhub.engine.ranks import RankNote, log_of
from ctrlhub.engine.warm import close_all_but, redirect

LOOK_AFTER_LOG = 20
"""So many looks at the pipes lie between two marks in the log."""


def fork_minder(
    rank: int, start: int, logs: Path, board: MutableSequence[int], pipes: Pipes
) -> None:
    """Fork the minder of this process, which is a rank.

    Parameters
    ----------
    rank, start
        Which rank, and of which start of its job.
    logs
        Where its log and its note stand.
    board
        What it tells without a word.
    pipes
        What its descriptors 1 and 2 are to be.
    """
    parent = os.getpid()
    if os.fork() == 0:
        _mind(parent, rank, start, logs, board, pipes)


def _mind(
    parent: int, rank: int, start: int, logs: Path, board: MutableSequence[int], pipes: Pipes
) -> NoReturn:
    """Be the minder. Nothing of the frames above may run in it, hence no return."""
    try:
        os.setsid()  # a signal to the rank's group is not for us
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2):
            signal.signal(number, signal.SIG_IGN)
        log = log_of(logs, rank)
        redirect(log)  # else mpiexec would wait for the end of what it has given us
        close_all_but(pipes.all)
        words = LastWords(log)
        words.begin()
        note = RankNote(parent, platform.node(), start)
        note.write(logs, rank)
        outlets = Outlets()
        outlets.open(parent, pipes, log, board)
        _await(parent, outlets, words)
        running, left, said = board[RUNNING], bool(board[LEAVING]), board[WORDS]
        _end_group(parent)
        outlets.last_words(parent)
        RankNote(
            note.pid, note.host, start, ended=True, left=left, running=running, words=words.text(said)
        ).write(logs, rank)
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(0)


def _await(parent: int, outlets: Outlets, words: LastWords) -> None:
    """Read in the place of the rank what it does not read, until it has ended."""
    poller, looks = select.poll(), 0
    descriptor = -1
    with suppress(AttributeError, OSError):  # elsewhere its end is seen at the next look
        descriptor = os.pidfd_open(parent)
        poller.register(descriptor, select.POLLIN)
    while os.getppid() == parent:
        if poller.poll(outlets.patience if outlets.patience is not None else PATIENCE_MS):
            return
        outlets.relieve()
        looks += 1
        if looks % LOOK_AFTER_LOG == 0:
            words.mark()


def _end_group(rank: int) -> None:
    """End what a rank has started and left behind, where it led a group of its own."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(rank, signal.SIGKILL)

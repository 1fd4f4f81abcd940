"""Commands of the system (`!command` in a cell): shown as they go on, and ended by an interrupt."""

from __future__ import annotations

import codecs
import os
import subprocess
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext, suppress
from pathlib import Path

from ctrlhub.wire.killing import KILL

READ_BYTES = 64 * 1024


def run_command(
    command: str,
    take: Callable[[str], object],
    undisturbed: Callable[[], AbstractContextManager[None]] = nullcontext,
) -> int:
    """Run a command in the system's shell.

    Parameters
    ----------
    command
        The command.
    take
        Gets what it prints, as it comes.
    undisturbed
        Makes a context in which no interrupt strikes: a process that has begun, and is not known
        yet, could not be ended.

    Returns
    -------
    int
        Its exit code; the negative number of a signal that ended it.
    """
    process: subprocess.Popen[bytes] | None = None
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    try:
        with undisturbed():
            process = subprocess.Popen(
                command,
                shell=True,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
            )
        assert process.stdout is not None
        with process.stdout as pipe:
            while data := os.read(pipe.fileno(), READ_BYTES):
                take(decoder.decode(data))
        return process.wait()
    except BaseException:  # an interrupt: not only the shell ends, also what it has started
        if process is not None:
            for pid in [*_descendants(process.pid), process.pid]:
                with suppress(ProcessLookupError):
                    os.kill(pid, KILL)
            if process.stdout is not None:
                process.stdout.close()
            process.wait()
        raise


def _descendants(pid: int) -> Iterator[int]:
    """Yield the processes that a process has started, and so on; none where that cannot be told."""
    for file in Path(f"/proc/{pid}/task").glob("*/children"):
        with suppress(OSError):
            for child in map(int, file.read_text().split()):
                yield from _descendants(child)
                yield child

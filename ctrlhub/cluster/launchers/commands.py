"""Running the commands of a batch system: never for ever, and what went wrong in words."""

from __future__ import annotations

import os
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

from ctrlhub.cluster.errors import LauncherError
from ctrlhub.wire.killing import KILL

PATIENCE = 8.0
"""Seconds that a command has to answer: a scheduler that takes longer is as good as none."""
_SHOWN = 800
_LOOK = 0.1
"""So often (seconds) a command looks whether it is given up."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a command said."""

    code: int
    out: str
    err: str

    @property
    def complaint(self) -> str:
        """What it complains of, shortened."""
        text = self.err.strip() or self.out.strip() or "it says nothing"
        return text if len(text) <= _SHOWN else f"... {text[-_SHOWN:]}"


class CommandMissing(LauncherError):
    """There is no such command here."""


class CommandSilent(LauncherError):
    """A command did not answer in time."""


def run_command(
    command: Sequence[str],
    *,
    timeout: float = PATIENCE,
    stdin: bytes = b"",
    environment: Mapping[str, str] | None = None,
    given_up: threading.Event | None = None,
) -> Answer:
    """Run a command to its end; its exit code is the caller's to judge.

    Whatever keeps it from its end, Ctrl-C too, ends it and what it has started.

    Parameters
    ----------
    command
        The words.
    timeout
        How long (seconds) it has.
    stdin
        What it reads.
    environment
        Variables beside ours.
    given_up
        Set by whoever does not want its answer any more.

    Raises
    ------
    CommandMissing, CommandSilent
        It cannot be run, or takes too long.
    """
    env = {**os.environ, "LC_ALL": "C", **(environment or {})}
    try:
        # A session of its own: Ctrl-C is ours to judge, and what it has started ends with it.
        process = subprocess.Popen(
            list(command), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=env,
            start_new_session=True,
        )  # fmt: skip
    except (FileNotFoundError, PermissionError):
        raise CommandMissing(
            f"there is no command {command[0]!r} here: run this where the batch system's commands are "
            "(a login node), or load their module first"
        ) from None
    with process:
        try:
            out, err = _answer_of(process, stdin, timeout, given_up)
        except subprocess.TimeoutExpired:
            _kill(process)
            raise CommandSilent(
                f"`{command[0]}` has not answered within {timeout:g} s: see whether the batch system is up"
            ) from None
        except BaseException:
            _kill(process)
            raise
    return Answer(process.returncode, out.decode("utf-8", "replace"), err.decode("utf-8", "replace"))


def _answer_of(
    process: subprocess.Popen[bytes], stdin: bytes, timeout: float, given_up: threading.Event | None
) -> tuple[bytes, bytes]:
    if given_up is None:
        return process.communicate(stdin, timeout)
    deadline = time.monotonic() + timeout
    rest: bytes | None = stdin
    while True:
        try:
            return process.communicate(rest, _LOOK)
        except subprocess.TimeoutExpired:
            if given_up.is_set() or time.monotonic() >= deadline:
                raise
            rest = None  # it goes on with what it was given


def _kill(process: subprocess.Popen[bytes]) -> None:
    """Kill a command, and what it has started: its session."""
    kill_group = getattr(os, "killpg", None)
    if kill_group is None:  # where there are none
        process.kill()
    else:
        with suppress(ProcessLookupError):  # all of it has just ended
            kill_group(process.pid, KILL)
    process.wait()

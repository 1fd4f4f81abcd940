"""Running the commands of a batch system: never for ever, and what went wrong in words."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ctrlhub.cluster.errors import LauncherError

PATIENCE = 8.0
"""Seconds that a command has to answer: a scheduler that takes longer is as good as none."""
_SHOWN = 800


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
) -> Answer:
    """Run a command to its end; its exit code is the caller's to judge.

    Raises
    ------
    CommandMissing, CommandSilent
        It cannot be run, or takes too long (then it is killed).
    """
    env = {**os.environ, "LC_ALL": "C", **(environment or {})}
    try:
        # A session of its own: Ctrl-C is ours to judge, and what it has started ends with it.
        done = subprocess.run(
            list(command), input=stdin, capture_output=True, timeout=timeout, env=env,
            start_new_session=True, check=False,
        )  # fmt: skip
    except (FileNotFoundError, PermissionError):
        raise CommandMissing(
            f"there is no command {command[0]!r} here: run this where the batch system's commands are "
            "(a login node), or load their module first"
        ) from None
    except subprocess.TimeoutExpired:
        raise CommandSilent(
            f"`{command[0]}` has not answered within {timeout:g} s: see whether the batch system is up"
        ) from None
    return Answer(
        done.returncode,
        done.stdout.decode("utf-8", "replace"),
        done.stderr.decode("utf-8", "replace"),
    )

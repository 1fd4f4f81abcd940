"""How a nanny ended: a note beside its logs, for who was not there when it did."""

from __future__ import annotations

import os
import platform
from contextlib import suppress
from pathlib import Path

from ctrlhub.cluster.child import tail
from ctrlhub.cluster.launchers.base import Phase, SetState
from ctrlhub.wire.private import write_private

SUFFIX = ".exit"
INTERRUPTED = 130
JOB = "job"
"""What the logs of jobs themselves begin with."""


def note_ending(log_dir: Path, code: int) -> None:
    """Note the exit code of this process."""
    write_private(log_dir / f"{platform.node()}-{os.getpid()}{SUFFIX}", f"{code}\n".encode())


def noted_endings(log_dir: Path) -> dict[str, int]:
    """Return the exit codes of the nannies that have ended by themselves, by host and process."""
    codes = {}
    for path in sorted(log_dir.glob(f"*{SUFFIX}")):
        with suppress(OSError, ValueError):
            codes[path.name.removesuffix(SUFFIX)] = int(path.read_text())
    return codes


def ending_of(log_dir: Path, log: str = "") -> SetState:
    """Say how a set has ended that does not run any more, by what its nannies have noted.

    Parameters
    ----------
    log_dir
        The set's logs.
    log
        The last lines of what it wrote, where it is known what was written last.
    """
    codes = noted_endings(log_dir)
    if codes and not any(codes.values()):
        return SetState(Phase.ENDED)
    log = log or newest_tail(log_dir)
    bad = {name: code for name, code in codes.items() if code}
    if bad:
        told = ", ".join(f"{name} with exit code {code}" for name, code in bad.items())
        return SetState(Phase.FAILED, f"ended: {told}", log)
    return SetState(Phase.FAILED, "it was killed, or could not begin", log)


def newest_tail(log_dir: Path) -> str:
    """Return the end of the log that says most of a failure; "" where there is none.

    Of what nodes and engines wrote the last: a job itself only says goodbye to them, unless it came
    to none.
    """
    logs = [path for path in log_dir.rglob("*.log") if path.is_file() and path.stat().st_size]
    telling = [path for path in logs if not path.name.startswith(JOB)] or logs
    return tail(max(telling, key=lambda path: path.stat().st_mtime)) if telling else ""

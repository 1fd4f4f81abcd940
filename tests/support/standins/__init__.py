"""Stand-ins for the commands of batch systems that cannot run here: PBS, LSF, HTCondor.

They say and do what the documentation of the real commands says of the options that launchers use,
and run jobs as processes of this host. Whatever else they are asked they refuse, so that a launcher
which relies on more is found out. Run as a program, this package is one of the commands, by its name.

Sources: the reference guides of PBS Professional 2022.1 (qsub, qstat, qdel, qselect, qsig, job
states), of IBM Spectrum LSF 10.1 (bsub, bjobs, bkill), and the manual of HTCondor 23 (condor_submit,
condor_q, condor_rm).
"""

from __future__ import annotations

import sys
from pathlib import Path

from tests.support.standins.jobs import PLACE, PROGRAM, Job, jobs

__all__ = ["COMMANDS", "PLACE", "Job", "install", "jobs"]

COMMANDS = (
    "qsub", "qstat", "qdel", "qselect", "qsig", "bsub", "bjobs", "bkill", "condor_submit", "condor_q", "condor_rm",
)  # fmt: skip


def install(place: Path) -> Path:
    """Put the commands into a directory, and return it."""
    commands = place / "bin"
    commands.mkdir()
    for name in COMMANDS:
        path = commands / name
        path.write_text(f'#!/bin/sh\nexec "{sys.executable}" -S "{PROGRAM}" {name} "$@"\n')
        path.chmod(0o755)
    (place / "jobs").mkdir()
    return commands

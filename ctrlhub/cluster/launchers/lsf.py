"""Engines as an array of jobs of LSF."""

from __future__ import annotations

import re
import shlex
import signal
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ctrlhub.cluster.errors import LauncherError, StartFailed
from ctrlhub.cluster.launchers.array import BODY, ArrayLauncher, Element, check_answer, seconds_of
from ctrlhub.cluster.launchers.base import Phase
from ctrlhub.cluster.launchers.commands import run_command

TEMPLATE = """\
#!/bin/bash
#BSUB -J {{job_name}}[1-{{nodes}}]
{{directives}}
# Engines of ctrl-hub: one nanny for each job of the array.
index=${LSB_JOBINDEX:-1}
""" + BODY + """
exec {{command}} < {{token_file}}
"""  # fmt: skip

_SUBMITTED = re.compile(r"Job <(\d+)> is submitted")
_GONE = ("is not found", "No matching job found", "No unfinished job found", "has already finished")

_PHASES = {
    "PEND": Phase.PENDING,
    "PSUSP": Phase.PENDING,
    "WAIT": Phase.PENDING,
    "PROV": Phase.PENDING,
    "RUN": Phase.RUNNING,
    "USUSP": Phase.RUNNING,
    "SSUSP": Phase.RUNNING,
    "UNKWN": Phase.RUNNING,
    "ZOMBI": Phase.RUNNING,
    "DONE": Phase.ENDED,
    "EXIT": Phase.FAILED,
}


class LSFLauncher(ArrayLauncher):
    """Runs a set as an array of LSF."""

    name = "lsf"
    default_template = TEMPLATE
    directive = "#BSUB"

    def directives(self) -> list[str]:
        """Return what our options mean to bsub."""
        options, spread = self.options, self.spread
        lines = [f"-o {shlex.quote(str(self.log_dir / 'bsub-%I.log'))}", "-rn"]
        if spread.each:
            lines += [f"-n {spread.each}", '-R "span[hosts=1]"']
        if options.time:
            lines.append(f"-W {options.time}")
        if options.queue:
            lines.append(f"-q {options.queue}")
        if options.account:
            lines.append(f"-P {options.account}")
        if options.memory:
            lines.append(f"-M {options.memory}")
        return lines

    def wall_time(self) -> int | None:
        """Return the wall time, which LSF takes in minutes, or hours and minutes."""
        return seconds_of(self.options.time, (60, 3600)) if self.options.time else None

    def submit(self, script: Path) -> Mapping[str, Any]:
        """Hand it to bsub, which reads its options from standard input only."""
        answer = run_command(["bsub"], stdin=script.read_bytes())
        job = _SUBMITTED.search(answer.out)
        if answer.code or job is None:
            raise StartFailed(f"bsub has refused the job: {answer.complaint}")
        return {"job": job[1]}

    def recover(self) -> Mapping[str, Any]:
        """Find the job by its name."""
        answer = run_command(["bjobs", "-noheader", "-o", "jobid", "-J", self.job_name])
        jobs = [line for line in answer.out.split() if line.isdecimal()]
        if not jobs and answer.code and not _is_gone(answer.err + answer.out):
            raise LauncherError(f"bjobs: {answer.complaint}")
        return {"job": jobs[0]} if jobs else {}

    def ask(self) -> Sequence[Element] | None:
        """Ask bjobs for all jobs of the array."""
        answer = run_command(
            ["bjobs", "-a", "-noheader", "-o", "stat exit_code pend_reason delimiter='|'", self.job]
        )
        lines = [line.split("|", 2) for line in answer.out.splitlines() if line.count("|") >= 2]
        if not lines:
            if _is_gone(answer.err + answer.out):
                return None
            raise LauncherError(f"bjobs: {answer.complaint}")
        return [_element(*line) for line in lines]

    def cancel(self, force: bool) -> None:
        """Tell bkill."""
        answer = run_command(["bkill", *(["-r"] if force else []), self.job])
        if answer.code and not _is_gone(answer.err + answer.out):
            raise LauncherError(f"bkill: {answer.complaint}")

    def signal(self, number: int) -> None:
        """Tell bkill which."""
        self.take_up()
        name = signal.Signals(number).name.removeprefix("SIG")
        check_answer(run_command(["bkill", "-s", name, self.job]), "bkill")


def _is_gone(text: str) -> bool:
    return any(each in text for each in _GONE)


def _element(state: str, code: str, reason: str) -> Element:
    phase = _PHASES.get(state.strip(), Phase.RUNNING)
    if phase is Phase.FAILED:
        code = code.strip()
        return Element(phase, f"exit code {code}" if code not in ("", "-") else "it was killed")
    return Element(phase, reason.strip().removeprefix("-") if phase is Phase.PENDING else "")

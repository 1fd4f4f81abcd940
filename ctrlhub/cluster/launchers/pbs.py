"""Engines as a job, or an array of jobs, of OpenPBS or PBS Professional."""

from __future__ import annotations

import json
import re
import signal
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ctrlhub.cluster.errors import LauncherError, StartFailed
from ctrlhub.cluster.launchers.array import BODY, ArrayLauncher, Element, check_answer
from ctrlhub.cluster.launchers.base import Phase
from ctrlhub.cluster.launchers.commands import run_command

TEMPLATE = """\
#!/bin/bash
#PBS -N {{job_name}}
{{directives}}
# Engines of ctrl-hub: one nanny for each job of the array.
index=${PBS_ARRAY_INDEX:-1}
""" + BODY + """
exec {{command}} < {{token_file}}
"""  # fmt: skip

_JOB = re.compile(r"\d+(\[\d*\])?(\.[\w.-]+)?")
_UNKNOWN = ("Unknown Job Id", "Job has finished", "Unknown Job")

_PHASES = {
    "Q": Phase.PENDING,  # queued
    "H": Phase.PENDING,  # held
    "W": Phase.PENDING,  # waits for its time
    "T": Phase.PENDING,  # on its way
    "M": Phase.PENDING,  # on its way to another server
    "B": Phase.RUNNING,  # an array that has begun
    "R": Phase.RUNNING,
    "E": Phase.RUNNING,  # about to end
    "S": Phase.RUNNING,  # suspended
    "U": Phase.RUNNING,  # suspended, since the host's owner is there
    "F": Phase.ENDED,
    "X": Phase.ENDED,
}


class PBSLauncher(ArrayLauncher):
    """Runs a set as a job, or an array, of PBS."""

    name = "pbs"
    default_template = TEMPLATE
    directive = "#PBS"

    @property
    def job_name(self) -> str:
        """A name that nothing else has; those of PBS have had 15 characters for long."""
        return f"ctrlhub{self.spec.cookie}"

    def directives(self) -> list[str]:
        """Return what our options mean to qsub."""
        options, spread = self.options, self.spread
        chunk = "select=1"
        if spread.each:
            chunk += f":ncpus={spread.each}"
        if options.memory:
            chunk += f":mem={options.memory}"
        lines = ["-S /bin/bash", "-j oe", f"-o {self.log_dir}/", f"-l {chunk}"]
        # Arrays have to be rerunnable; a single job is ours to start again.
        lines.append(f"-J 1-{self.size}" if self.size > 1 else "-r n")
        if options.time:
            lines.append(f"-l walltime={options.time}")
        if options.queue:
            lines.append(f"-q {options.queue}")
        if options.account:
            lines.append(f"-A {options.account}")
        return lines

    def submit(self, script: Path) -> Mapping[str, Any]:
        """Hand it to qsub."""
        answer = run_command(["qsub", str(script)])
        job = answer.out.strip()
        if answer.code or not _JOB.fullmatch(job):
            raise StartFailed(f"qsub has refused the job: {answer.complaint}")
        return {"job": job}

    def recover(self) -> Mapping[str, Any]:
        """Find the job by its name."""
        answer = run_command(["qselect", "-N", self.job_name])
        check_answer(answer, "qselect")
        jobs = [line for line in answer.out.split() if _JOB.fullmatch(line)]
        return {"job": jobs[0]} if jobs else {}

    def ask(self) -> Sequence[Element] | None:
        """Ask qstat for the job, and those of its array."""
        answer = run_command(["qstat", "-x", "-t", "-f", "-F", "json", self.job])
        if answer.code:
            if any(each in answer.err + answer.out for each in _UNKNOWN):
                return None
            raise LauncherError(f"qstat: {answer.complaint}")
        try:
            jobs = json.loads(answer.out)["Jobs"]
            single = {name: job for name, job in jobs.items() if "[]" not in name} or jobs
            return [_element(job) for job in single.values()]
        except (ValueError, KeyError, AttributeError, TypeError) as error:
            raise LauncherError(f"qstat: its answer cannot be read: {error!r}") from None

    def cancel(self, force: bool) -> None:
        """Tell qdel."""
        answer = run_command(["qdel", *(["-W", "force"] if force else []), self.job])
        if answer.code and not any(each in answer.err for each in _UNKNOWN):
            raise LauncherError(f"qdel: {answer.complaint}")

    def signal(self, number: int) -> None:
        """Tell qsig."""
        self.take_up()
        check_answer(run_command(["qsig", "-s", signal.Signals(number).name, self.job]), "qsig")


def _element(job: Mapping[str, Any]) -> Element:
    phase = _PHASES.get(str(job["job_state"]), Phase.RUNNING)
    comment = str(job.get("comment", ""))
    code = job.get("Exit_status", 0)
    if phase is Phase.ENDED and code:
        return Element(Phase.FAILED, f"exit code {code}{f', {comment}' if comment else ''}")
    return Element(phase, comment if phase is Phase.PENDING else "")

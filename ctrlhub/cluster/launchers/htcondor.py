"""Engines as a cluster of jobs of HTCondor."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from ctrlhub.cluster.errors import LauncherError, StartFailed
from ctrlhub.cluster.launchers.array import ArrayLauncher, Element
from ctrlhub.cluster.launchers.base import Phase
from ctrlhub.cluster.launchers.batch import BatchOptions
from ctrlhub.cluster.launchers.commands import run_command
from ctrlhub.cluster.launchers.options import LauncherOptions, option
from ctrlhub.cluster.launchers.script import Shell, nanny_command
from ctrlhub.cluster.launchers.template import render
from ctrlhub.wire.private import write_private

TEMPLATE = """\
# Engines of ctrl-hub: one nanny for each job.
universe = vanilla
batch_name = {{job_name}}
executable = {{script}}
arguments = $(Process)
# Its token comes by standard input, so that nodes need not share a home.
input = {{token_file}}
output = {{log_dir}}/job-$(Process).log
error = {{log_dir}}/job-$(Process).err.log
log = {{log_dir}}/condor.txt
should_transfer_files = IF_NEEDED
when_to_transfer_output = ON_EXIT
kill_sig = SIGTERM
{{directives}}
queue {{nodes}}
"""

SCRIPT = """\
#!/bin/bash
index=$(($1 + 1))
{{prologue}}

engines={{engines_per_node}}
[ "$index" = {{nodes}} ] && engines={{engines_on_last_node}}
exec {{command}}
"""

_FIRST = re.compile(r"\s*(\d+)\.\d+")

_PHASES = {
    "1": Phase.PENDING,
    "2": Phase.RUNNING,
    "3": Phase.ENDED,
    "4": Phase.ENDED,
    "5": Phase.PENDING,
    "6": Phase.RUNNING,
    "7": Phase.RUNNING,
}
"""Idle, running, removed, completed, held, transferring its output, suspended."""


@dataclass(frozen=True, kw_only=True)
class HTCondorOptions(BatchOptions):
    """What the launcher of HTCondor can be told besides."""

    shared_home: bool = option(
        "Nodes see the state directory: logs are written there, and not on the node.", True
    )


class HTCondorLauncher(ArrayLauncher):
    """Runs a set as a cluster of jobs."""

    name = "htcondor"
    options_type: ClassVar[type[LauncherOptions]] = HTCondorOptions
    options: HTCondorOptions
    default_template = TEMPLATE
    directive = ""
    script_name = "job.sub"

    @property
    def writes_here(self) -> bool:
        """Whether nodes see the state directory."""
        return self.options.shared_home

    def directives(self) -> list[str]:
        """Return what our options mean in a submit description."""
        options, spread = self.options, self.spread
        lines = [f"request_cpus = {spread.each}"] if spread.each else []
        if options.memory:
            lines.append(f"request_memory = {options.memory}")
        if options.account:
            lines.append(f"accounting_group = {options.account}")
        if options.queue:
            lines.append(f'+Queue = "{options.queue}"')
        if options.time:
            lines.append(f"+MaxRuntime = {options.time}")
        return lines

    def values(self) -> dict[str, str]:
        """Return what stands in the places of the names of a template."""
        values = super().values()
        lines = [*self.directives(), *self.options.extra]
        return values | {"script": str(self._script), "directives": "\n".join(lines)}

    def engine_command(self, engines: int | Shell, *others: str) -> list[str]:
        """Return the command of a nanny; without a shared home it keeps to the job's own directory."""
        if self.options.shared_home:
            return super().engine_command(engines, *others)
        return nanny_command(
            self.options.python_here(), self.spec, engines, state_dir="ctrlhub-state", others=others
        )

    def plan(self) -> str:
        """Return the submit description, and the script that it names."""
        return f"{super().plan()}\n# {self._script}:\n{self._script_text()}"

    def submit(self, script: Path) -> Mapping[str, Any]:
        """Hand it to condor_submit."""
        write_private(script, super().plan().encode())
        write_private(self._script, self._script_text().encode())
        self._script.chmod(0o700)
        answer = run_command(["condor_submit", "-terse", str(script)])
        job = _FIRST.match(answer.out)
        if answer.code or job is None:
            raise StartFailed(f"condor_submit has refused the job: {answer.complaint}")
        return {"job": job[1]}

    def recover(self) -> Mapping[str, Any]:
        """Find the jobs by their batch's name."""
        answer = run_command(["condor_q", "-constraint", f'JobBatchName == "{self.job_name}"', "-af", "ClusterId"])
        if answer.code:
            raise LauncherError(f"condor_q: {answer.complaint}")
        jobs = [line for line in answer.out.split() if line.isdecimal()]
        return {"job": jobs[0]} if jobs else {}

    def ask(self) -> Sequence[Element] | None:
        """Ask condor_q; jobs that have ended are not there any more."""
        answer = run_command(["condor_q", self.job, "-af", "JobStatus", "HoldReason"])
        if answer.code:
            raise LauncherError(f"condor_q: {answer.complaint}")
        lines = [line.split(" ", 1) for line in answer.out.splitlines() if line.strip()]
        return [_element(*line) for line in lines] or None

    def cancel(self, force: bool) -> None:
        """Tell condor_rm."""
        answer = run_command(["condor_rm", *(["-forcex"] if force else []), self.job])
        text = answer.err + answer.out
        if answer.code and "not found" not in text and "Couldn't find" not in text:
            raise LauncherError(f"condor_rm: {answer.complaint}")

    def signal(self, number: int) -> None:
        """HTCondor has no command for it."""
        raise LauncherError(
            "HTCondor sends no signals of one's choice: `ctrl-hub drain` has engines end in good order, and "
            "`ctrl-hub engines stop` ends the jobs"
        )

    @property
    def _script(self) -> Path:
        return self.directory / "node.sh"

    def _script_text(self) -> str:
        return render(SCRIPT, self.values())


def _element(status: str, reason: str = "") -> Element:
    phase = _PHASES.get(status, Phase.RUNNING)
    if status == "5":
        return Element(phase, f"held: {reason.strip()}")
    return Element(phase)

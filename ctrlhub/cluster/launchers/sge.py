"""Engines as an array of jobs of Grid Engine: Sun's, Son of, Univa, Altair."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar
from xml.etree import ElementTree

from ctrlhub.cluster.errors import LauncherError, StartFailed
from ctrlhub.cluster.launchers.array import BODY, ArrayLauncher, Element
from ctrlhub.cluster.launchers.base import Phase
from ctrlhub.cluster.launchers.batch import BatchOptions
from ctrlhub.cluster.launchers.commands import run_command
from ctrlhub.cluster.launchers.options import LauncherOptions, option

TEMPLATE = """\
#!/bin/bash
#$ -N {{job_name}}
{{directives}}
# Engines of ctrl-hub: one nanny for each job of the array.
index=$SGE_TASK_ID
""" + BODY + """
# Grid Engine announces the end by SIGUSR2 to all: the nanny is told so that engines can finish.
(
    trap "" USR1 USR2
    exec {{command}} < {{token_file}}
) &
nanny=$!
trap 'kill -TERM "$nanny"' USR1 USR2
wait "$nanny"
code=$?
while kill -0 "$nanny" 2> /dev/null; do
    wait "$nanny"
    code=$?
done
exit "$code"
"""  # fmt: skip

_JOB = re.compile(r"(\d+)(\.\d+-\d+:\d+)?")
_GONE = ("does not exist", "do not exist")


@dataclass(frozen=True, kw_only=True)
class SGEOptions(BatchOptions):
    """What the launcher of Grid Engine can be told besides."""

    pe: str = option(
        "The parallel environment whose slots are all on one host; for several engines on a node.", "smp"
    )


class SGELauncher(ArrayLauncher):
    """Runs a set as an array of Grid Engine."""

    name = "sge"
    options_type: ClassVar[type[LauncherOptions]] = SGEOptions
    options: SGEOptions
    default_template = TEMPLATE
    directive = "#$"

    def directives(self) -> list[str]:
        """Return what our options mean to qsub."""
        options, spread = self.options, self.spread
        lines = [
            "-S /bin/bash",
            "-j y",
            f"-o {self.log_dir}/",
            "-r n",  # whether it is started again is its owner's to decide
            "-notify",  # SIGUSR2 comes some time before SIGKILL
            f"-t 1-{self.size}",
        ]
        if spread.each > 1:
            lines.append(f"-pe {options.pe} {spread.each}")
        if options.time:
            lines.append(f"-l h_rt={options.time}")
        if options.memory:
            lines.append(f"-l h_vmem={options.memory}")
        if options.queue:
            lines.append(f"-q {options.queue}")
        if options.account:
            lines.append(f"-P {options.account}")
        return lines

    def submit(self, script: Path) -> Mapping[str, Any]:
        """Hand it to qsub."""
        answer = run_command(["qsub", "-terse", str(script)])
        job = _JOB.fullmatch(answer.out.strip())
        if answer.code or job is None:
            raise StartFailed(f"qsub has refused the job: {answer.complaint}")
        return {"job": job[1]}

    def recover(self) -> Mapping[str, Any]:
        """Find the job by its name."""
        for each in self._queue():
            if each.findtext("JB_name") == self.job_name:
                return {"job": str(each.findtext("JB_job_number"))}
        return {}

    def ask(self) -> Sequence[Element] | None:
        """Look for the jobs of the array in what qstat lists."""
        found = [
            _element(each) for each in self._queue() if each.findtext("JB_job_number") == self.job
        ]
        return found or None

    def cancel(self, force: bool) -> None:
        """Tell qdel."""
        answer = run_command(["qdel", *(["-f"] if force else []), self.job])
        if answer.code and not any(each in answer.err + answer.out for each in _GONE):
            raise LauncherError(f"qdel: {answer.complaint}")

    def signal(self, number: int) -> None:
        """Grid Engine has no command for it."""
        raise LauncherError(
            "Grid Engine sends no signals of one's choice: `ctrl-hub drain` has engines end in good order, "
            "and `ctrl-hub engines stop` ends the job"
        )

    def _queue(self) -> Iterator[ElementTree.Element]:
        answer = run_command(["qstat", "-xml", "-u", "*"])
        if answer.code:
            raise LauncherError(f"qstat: {answer.complaint}")
        try:
            yield from ElementTree.fromstring(answer.out).iter("job_list")
        except ElementTree.ParseError as error:
            raise LauncherError(f"qstat: its answer cannot be read: {error}") from None


def _element(job: ElementTree.Element) -> Element:
    state = job.findtext("state") or ""
    if "E" in state:
        # It stays in the queue until somebody looks after it.
        return Element(Phase.PENDING, f"error state {state}: `qstat -j {job.findtext('JB_job_number')}` says why")
    if "r" in state or "t" in state or "s" in state.lower() or "d" in state:
        return Element(Phase.RUNNING)
    return Element(Phase.PENDING, f"state {state}")

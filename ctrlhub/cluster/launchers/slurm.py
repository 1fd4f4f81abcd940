"""Engines as one Slurm job: one nanny on each node, started by ``srun``."""

from __future__ import annotations

import re
import shlex
import signal
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ctrlhub.cluster.errors import LauncherError, StartFailed, StopFailed
from ctrlhub.cluster.launchers.base import Phase, SetState
from ctrlhub.cluster.launchers.batch import BatchLauncher
from ctrlhub.cluster.launchers.commands import Answer, CommandMissing, run_command
from ctrlhub.cluster.launchers.endings import ending_of, newest_tail, noted_endings

TEMPLATE = """\
#!/bin/bash
#SBATCH --job-name={{job_name}}
{{directives}}
# Engines of ctrl-hub: one nanny on each node, which starts as many engines as the node is to have.
{{prologue}}

# Without its token the set has been stopped before this job began.
[ -r {{token_file}} ] || exit 0

counts=()  # "2(x3),1" means 2 2 2 1
for each in ${SLURM_TASKS_PER_NODE//,/ }; do
    times=1
    [[ $each == *x* ]] && times=${each##*x} && times=${times%)}
    for ((i = 0; i < times; i++)); do counts+=("${each%%(*}"); done
done
export CTRLHUB_TASKS="${counts[*]}"

# By this the nannies know when the wall time is over, and have engines finish before.
if [ -z "$SLURM_JOB_END_TIME" ] && end=$(squeue -h -j "$SLURM_JOB_ID" -o %e) && [[ $end == *-* ]]; then
    SLURM_JOB_END_TIME=$(date -d "$end" +%s) && export SLURM_JOB_END_TIME
fi

engines_of_this_node() {
    local tasks=($CTRLHUB_TASKS) engines={{engines_per_node}}
    [ "$SLURM_NODEID" = $((SLURM_JOB_NUM_NODES - 1)) ] && engines={{engines_on_last_node}}
    [ "$engines" = tasks ] && engines=${tasks[$SLURM_NODEID]}
    unset -f engines_of_this_node
    unset CTRLHUB_TASKS
    exec {{command}}
}
export -f engines_of_this_node

# In what names files for Slurm a percent sign is written twice.
logs={{log_dir}}
srun --nodes="$SLURM_JOB_NUM_NODES" --ntasks="$SLURM_JOB_NUM_NODES" --ntasks-per-node=1 --export=ALL \\
    --cpu-bind=none --mpi=none --kill-on-bad-exit=0 --no-kill --wait=0 --output="${logs//%/%%}/%N.log" \\
    bash -c engines_of_this_node < {{token_file}}
"""

LOOK = 0.2
"""Seconds between two looks whether a job has left the queue."""
KILLED = 15.0
"""Seconds that a job which was killed takes to leave the queue, at most."""

_FIELD = re.compile(r"(\w+)=(\S*)")
_JOB = re.compile(r"\d+")

_OVER = ("Invalid job id", "already completing")
"""What scancel complains of when there is nothing to cancel any more."""

_PHASES = {
    "PENDING": Phase.PENDING,
    "CONFIGURING": Phase.PENDING,
    "REQUEUED": Phase.PENDING,
    "REQUEUE_HOLD": Phase.PENDING,
    "RESV_DEL_HOLD": Phase.PENDING,
    "RUNNING": Phase.RUNNING,
    "COMPLETING": Phase.RUNNING,
    "SIGNALING": Phase.RUNNING,
    "STAGE_OUT": Phase.RUNNING,
    "STOPPED": Phase.RUNNING,
    "SUSPENDED": Phase.RUNNING,
    "RESIZING": Phase.RUNNING,
    "COMPLETED": Phase.ENDED,
    "CANCELLED": Phase.ENDED,
}
"""Every other state of a job is a failure."""

_MEANINGS = {
    "TIMEOUT": "its wall time was over",
    "NODE_FAIL": "a node was lost",
    "OUT_OF_MEMORY": "it ran out of memory",
    "PREEMPTED": "it made way for another job",
    "BOOT_FAIL": "a node did not boot",
    "DEADLINE": "its deadline passed",
    "CANCELLED": "it was cancelled",
}


class SlurmLauncher(BatchLauncher):
    """Runs a set as a job of Slurm."""

    name = "slurm"
    default_template = TEMPLATE
    directive = "#SBATCH"

    def directives(self) -> list[str]:
        """Return what our options mean to sbatch."""
        options, spread = self.options, self.spread
        lines = [
            f"--output={shlex.quote(str(self.job_log).replace('%', '%%'))}",
            "--no-requeue",  # whether it is started again is its owner's to decide
            "--no-kill",  # engines of other nodes go on without one that is lost
        ]
        if spread.nodes:
            lines.append(f"--nodes={spread.nodes}")
        if spread.each:
            lines.append(f"--ntasks={self.spec.n}")
        if spread.nodes > 1 and spread.each:
            lines.append(f"--ntasks-per-node={spread.each}")
        for name, value in (
            ("time", options.time), ("account", options.account), ("partition", options.queue),
            ("mem", options.memory),
        ):  # fmt: skip
            if value:
                lines.append(f"--{name}={value}")
        return lines

    def values(self) -> dict[str, str]:
        """Return what stands in the places of the names of a template."""
        if self.spread.nodes:
            return super().values()
        return super().values() | {"engines_per_node": "tasks", "engines_on_last_node": "tasks"}

    def submit(self, script: Path) -> Mapping[str, Any]:
        """Hand it to sbatch."""
        answer = run_command(["sbatch", "--parsable", str(script)])
        job, _, cluster = answer.out.strip().partition(";")
        if answer.code or not _JOB.fullmatch(job):
            self._check_reachable(answer)
            raise StartFailed(f"sbatch has refused the job: {answer.complaint}")
        return {"job": job, "cluster": cluster} if cluster else {"job": job}

    def recover(self) -> Mapping[str, Any]:
        """Find the job by its name."""
        answer = run_command(["squeue", "--noheader", "--format=%i", f"--name={self.job_name}"])
        if answer.code:
            raise LauncherError(f"squeue: {answer.complaint}")
        jobs = sorted(int(line) for line in answer.out.split() if _JOB.fullmatch(line))
        return {"job": str(jobs[0])} if jobs else {}

    def described(self) -> str:
        """Name the job."""
        return f"job {self.handle['job']}" if self.handle else super().described()

    def state(self) -> SetState:
        """Ask Slurm; what it has forgotten is told by what the nannies have noted."""
        try:
            self.take_up()
            if not self.handle:
                return SetState(Phase.FAILED, "it was not submitted, or has long ended")
            found = self._look_up()
        except LauncherError as error:
            return SetState(Phase.UNKNOWN, str(error))
        if found is None:
            return ending_of(self.log_dir)
        return self._judge(found)

    def signal(self, number: int) -> None:
        """Signal all processes of the job's steps, as scancel does."""
        self.take_up()
        name = signal.Signals(number).name.removeprefix("SIG")
        answer = run_command([*self._scancel(), f"--signal={name}", self._job])
        if answer.code:
            raise LauncherError(f"scancel: {answer.complaint}")

    def end(self, patience: float) -> None:
        """Cancel the job, and wait until it has left the queue."""
        try:
            found = self._look_up()
            if found is None:
                return
            if found["JobState"] == "RUNNING":
                # The nannies know it as an order to end at once; to cancel alone lets engines finish.
                run_command([*self._scancel(), "--signal=INT", self._job])
            self._cancel()
            if self._has_left(patience):
                return
            self._cancel("--full", "--signal=KILL")
            if self._has_left(KILLED):
                return
            left = self._look_up() or {}
        except LauncherError as error:
            raise StopFailed(
                f"job {self._job} may still be queued or run: {error}; when Slurm answers again, "
                f"`ctrl-hub engines stop {self.spec.name}` or `scancel {self._job}` ends it"
            ) from error
        raise StopFailed(
            f"job {self._job} has been cancelled and is still {left.get('JobState', 'there')} on "
            f"{left.get('NodeList', 'its nodes')}: a node that does not answer keeps it there, see `sinfo -R`"
        )

    @property
    def _job(self) -> str:
        if not self.handle:
            raise LauncherError(f"engines {self.spec.key!r} have no job")
        return str(self.handle["job"])

    def _scancel(self) -> list[str]:
        return ["scancel", *self._clusters()]

    def _clusters(self) -> list[str]:
        cluster = self.handle.get("cluster")
        return [f"--clusters={cluster}"] if cluster else []

    def _cancel(self, *how: str) -> None:
        answer = run_command([*self._scancel(), *how, self._job])
        if answer.code and not any(each in answer.err for each in _OVER):
            raise LauncherError(f"scancel: {answer.complaint}")

    def _has_left(self, patience: float) -> bool:
        deadline = time.monotonic() + patience
        while True:
            found = self._look_up()
            if found is None or _PHASES.get(found["JobState"], Phase.FAILED).is_over:
                return True
            if time.monotonic() >= deadline:
                return False
            time.sleep(LOOK)

    def _look_up(self) -> dict[str, str] | None:
        """Return what Slurm says of the job; None where it knows of none any more.

        Raises
        ------
        LauncherError
            It does not answer.
        """
        answer = run_command(["scontrol", *self._clusters(), "--oneliner", "show", "job", self._job])
        if answer.code:
            if "Invalid job id" in answer.err + answer.out:
                return self._of_accounting()
            raise LauncherError(f"scontrol: {answer.complaint}")
        # A text of the user's may hold what looks like a field: the first ones are Slurm's own.
        found: dict[str, str] = {}
        for name, value in _FIELD.findall(answer.out):
            found.setdefault(name, value)
        if "JobState" not in found:
            raise LauncherError(f"scontrol: its answer cannot be read: {answer.complaint}")
        return found

    def _of_accounting(self) -> dict[str, str] | None:
        """Ask sacct, for those sites that have it."""
        command = ["sacct", *self._clusters(), "--noheader", "--parsable2", "--allocations",
                   "--format=State,ExitCode,NodeList", f"--jobs={self._job}"]  # fmt: skip
        try:
            answer = run_command(command)
        except CommandMissing:
            return None
        fields = answer.out.strip().split("|")
        if answer.code or len(fields) != 3 or not fields[0].strip():
            return None
        return {"JobState": fields[0].split()[0], "ExitCode": fields[1], "NodeList": fields[2]}

    def _judge(self, found: Mapping[str, str]) -> SetState:
        state = found["JobState"]
        phase = _PHASES.get(state, Phase.FAILED)
        if phase is Phase.PENDING:
            return SetState(phase, found.get("Reason", "").removeprefix("None"))
        if phase is Phase.RUNNING:
            bad = {name: code for name, code in noted_endings(self.log_dir).items() if code}
            if bad:
                told = ", ".join(f"{name} with exit code {code}" for name, code in bad.items())
                return SetState(phase, f"some have ended: {told}", newest_tail(self.log_dir))
            nodes = found.get("NodeList", "").removeprefix("(null)")
            if "ResizeTime" in found:  # nobody else makes a job of ours smaller
                return SetState(phase, f"a node was lost, and its engines; left: {nodes}")
            return SetState(phase, nodes)
        if phase is Phase.ENDED and state == "COMPLETED":
            ending = ending_of(self.log_dir)
            return ending if ending.phase is Phase.FAILED and noted_endings(self.log_dir) else SetState(phase)
        meaning = _MEANINGS.get(state, f"exit code {found.get('ExitCode', '?').partition(':')[0]}")
        reason = f"{state}, {meaning}"
        log = newest_tail(self.log_dir) if phase is Phase.FAILED else ""
        return SetState(phase, reason, log, cancelled=state == "CANCELLED")

    def _check_reachable(self, answer: Answer) -> None:
        """Tell a refusal from an answer that got lost: then the job may be there."""
        if "Unable to contact" in answer.err or "timed out" in answer.err:
            raise LauncherError(
                f"sbatch: {answer.complaint}; whether the job was taken is not known: "
                f"`ctrl-hub engines stop {self.spec.name}` looks for it"
            )

"""Peers x workloads, in turns; each run in a fresh process, of which nothing is left over."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

from benchmarks import measure
from benchmarks.figures import Outcome, Run, Workload

_PACKAGE = Path(__file__).resolve().parent
#: Lines of a failed run's stderr that are worth showing.
_LAST_WORDS = 15


@dataclass(frozen=True)
class Plan:
    """What to run."""

    peers: Sequence[str]
    workloads: Sequence[Workload]
    repeats: int
    tries: int  #: turns at most for each repeat, to have quiet ones
    effort: str  #: "full" or "quick"
    patience_s: float  #: how long to wait for a quiet machine before each run


def perform(plan: Plan) -> Iterator[Run]:
    """Run it all, and yield each run when it has ended.

    The peers take turns within each repeat, so that the machine's drift falls on all of them. The
    turns go on until each peer has the quiet runs asked for, or had all its tries.
    """
    measure.adopt_orphans()
    for workload in plan.workloads:
        repeats = min(plan.repeats, workload.at_most)
        runs: dict[str, list[Run]] = {peer: [] for peer in plan.peers}
        for _ in range(repeats * plan.tries):
            for peer, before in runs.items():
                if not _settled(before, repeats):
                    before.append(_one(plan, peer, workload))
                    yield before[-1]


def _settled(before: Sequence[Run], repeats: int) -> bool:
    """Whether another run would teach nothing."""
    if any(r.outcome is not Outcome.MEASURED for r in before):
        return True
    return sum(not r.noisy for r in before) >= repeats


def _one(plan: Plan, peer: str, workload: Workload) -> Run:
    spared = {p.pid for p in psutil.Process().children(recursive=True)}
    with tempfile.TemporaryDirectory(prefix="bench-", ignore_cleanup_errors=True) as scratch:
        answer, log = Path(scratch, "answer.json"), Path(scratch, "stderr")
        command = [sys.executable, "-m", "benchmarks.child", peer, workload.name, plan.effort]
        measure.wait_until_quiet(plan.patience_s)
        foreign, began = measure.Foreign(), time.monotonic()
        with log.open("wb") as stderr:
            process = subprocess.Popen(
                [*command, str(answer)],
                env=_environment(scratch),
                cwd=scratch,
                stdin=subprocess.DEVNULL,
                stdout=stderr,
                stderr=stderr,
            )
        try:
            ended = _wait(process, workload.limit_s)
        finally:
            seconds = time.monotonic() - began
            measure.end_descendants(spared)
            process.wait()
        cores = foreign.cores()
        if answer.exists():
            told = json.loads(answer.read_text())
        else:
            told = {"outcome": Outcome.FAILED, "figures": {}, "remark": ended}
        outcome = Outcome(told["outcome"])
        if outcome is Outcome.FAILED:
            words = log.read_text(errors="replace").splitlines()[-_LAST_WORDS:]
            print(*words, sep="\n", file=sys.stderr)
    return Run(peer, workload.name, outcome, seconds, cores, told["figures"], told["remark"])


def _wait(process: subprocess.Popen[bytes], limit_s: float) -> str:
    """Wait for the run, and say how it ended."""
    try:
        return f"ended with status {process.wait(limit_s)}"
    except subprocess.TimeoutExpired:
        return f"no result within {limit_s:.0f} s"


def _environment(scratch: str) -> dict[str, str]:
    """Keep every peer's files in the scratch folder, and this package in its engines' reach."""
    runtime, path = Path(scratch, "run"), Path(scratch, "path")
    runtime.mkdir(mode=0o700)
    path.mkdir()
    Path(path, _PACKAGE.name).symlink_to(_PACKAGE)  # the checkout itself would hide an installation
    added = {
        "PYTHONPATH": str(path),
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "TMPDIR": scratch,
        "XDG_RUNTIME_DIR": str(runtime),
        "CTRLHUB_STATE_DIR": f"{scratch}/ctrlhub",
        "IPYTHONDIR": f"{scratch}/ipython",
        "JUPYTER_RUNTIME_DIR": f"{scratch}/jupyter",
        "DASK_CONFIG": f"{scratch}/dask",
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    }
    return {**os.environ, **added}

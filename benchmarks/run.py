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
from typing import Any

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
    measure.wait_until_quiet(plan.patience_s)
    with tempfile.TemporaryDirectory(prefix="bench-", ignore_cleanup_errors=True) as scratch:
        answer, log = Path(scratch, "answer.json"), Path(scratch, "log")
        command = [sys.executable, "-m", "benchmarks.child", peer, workload.name, plan.effort]
        began = time.monotonic()
        ended = _run_to_the_end([*command, str(answer)], scratch, log, workload.limit_s)
        seconds = time.monotonic() - began
        told: dict[str, Any] = (
            json.loads(answer.read_text()) if answer.exists() else {"remark": ended}
        )
        outcome = Outcome(told.get("outcome", Outcome.FAILED))
        if outcome is Outcome.FAILED:
            words = log.read_text(errors="replace").splitlines()[-_LAST_WORDS:]
            print(*words, sep="\n", file=sys.stderr)
    cores = told.get("foreign_cores") or 0.0
    figures = told.get("figures", {})
    return Run(peer, workload.name, outcome, seconds, cores, figures, told["remark"])


def _run_to_the_end(command: Sequence[str], scratch: str, log: Path, limit_s: float) -> str:
    """Run a command, end all it has started, and say how it ended."""
    spared = {p.pid for p in psutil.Process().children(recursive=True)}
    with log.open("wb") as output:
        process = subprocess.Popen(
            command,
            env=_environment(scratch),
            cwd=scratch,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
        )
    try:
        return f"ended with status {process.wait(limit_s)}"
    except subprocess.TimeoutExpired:
        return f"no result within {limit_s:.0f} s"
    finally:
        measure.end_descendants(spared)
        process.wait()


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

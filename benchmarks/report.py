"""Tables, in Markdown, and JSON."""

from __future__ import annotations

import importlib.metadata
import itertools
import json
import os
import platform
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from benchmarks.figures import Better, Cell, Metric, Outcome, Run, Workload, cell
from benchmarks.goals import Verdict, judge
from benchmarks.peers import OURS, PEERS
from benchmarks.workloads import WORKLOADS

_DISTRIBUTIONS = (
    *("ctrl-hub", "pyzmq", "msgpack", "cloudpickle", "numpy"),
    *("ipyparallel", "ipykernel", "tornado", "distributed", "ray"),
)
_REACHED = {True: "yes", False: "NO", None: "not measured"}

_TITLES = {
    "throughput": "No-op tasks, 2 engines",
    "latency": "One no-op at a time",
    "fanout": "One no-op on every engine, p50",
    "data": "Arrays to one engine and back",
    "startup": "From nothing, and back to it",
    "import": "Import, beyond a bare interpreter",
    "memory": "Memory of an idle cluster of 2 engines",
    "sequential": "50,000 commands one after the other: memory after the first tenth of them",
    "queued": "Tasks queued all at once",
    "graphs": "Tasks that wait for others",
    "uneven": "Tasks of any length",
    "sharing": "Several clients",
}


@dataclass(frozen=True)
class Report:
    """The runs of one call of the benchmarks, and where they were made."""

    machine: Mapping[str, Any]
    effort: str
    absent: Mapping[str, str]  #: peer -> why it was not measured
    runs: list[Run]

    def save(self, path: Path) -> None:
        """Write JSON, all at once."""
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_suffix(path.suffix + ".part")
        part.write_text(json.dumps(asdict(self), indent=1) + "\n")
        part.replace(path)

    @classmethod
    def load(cls, path: Path) -> Report:
        """Read what `save` wrote."""
        read = json.loads(path.read_text())
        runs = [Run(**{**run, "outcome": Outcome(run["outcome"])}) for run in read["runs"]]
        return cls(read["machine"], read["effort"], read["absent"], runs)

    def text(self) -> str:
        """Return the tables."""
        return "\n".join(
            line
            for block in (self._head(), *self._families(), self._verdicts())
            for line in (*block, "")
        )

    def _head(self) -> Iterator[str]:
        yield ", ".join(f"{k} {v}" for k, v in self.machine.items() if k != "versions")
        yield ""
        yield ", ".join(f"{k} {v}" for k, v in self.machine["versions"].items())
        yield ""
        yield (
            f"Medians; in brackets, how many times better {OURS} is. "
            "`*`: others used the machine during every run. -: not offered."
        )
        if self.effort == "quick":
            yield "**A quick run: a tenth of everything. To see that it works, not to be quoted.**"
        for peer, reason in self.absent.items():
            yield f"\n{peer} was not measured: {reason}."

    def _families(self) -> Iterator[Iterator[str]]:
        ran = {run.workload for run in self.runs}
        chosen = [w for name, w in WORKLOADS.items() if name in ran]
        for family, members in itertools.groupby(chosen, key=lambda w: w.family):
            yield self._family(family, list(members))

    def _family(self, family: str, members: Sequence[Workload]) -> Iterator[str]:
        metrics = [metric for workload in members for metric in workload.metrics]
        runs = [r for r in self.runs if r.workload in {w.name for w in members}]
        ours = {m.name: cell(runs, OURS, m.name) for m in metrics}
        yield f"### {_TITLES[family]}"
        yield ""
        rows = [["peer", *(m.heading for m in metrics)]]
        for peer in PEERS:
            cells = [(m, cell(runs, peer, m.name)) for m in metrics]
            if any(found for _, found in cells):
                shown = (_show(found, m, ours[m.name], peer) for m, found in cells)
                rows.append([peer, *shown])
        yield from _table(rows)
        remarks = dict.fromkeys(f"{r.peer}: {_remark(r)}" for r in runs if r.remark)
        for remark in remarks:
            yield f"\n{remark}."

    def _verdicts(self) -> Iterator[str]:
        yield "### Goals"
        yield ""
        rows = [["work", "goal", "found", "reached"]]
        rows += [_verdict_row(verdict) for verdict in judge(self.runs)]
        yield from _table(rows)


def machine() -> dict[str, Any]:
    """Describe where the figures are made."""
    return {
        "date": time.strftime("%Y-%m-%d"),
        "python": platform.python_version(),
        "kernel": platform.release(),
        "processor": _processor(),
        "cores": len(os.sched_getaffinity(0)),
        "versions": dict(_versions()),
    }


def _processor() -> str:
    with open("/proc/cpuinfo") as info:
        names = (line.partition(":")[2].strip() for line in info if line.startswith("model name"))
        return next(names, platform.machine())


def _versions() -> Iterator[tuple[str, str]]:
    for name in _DISTRIBUTIONS:
        try:
            yield name, importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue


def _remark(run: Run) -> str:
    if run.outcome is Outcome.FAILED:
        return f"{run.workload} failed: {run.remark}"
    return run.remark


def _show(found: Cell | None, metric: Metric, ours: Cell | None, peer: str) -> str:
    if found is None:
        return "-"
    star = " *" if found.noisy else ""
    if peer == OURS or ours is None or not ours.value or not found.value:
        return number(found.value) + star
    ratio = ours.value / found.value
    advantage = ratio if metric.better is Better.MORE else 1 / ratio
    return f"{number(found.value)} ({number(advantage)}x){star}"


def _verdict_row(verdict: Verdict) -> list[str]:
    found = "-" if verdict.ratio is None else number(verdict.ratio)
    star = " *" if verdict.noisy else ""
    return [verdict.goal.work, verdict.goal.words, found + star, _REACHED[verdict.reached]]


def _table(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    head, *body = rows
    for row in (head, ["-" * width for width in widths], *body):
        cells = (text.ljust(width) for text, width in zip(row, widths, strict=True))
        yield f"| {' | '.join(cells)} |"


def number(value: float) -> str:
    """Write three digits, or all before the point."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"

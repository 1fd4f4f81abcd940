"""The command line: ``python -m benchmarks``."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Iterable, Sequence
from pathlib import Path

import click

from benchmarks.figures import Outcome, Run, Workload
from benchmarks.peers import OURS, PEERS, peer_class
from benchmarks.peers.prototype import PATH_VARIABLE
from benchmarks.report import Report, machine
from benchmarks.run import Plan, perform
from benchmarks.workloads import WORKLOADS

_RESULTS = Path(__file__).resolve().parent / "results"
_FAMILIES = list(dict.fromkeys(workload.family for workload in WORKLOADS.values()))


def _choose(only: Iterable[str]) -> tuple[list[str], list[Workload]]:
    """Sort names into peers and workloads; of a kind that is not named, all are meant."""
    names = [name for words in only for name in words.split(",")]
    if unknown := [n for n in names if n not in {*PEERS, *WORKLOADS, *_FAMILIES}]:
        raise click.BadParameter(
            f"{', '.join(unknown)}. Peers: {', '.join(PEERS)}. Workloads: {', '.join(_FAMILIES)}."
        )
    peers = [peer for peer in PEERS if peer in names]
    workloads = [w for w in WORKLOADS.values() if w.name in names or w.family in names]
    return peers or list(PEERS), workloads or list(WORKLOADS.values())


def _absent(peers: Sequence[str]) -> dict[str, str]:
    reasons = {peer: peer_class(peer).absence() for peer in peers}
    return {peer: reason for peer, reason in reasons.items() if reason}


def _tell(run: Run) -> None:
    line = f"{run.workload:<17} {run.peer:<17} {run.seconds:6.1f} s  others {run.foreign_cores:.2f}"
    marks = ["noisy"] if run.noisy else []
    if run.outcome is not Outcome.MEASURED:
        marks.append(f"{run.outcome}: {run.remark}")
    click.echo("  ".join([line, *marks]), err=True)


@click.command()
@click.option("--only", multiple=True, metavar="NAME", help="Peers and workloads (repeatable).")
@click.option("--repeats", default=3, show_default=True, type=click.IntRange(min=1))
@click.option("--quick", is_flag=True, help="A tenth of everything, once, without waiting.")
@click.option(
    "--patience",
    default=20.0,
    show_default=True,
    help="Seconds to wait for a quiet machine before each run.",
)
@click.option(
    "--prototype",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="A prototype hub to run beside the others (see benchmarks/peers/prototype.py).",
)
@click.option(
    "--out",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Where to write JSON.  [default: benchmarks/results/DATE.json]",
)
@click.option(
    "--report",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Print the tables of an earlier run, and stop.",
)
def main(
    only: tuple[str, ...],
    repeats: int,
    quick: bool,
    patience: float,
    prototype: Path | None,
    out: Path | None,
    report: Path | None,
) -> None:
    """Measure ctrl-hub beside its peers, and print tables of medians with ratios.

    A peer that is not installed is left out. Peers and workloads take turns; about half an hour for
    everything.
    """
    if report:
        click.echo(Report.load(report).text())
        return
    signal.signal(
        signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM)
    )  # ends the run's processes
    if prototype:
        os.environ[PATH_VARIABLE] = str(prototype.resolve())
    peers, workloads = _choose(only)
    absent = _absent(peers)
    for peer, reason in absent.items():
        click.echo(f"{peer} is left out: {reason}", err=True)
    plan = Plan(
        peers=[peer for peer in peers if peer not in absent],
        workloads=workloads,
        repeats=1 if quick else repeats,
        tries=1 if quick else 2,
        effort="quick" if quick else "full",
        patience_s=0 if quick else patience,
    )
    path = out or _RESULTS / time.strftime("%Y-%m-%d-%H%M%S.json")
    made = Report(machine(), plan.effort, absent, [])
    for run in perform(plan):
        _tell(run)
        made.runs.append(run)
        made.save(path)
    click.echo(made.text())
    click.echo(f"written to {path}", err=True)
    if any(r.outcome is Outcome.FAILED for r in made.runs if r.peer == OURS):
        sys.exit(1)


if __name__ == "__main__":
    main()

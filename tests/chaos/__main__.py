"""Run the chaos suite, and print what the clients saw; exit code 1 when something was lost or doubled."""

from __future__ import annotations

import argparse
import random
import shutil
import sys
import tempfile
from collections import Counter
from pathlib import Path

from tests.chaos.plan import Kind, make_plan
from tests.chaos.run import SETTLING, Chaos, run
from tests.chaos.site import Size
from tests.chaos.verdict import Verdict

RATE = 200.0
"""Tasks a second, unless told otherwise."""


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make chaos", description=__doc__)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**6))
    parser.add_argument("--seconds", type=float, default=60.0, help="how long faults strike")
    parser.add_argument("--tasks", type=int, help=f"how many tasks; by default {RATE:g} a second")
    parser.add_argument("--ahead", type=int, default=300, help="submitted at once, at the beginning")
    parser.add_argument("--engines", type=int, default=4)
    parser.add_argument("--clients", type=int, default=3)
    parser.add_argument("--store", default="sqlite", help="as of ctrl-hub start")
    parser.add_argument("--keep", action="store_true", help="keep records and logs")
    parser.add_argument("--only", action="store_true", help="no faults but those that are named")
    for kind in Kind:
        parser.add_argument(_option(kind), type=int, help=f"how often: {kind.value}")
    return parser.parse_args()


def _option(kind: Kind) -> str:
    return "--" + kind.name.lower().replace("_", "-")


def _times(values: list[float]) -> str:
    if not values:
        return "-"
    ordered = sorted(values)
    return f"median {ordered[len(ordered) // 2]:.2f} s, longest {ordered[-1]:.2f} s, of {len(ordered)}"


def report(chaos: Chaos, verdict: Verdict, settled: bool) -> list[str]:
    """Say in lines what happened and what came of it."""
    struck = Counter(each.kind.value for each in chaos.struck)
    lines = [
        "faults               " + ", ".join(f"{what} {n}" for what, n in sorted(struck.items())),
        f"tasks submitted      {verdict.submitted}",
        f"acknowledged         {verdict.acknowledged}",
        f"completed            {verdict.completed}",
        f"commands that failed {verdict.failed} (their engine was struck)",
        f"abandoned            {verdict.abandoned} (client killed before the acknowledgement)",
        f"run again            {verdict.run_again} tasks, {verdict.unacknowledged_run_again} commands "
        "(not acknowledged when hub and engine died)",
        f"deadly               {verdict.deadly} tasks, given up after they had killed their engines",
        f"LOST                 {verdict.lost}",
        f"DELIVERED TWICE      {verdict.duplicated}",
        f"longest stall        {verdict.stall:.2f} s; {verdict.free_stall:.2f} s with nothing stopped or cut off",
        f"hub killed -> result       {_times(verdict.after_hub)}",
        f"next hub started -> result {_times(verdict.after_start)}",
        f"engine killed -> elsewhere {_times(verdict.elsewhere)}",
    ]
    lines += [f"PROBLEM: {each}" for each in verdict.problems()]
    lines += [f"  {each}" for each in verdict.bad[:10]]
    if not settled:
        lines.append(f"PROBLEM: not all has ended {SETTLING:g} s after the last fault")
    return lines


def main() -> int:
    """Run it."""
    given = _options()
    counts = {kind: getattr(given, kind.name.lower()) for kind in Kind}
    counts = {kind: 0 if n is None and given.only else n for kind, n in counts.items()}
    plan = make_plan(
        given.seed, given.seconds, {kind: n for kind, n in counts.items() if n is not None}
    )
    tasks = int(RATE * given.seconds) if given.tasks is None else given.tasks
    size = Size(given.engines, given.clients, tasks, given.ahead, given.store)
    arguments = " ".join(sys.argv[1:] if "--seed" in sys.argv else [*sys.argv[1:], "--seed", str(given.seed)])
    print(f'seed {given.seed}: again with make chaos ARGS="{arguments}"', flush=True)
    directory = Path(tempfile.mkdtemp(prefix="ctrlhub-chaos-"))
    keep = True
    try:
        chaos, verdict, settled = run(plan, size, directory)
        print("\n".join(report(chaos, verdict, settled)))
        keep = given.keep or bool(verdict.problems()) or not settled
    finally:
        if keep:
            print(f"records and logs are in {directory}")
        else:
            shutil.rmtree(directory)
    return int(bool(verdict.problems()) or not settled)


if __name__ == "__main__":
    sys.exit(main())

"""Fuzz a hub, and say what came of it; exit code 1 when it crashed, hung, grew or failed inside."""

from __future__ import annotations

import argparse
import os
import random
import sys
import tempfile
from pathlib import Path

from tests.fuzz.run import Outcome, fuzz
from tests.support.processes import STATE_VARIABLE, kill_all


def report(outcome: Outcome) -> list[str]:
    """Say in lines what came of it."""
    lines = [
        f"said             {outcome.said} messages by {outcome.came} attackers, "
        f"whose libzmq aborted {outcome.aborted} times",
        f"refused          {outcome.refused}",
        f"rounds of others {outcome.rounds}, the longest took {outcome.longest:.2f} s; "
        f"{outcome.struck} met an engine that had died",
        f"memory           {outcome.before.memory:,} before, {outcome.most.memory:,} at most, "
        f"{outcome.after.memory:,} bytes after",
        f"descriptors      {outcome.before.descriptors} before, {outcome.most.descriptors} at most, "
        f"{outcome.after.descriptors} after",
    ]
    lines += [f"PROBLEM: {each}" for each in outcome.problems]
    lines += [f"FAILURE INSIDE THE HUB:\n{each}" for each in outcome.failures[:10]]
    return lines


def main() -> int:
    """Run it."""
    parser = argparse.ArgumentParser(prog="make fuzz", description=__doc__)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**6))
    parser.add_argument("--minutes", type=float, default=5.0)
    given = parser.parse_args()
    print(f'seed {given.seed}: again with make fuzz ARGS="--seed {given.seed} --minutes {given.minutes:g}"')
    state = Path(tempfile.mkdtemp(prefix="ctrlhub-fuzz-"))
    os.environ[STATE_VARIABLE] = str(state)
    try:
        outcome = fuzz(given.seed, 60 * given.minutes, lambda line: print(line, flush=True))
    finally:
        kill_all(state)
    print("\n".join(report(outcome)))
    bad = bool(outcome.problems or outcome.failures)
    print(f"state and logs are in {state}")
    return int(bad)


if __name__ == "__main__":
    sys.exit(main())

"""One of the commands, by the name that it is given; without an environment of Python packages."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

sys.path[0] = str(Path(__file__).parents[3])

from tests.support.standins import COMMANDS, htcondor, lsf, pbs  # noqa: E402
from tests.support.standins.jobs import run_element  # noqa: E402

SYSTEMS = (pbs, lsf, htcondor)


def main() -> None:
    """Be the command that was called."""
    name, words = sys.argv[1], sys.argv[2:]
    if name == "run":
        run_element(Path(words[0]), int(words[1]))
        return
    known: Mapping[str, Callable[[Sequence[str]], None]] = {
        each: getattr(system, each) for each in COMMANDS for system in SYSTEMS if hasattr(system, each)
    }
    known[name](words)


if __name__ == "__main__":
    main()

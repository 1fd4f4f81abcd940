"""Whether jobs have failed that engines are waited for of: for who waits for engines of any set."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import TYPE_CHECKING

from ctrlhub.cluster.errors import StartFailed

if TYPE_CHECKING:
    from ctrlhub.cluster.engine_sets import EngineSets


def check_jobs(sets: EngineSets, n: int) -> None:
    """Make sure that nothing has failed without which there cannot be `n` engines in all.

    Raises
    ------
    StartFailed
        It has, and nobody starts it again; with the end of its log.
    """
    parts = sets.launched()
    if not parts:
        return
    from ctrlhub.cluster.launchers.spec import Owner

    found = [(part, part.state()) for part in parts]
    # The sets of `ctrl-hub start` are its supervisor's, who may start them again.
    over = {
        part.spec.key for part, state in found
        if state.phase.is_over and (sets.own is not None or part.spec.owner is Owner.USER)
    }  # fmt: skip
    failed = [(part, state) for part, state in found if part.spec.key in over and state.phase == "failed"]
    if not failed:
        return
    going_on: Counter[str] = Counter()
    for part in parts:
        going_on[part.spec.name] += 0 if part.spec.key in over else part.spec.n
    there = {name: known.n for name, known in sets.known_here().items()}
    ordered = {name: sets.coming(name) for name in there if name not in going_on}
    if n > possible(there, going_on, ordered):
        part, state = failed[-1]
        raise StartFailed(
            f"there will not be {n} engines: {part.described()} ({part.spec.launcher}) has failed: "
            f"{state.reason or 'no reason is known'} (logs in {part.log_dir})",
            state.log,
        )


def possible(there: Mapping[str, int], going_on: Mapping[str, int], ordered: Mapping[str, int]) -> int:
    """Return how many engines there may be in all.

    Parameters
    ----------
    there
        How many are there, by set.
    going_on
        How many the jobs of a set bring that are not over, those that are there included.
    ordered
        How many further ones nannies have been told to start, by set.
    """
    names = there.keys() | going_on.keys() | ordered.keys()
    return sum(max(there.get(name, 0) + ordered.get(name, 0), going_on.get(name, 0)) for name in names)

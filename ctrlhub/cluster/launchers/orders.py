"""What was ordered of launchers and has not come, as far as records and the launchers themselves say."""

from __future__ import annotations

import time
from collections.abc import Sequence

from ctrlhub.cluster.launchers.base import Launcher, Phase
from ctrlhub.cluster.launchers.sets import wanted_of

PATIENCE = 60.0
"""Seconds after which engines of a job that runs, and are not there, are not counted on."""


def to_come(parts: Sequence[Launcher], there: int) -> int:
    """Return how many engines of a set have not come.

    Parameters
    ----------
    parts
        What was started of it, by whomever.
    there
        How many of its engines are registered, and stay.
    """
    phases = [part.state().phase for part in parts]
    waits = sum(part.spec.n for part, phase in zip(parts, phases, strict=True) if phase is Phase.PENDING)
    run = [part.spec for part, phase in zip(parts, phases, strict=True) if phase is Phase.RUNNING]
    missing = max(0, sum(spec.n for spec in run) - there)
    wanted = wanted_of(parts)
    if wanted is not None:
        return min(waits + missing, max(0, wanted - there))
    # Those that have left an older job were told to.
    young = sum(spec.n for spec in run if time.time() - spec.created < PATIENCE)
    return waits + min(missing, young)

"""How many engines there may be when jobs have failed."""

from __future__ import annotations

import pytest

from ctrlhub.cluster.jobs_check import possible


@pytest.mark.parametrize(
    ("there", "going_on", "ordered", "most"),
    [
        ({}, {}, {}, 0),
        ({"local": 2}, {"slurm": 0}, {}, 2),
        ({"local": 2}, {"slurm": 4}, {}, 6),
        ({"local": 2, "slurm": 3}, {"slurm": 4}, {"local": 1}, 7),
        ({"slurm": 3}, {"slurm": 0}, {}, 3),
        ({}, {}, {"local": 5}, 5),
    ],
)
def test_what_may_come(there: dict[str, int], going_on: dict[str, int], ordered: dict[str, int], most: int) -> None:
    """Engines that are there stay, jobs bring what they are for, nannies what they were told; of a job that is over nothing."""
    assert possible(there, going_on, ordered) == most

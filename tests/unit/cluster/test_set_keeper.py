"""When a set of engines that has ended is started again."""

from __future__ import annotations

import pytest

from ctrlhub.cluster.launchers.base import Phase, SetState
from ctrlhub.cluster.set_keeper import RestartSets


@pytest.mark.parametrize(
    ("policy", "phases"),
    [
        (RestartSets.NEVER, set()),
        (RestartSets.FAILED, {Phase.FAILED}),
        (RestartSets.ALWAYS, {Phase.FAILED, Phase.ENDED}),
    ],
)
def test_policies(policy: RestartSets, phases: set[Phase]) -> None:
    """Never, if it has failed, or whenever it is over, unless somebody has cancelled it."""
    over = [phase for phase in Phase if phase.is_over]

    assert {phase for phase in over if policy.applies(SetState(phase))} == phases
    assert not policy.applies(SetState(Phase.ENDED, cancelled=True))

"""Plans follow from their seed."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tests.chaos.plan import CALM, LASTING, LONGEST, SHORTEST, Kind, make_plan


@given(st.integers(), st.floats(1, 1000), st.dictionaries(st.sampled_from(Kind), st.integers(0, 9)))
def test_the_same_seed_gives_the_same_plan(
    seed: int, seconds: float, counts: dict[Kind, int]
) -> None:
    """In order, within its time, with what was asked for; those faults last that end again."""
    plan = make_plan(seed, seconds, counts)
    assert plan == make_plan(seed, seconds, counts)
    assert counts.items() <= {kind: plan.counts().get(kind, 0) for kind in Kind}.items()
    times = [strike.at for strike in plan.strikes]
    assert times == sorted(times)
    assert all(CALM * seconds <= at <= seconds for at in times)
    for strike in plan.strikes:
        assert (strike.kind in LASTING) == (SHORTEST * 0.99 <= strike.lasts <= LONGEST * 1.01)


def test_other_seeds_give_other_plans() -> None:
    """Or there would be one plan."""
    assert len({make_plan(seed, 60.0).strikes for seed in range(20)}) == 20

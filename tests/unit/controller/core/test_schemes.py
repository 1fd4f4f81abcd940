"""Schemes: every policy yields each engine once, and the ones with a preference keep it."""

from __future__ import annotations

from collections import Counter
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ctrlhub.controller.config import TASK_ORDERS, TASK_SCHEMES
from ctrlhub.controller.core.schemes import (
    ORDERS,
    SCHEMES,
    LeastRecentlyUsed,
    TwoBin,
    Weighted,
)
from ctrlhub.controller.core.slots import Slot
from tests.support.records import an_engine, some_tasks


def slots(*loads: int) -> list[Slot]:
    """Return slots that hold so many tasks."""
    made = [Slot(an_engine(n)) for n in range(len(loads))]
    for slot, load in zip(made, loads, strict=True):
        slot.tasks = {task.id: task for task in some_tasks(load)}
    return made


def test_the_configuration_names_what_there_is() -> None:
    """No more and no less."""
    assert tuple(SCHEMES) == TASK_SCHEMES
    assert tuple(ORDERS) == TASK_ORDERS


@pytest.mark.parametrize("name", SCHEMES)
@given(st.data())
def test_each_slot_is_yielded_once(name: str, data: st.DataObject) -> None:
    """As often as it is offered and not withdrawn."""
    policy, made = SCHEMES[name](), slots(*range(6))
    offered: set[Slot] = set()
    for _ in range(data.draw(st.integers(1, 30))):
        slot = data.draw(st.sampled_from(made))
        step = data.draw(st.sampled_from(["add", "add", "discard", "next"]))
        if step == "add":
            policy.add(slot)
            offered.add(slot)
        elif step == "discard":
            policy.discard(slot)
            offered.discard(slot)
        else:
            found = policy.next()
            assert (found is None) == (not offered)
            if found is not None:
                offered.remove(found)
        assert len(policy) == len(offered)
        policy.check()


def test_the_one_that_waited_longest() -> None:
    """Whatever its load, and though it is offered again."""
    policy = LeastRecentlyUsed()
    first, second = slots(9, 0)
    for slot in (first, second, first):
        policy.add(slot)
    assert policy.next() is first
    policy.add(first)
    assert policy.next() is second


@pytest.mark.parametrize("policy", [TwoBin(Random(1)), Weighted(Random(1))])
def test_chance_prefers_the_idle(policy: TwoBin | Weighted) -> None:
    """The busy one has a chance, too."""
    busy, idle = slots(3, 0)
    found: Counter[Slot | None] = Counter()
    for _ in range(400):
        policy.add(busy)
        policy.add(idle)
        found[policy.next()] += 1
        policy.next()
    assert found[idle] > 1.5 * found[busy] > 0

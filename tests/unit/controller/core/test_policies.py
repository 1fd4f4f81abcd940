"""Policies: the engine with the fewest tasks, and what it costs to know."""

from __future__ import annotations

import random

from ctrlhub.controller.core.policies import FEW_STALE, LeastLoad
from ctrlhub.controller.core.slots import Slot
from tests.support.records import an_engine, some_tasks


def slots(*loads: int) -> list[Slot]:
    """Return slots that hold so many tasks."""
    made = [Slot(an_engine(n)) for n in range(len(loads))]
    for slot, load in zip(made, loads, strict=True):
        hold(slot, load)
    return made


def hold(slot: Slot, load: int) -> None:
    """Make a slot hold so many tasks."""
    slot.tasks = {task.id: task for task in some_tasks(load)}


def test_the_least_loaded_comes_first() -> None:
    """Each offered slot is yielded once."""
    policy = LeastLoad()
    for slot in slots(3, 1, 2):
        policy.add(slot)
    assert [len(s.tasks) for s in iter(policy.next, None)] == [1, 2, 3]
    assert policy.next() is None
    assert len(policy) == 0


def test_among_equals_the_one_that_waited_longest() -> None:
    """Being offered again with the same load does not cost a slot its turn."""
    policy = LeastLoad()
    first, second = slots(0, 0)
    policy.add(first)
    policy.add(second)
    policy.add(first)
    assert policy.next() is first
    policy.add(first)
    assert policy.next() is second


def test_a_slot_offered_again_counts_with_its_new_load() -> None:
    """The earlier offer is void."""
    policy = LeastLoad()
    busy, idle = slots(0, 1)
    policy.add(busy)
    policy.add(idle)
    hold(busy, 5)
    policy.add(busy)
    assert len(policy) == 2
    assert [policy.next(), policy.next(), policy.next()] == [idle, busy, None]


def test_a_withdrawn_slot_is_not_yielded() -> None:
    """Withdrawing one that was not offered is harmless."""
    policy = LeastLoad()
    one, two = slots(0, 0)
    policy.add(one)
    policy.discard(one)
    policy.discard(two)
    assert len(policy) == 0
    assert policy.next() is None


def test_stale_offers_do_not_pile_up() -> None:
    """A slot whose load goes up and down for ever costs the same memory for ever."""
    policy = LeastLoad()
    changing, idle = slots(1, 0)
    policy.add(idle)
    for n in range(10_000):
        hold(changing, 1 + n % 2)
        policy.add(changing)
        assert policy.next() is idle
        policy.add(idle)
        policy.check()
    assert len(policy._heap) <= 2 * (2 + FEW_STALE)


def test_against_a_plain_search() -> None:
    """Random offers, withdrawals and loads: always a slot of the least load among those offered."""
    dice = random.Random(7)
    policy, made = LeastLoad(), slots(*[0] * 8)
    offered: dict[Slot, int] = {}
    for _ in range(3000):
        slot = dice.choice(made)
        match dice.randrange(4):
            case 0 | 1:
                hold(slot, dice.randrange(4))
                policy.add(slot)
                offered[slot] = len(slot.tasks)
            case 2:
                policy.discard(slot)
                offered.pop(slot, None)
            case 3:
                chosen = policy.next()
                assert (chosen is None) == (not offered)
                if chosen is not None:
                    assert offered.pop(chosen) == min([*offered.values(), len(chosen.tasks)])
        assert len(policy) == len(offered)
        policy.check()

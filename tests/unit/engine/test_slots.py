"""When a nanny starts engines, again or not."""

from __future__ import annotations

from ctrlhub.engine.config import RestartPolicy
from ctrlhub.engine.slots import Slots, SlotState

POLICY = RestartPolicy(first=0.1, factor=2.0, longest=0.5, early=10.0, attempts=5)


def test_all_are_due_at_first() -> None:
    """And none twice."""
    slots = Slots(2, POLICY)

    assert [slot.number for slot in slots.take_due(0.0)] == [0, 1]
    assert slots.take_due(0.0) == []
    assert slots.next_deadline() is None


def test_a_dead_engine_is_replaced_later_each_time() -> None:
    """The waits grow up to the longest."""
    slots = Slots(1, RestartPolicy(first=0.1, factor=2.0, longest=0.5, attempts=9))
    waits = []
    now = 0.0
    for _ in range(5):
        assert slots.take_due(now)
        slots.started(0, 100)
        assert slots.died(0, now)
        waits.append(round(slots[0].due - now, 3))
        now = slots[0].due

    assert waits == [0.1, 0.2, 0.4, 0.5, 0.5]


def test_a_slot_is_given_up_after_early_deaths_in_a_row() -> None:
    """An engine that cannot live is not started for ever."""
    slots = Slots(1, POLICY)
    now, restarted = 0.0, []
    while slots.active:
        now = max(now, slots.next_deadline() or 0.0)
        slots.take_due(now)
        slots.started(0, 100)
        restarted.append(slots.died(0, now + 9.0))

    assert restarted == [True] * 4 + [False]
    assert slots[0].state is SlotState.GIVEN_UP


def test_an_engine_that_lived_for_a_while_begins_anew() -> None:
    """Its earlier deaths are forgotten, and the first wait is short again."""
    slots = Slots(1, POLICY)
    for now, lived in ((0.0, 1.0), (100.0, 1.0), (200.0, 10.0)):
        slots.take_due(now)
        slots.started(0, 100)
        slots.died(0, now + lived)

    assert slots[0].early_deaths == 0
    assert slots[0].due == 210.0 + POLICY.first


def test_a_request_is_to_blame_and_not_the_engine_that_ran_it() -> None:
    """However many engines are lost to deadly requests, others are started, and soon."""
    slots, now = Slots(1, POLICY), 0.0
    for _ in range(20):
        slots.take_due(now)
        slots.started(0, 100)
        assert slots.died(0, now + 0.5, running=7)
        now = slots[0].due
        assert now == slots[0].began + 0.5 + POLICY.first

    assert slots[0].early_deaths == 0


def test_an_engine_that_left_is_not_replaced() -> None:
    """Nor are the others affected."""
    slots = Slots(2, POLICY)
    slots.take_due(0.0)
    slots.started(0, 100)
    slots.started(1, 101)

    slots.left(0)

    assert [slot.number for slot in slots.in_state(SlotState.RUNNING)] == [1]
    assert slots.active
    slots.left(1)
    assert not slots.active


def test_nothing_is_started_once_all_is_to_stop() -> None:
    """Neither what waits, nor what dies afterwards."""
    slots = Slots(2, POLICY)
    slots.take_due(0.0)
    slots.started(0, 100)
    slots.died(1, 0.0)

    slots.stop()

    assert slots.take_due(99.0) == []
    assert slots.died(0, 99.0) is False
    assert not slots.active


def test_no_attempts_means_no_restarts() -> None:
    """The policy of one who looks after engines himself."""
    slots = Slots(1, RestartPolicy(attempts=0))
    slots.take_due(0.0)
    slots.started(0, 100)

    assert slots.died(0, 1000.0) is False


def test_a_restart_puts_another_engine_in_the_slot_at_once() -> None:
    """As soon as the present one has ended, however that ends; its history is forgotten."""
    slots = Slots(1, POLICY)
    slots.take_due(0.0)
    slots.started(0, 100)
    slots.died(0, 1.0)
    slots.take_due(slots[0].due)
    slots.started(0, 101)

    assert slots.restart(0, 2.0, grace=3.0) is True
    assert slots.restart(0, 2.5, grace=3.0) is False
    assert slots.next_deadline() == 5.0
    slots.restarted(0, 4.0)

    assert slots.take_stubborn(10.0) == []
    assert [slot.number for slot in slots.take_due(4.0)] == [0]
    assert (slots[0].early_deaths, slots[0].wait) == (0, POLICY.first)


def test_the_most_urgent_order_to_restart_counts() -> None:
    """Whatever was ordered before or comes afterwards; the engine is asked to go but once."""
    slots = Slots(1, POLICY)
    slots.take_due(0.0)
    slots.started(0, 100)

    assert slots.restart(0, 2.0, grace=3.0) is True
    assert slots.restart(0, 2.5, grace=0.0) is False
    assert slots.restart(0, 2.6, grace=3.0) is False

    assert [slot.number for slot in slots.take_stubborn(2.6)] == [0]


def test_an_engine_that_does_not_end_for_a_restart_is_stubborn() -> None:
    """Once, after the time of grace."""
    slots = Slots(1, POLICY)
    slots.take_due(0.0)
    slots.started(0, 100)
    slots.restart(0, 2.0, grace=3.0)

    assert slots.take_stubborn(4.9) == []
    assert [slot.number for slot in slots.take_stubborn(5.0)] == [0]
    assert slots.take_stubborn(6.0) == []


def test_a_slot_without_a_process_is_restarted_without_waiting() -> None:
    """Also one that was given up, or whose engine had left."""
    slots = Slots(3, POLICY)
    slots.take_due(0.0)
    for number in range(3):
        slots.started(number, 100 + number)
    slots.died(0, 1.0)
    slots.left(1)
    slots.refused(2)

    assert [slots.restart(number, 1.0, grace=3.0) for number in range(3)] == [False] * 3

    assert [slot.number for slot in slots.take_due(1.0)] == [0, 1, 2]


def test_nothing_is_restarted_once_all_are_to_end() -> None:
    """Whether it was asked for before or after."""
    slots = Slots(2, POLICY)
    slots.take_due(0.0)
    slots.started(0, 100)
    slots.started(1, 101)
    slots.restart(0, 1.0, grace=3.0)
    slots.stop()

    assert slots.restart(1, 1.0, grace=3.0) is False
    slots.restarted(0, 2.0)
    slots.left(1)
    assert not slots.active


def test_it_grows_into_slots_that_are_free_first() -> None:
    """Then into new ones; one that was given up is not free."""
    slots = Slots(3, RestartPolicy(attempts=1))
    for slot in slots.take_due(0.0):
        slots.started(slot.number, 100)
    slots.left(0)
    slots.died(1, 1.0)  # and is given up

    assert slots.grow(2, 5.0) == [0, 3]
    assert [slot.number for slot in slots.take_due(5.0)] == [0, 3]
    assert slots[1].state is SlotState.GIVEN_UP
    assert len(slots) == 4


def test_it_does_not_grow_while_it_stops() -> None:
    """Who comes too late starts nothing."""
    slots = Slots(1, POLICY)
    slots.stop()

    assert slots.grow(2, 0.0) == []
    assert not slots.active


def running(count: int = 1) -> Slots:
    """Return slots with a process in each."""
    slots = Slots(count, POLICY)
    for slot in slots.take_due(0.0):
        slots.started(slot.number, 100 + slot.number)
    return slots


def test_no_other_follows_one_that_retires() -> None:
    """Whatever its process ends of."""
    slots = running(3)
    for number in range(3):
        slots.retire(number)

    slots.left(0)
    assert not slots.died(1, 1.0)
    assert not slots.died(2, 1.0, running=7)

    assert [slot.state for slot in slots.in_state(*SlotState)] == 3 * [SlotState.ENDED]
    assert not slots.active


def test_one_that_waits_retires_at_once() -> None:
    """There is nothing to wait for."""
    slots = running()
    slots.died(0, 1.0)
    slots.retire(0)

    assert not slots.active
    assert slots.take_due(100.0) == []


def test_one_whose_time_is_over_is_killed() -> None:
    """Once, at the earliest of the times that it was given."""
    slots = running()
    slots.retire(0, 60.0)
    slots.retire(0)
    slots.retire(0, 30.0)

    assert slots.take_stubborn(29.9) == []
    assert slots.next_deadline() == 30.0
    assert [slot.number for slot in slots.take_stubborn(30.0)] == [0]
    assert slots[0].overdue
    assert slots.take_stubborn(31.0) == []


def test_a_restart_of_one_that_retires_only_ends_it() -> None:
    """Somebody wants its process ended now, as for a task that has run for too long."""
    slots = running()
    slots.retire(0)

    assert slots.restart(0, 5.0, 2.0)
    assert [slot.number for slot in slots.take_stubborn(7.0)] == [0]
    assert not slots.died(0, 7.0)
    assert not slots.active


def test_one_that_is_being_restarted_may_retire() -> None:
    """Then nothing comes in its place."""
    slots = running()
    slots.restart(0, 5.0, 2.0)
    slots.retire(0)

    assert slots[0].stubborn_at == 7.0
    assert not slots.died(0, 6.0)
    assert slots.next_deadline() is None


def test_a_slot_that_has_retired_may_be_used_again() -> None:
    """By an engine that knows nothing of that."""
    slots = running()
    slots.retire(0, 60.0)
    slots.left(0)
    assert slots.grow(1, 10.0) == [0]
    slots.take_due(10.0)
    slots.started(0, 200)

    assert slots.take_stubborn(61.0) == []
    assert slots.died(0, 62.0)

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from ctrlhub.gateway.api.followed import Numbers, Rounds


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 20), st.booleans()), max_size=60))
def test_numbers_are_in_order_whatever_came_and_went(steps: list[tuple[bool, int, bool]]) -> None:
    """Also where somebody has asked in between."""
    numbers, expected = Numbers(), set[int]()
    for comes, number, asks in steps:
        if comes and number not in expected:
            numbers.add(number)
            expected.add(number)
        elif number in expected and not comes:
            numbers.remove(number)
            expected.remove(number)
        if asks:
            assert list(numbers.ordered()) == sorted(expected)
    assert list(numbers.ordered()) == sorted(expected)


def taken(rounds: Rounds, followed: Sequence[int], most: int = 100) -> list[int]:
    """Return what comes next, which has its turn."""
    asked = list(rounds.next(followed, most))
    if asked:
        rounds.passed(asked[-1])
    return asked


def test_each_has_its_turn_in_slices_round_and_round() -> None:
    """However many there are, and whoever comes and goes meanwhile."""
    rounds = Rounds(at_once=3)
    assert [taken(rounds, range(7)) for _ in range(4)] == [[0, 1, 2], [3, 4, 5], [6], [0, 1, 2]]
    assert taken(rounds, (1, 5, 9, 11)) == [5, 9, 11]
    assert taken(rounds, (1, 5), most=1) == [1]
    assert taken(rounds, ()) == []
    assert taken(rounds, (0,)) == [0]


def test_an_answer_that_ends_early_is_gone_on_with() -> None:
    """What it has not reached comes next."""
    rounds = Rounds(at_once=3)
    rounds.next(range(7), 100)
    rounds.passed(1)
    assert list(rounds.next(range(7), 100)) == [2, 3, 4]


def test_what_the_hub_does_not_know_is_asked_for_for_a_while() -> None:
    """It may be on its way; and what it knew meanwhile, or was let go, begins anew."""
    rounds = Rounds(patience=10.0)
    assert rounds.lacking((1, 2, 3, 4), {4}, 0.0) == []
    assert rounds.lacking((1, 2, 3), {2}, 9.0) == []
    assert rounds.lacking((1, 2, 3), {3}, 10.0) == [1]
    assert rounds.lacking((2,), (), 19.0) == []
    rounds.passed(100)
    rounds.next((50,), 10)  # a round without 2
    assert rounds.lacking((2,), (), 25.0) == []
    assert rounds.lacking((2,), (), 35.0) == [2]

"""Room that a dictionary has kept is given back."""

from __future__ import annotations

from sys import getsizeof

from ctrlhub.wire.room import LITTLE, shrink


def test_a_dictionary_gives_back_the_room_of_what_it_once_held() -> None:
    """What it still holds stays, in its order."""
    table = dict.fromkeys(range(100_000))
    for number in range(3, 100_000):
        del table[number]
    assert getsizeof(table) > LITTLE

    shrink(table)

    assert getsizeof(table) < 1000
    assert list(table) == [0, 1, 2]


def test_a_dictionary_in_use_is_left_alone() -> None:
    """Nor is one looked at that was never large: it is asked often."""
    full = dict.fromkeys(range(100_000))
    small = dict.fromkeys(range(1000))
    for number in range(1000):
        del small[number]
    before = getsizeof(full), getsizeof(small)

    shrink(full)
    shrink(small)

    assert (getsizeof(full), getsizeof(small)) == before

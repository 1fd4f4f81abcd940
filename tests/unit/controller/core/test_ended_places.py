"""Where requests ran, remembered in a few bytes each."""

from __future__ import annotations

from random import Random

import pytest

from ctrlhub.controller.core import ended_places
from ctrlhub.controller.core.deliveries import Outcome
from ctrlhub.controller.core.ended_places import EndedPlaces


def outcome(number: int, engine: int) -> Outcome:
    """Give how a request ended."""
    return (number, 0, b"", engine, 0.0, 0.0, None)


@pytest.mark.parametrize("at_once", [1, 7, 5000])
def test_each_is_found(at_once: int) -> None:
    """In whatever order they come, few or many at once."""
    numbers = list(range(1, 20_001, 2))
    Random(1).shuffle(numbers)
    places = EndedPlaces()
    for begin in range(0, len(numbers), at_once):
        places.add([outcome(n, n % 5) for n in numbers[begin : begin + at_once]])
    assert len(places) == len(numbers)
    assert all(places.of(n) == n % 5 for n in numbers)
    assert all(places.of(n) is None for n in range(0, 20_004, 2))


def test_what_ran_nowhere_has_no_place() -> None:
    """It was cancelled, say."""
    places = EndedPlaces()
    places.add([outcome(1, -1)])
    assert places.of(1) is None


def test_the_first_are_forgotten_first(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that there are never many more than are to be remembered."""
    monkeypatch.setattr(ended_places, "MOST_PLACES", 4)
    monkeypatch.setattr(ended_places, "BLOCK", 2)
    places = EndedPlaces()
    for number in range(10):
        places.add([outcome(number, 3)])
    assert [number for number in range(10) if places.of(number) == 3] == [6, 7, 8, 9]

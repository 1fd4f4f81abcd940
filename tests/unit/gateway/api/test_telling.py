from __future__ import annotations

import json
from typing import Any

import pytest

from ctrlhub.gateway.api import telling
from ctrlhub.gateway.api.resources import ACCEPTED, OUTCOMES, PENDING
from ctrlhub.gateway.api.telling import NoRange, accepted, numbers_in, pending, together
from ctrlhub.wire.encoded import JSON, Encoded
from ctrlhub.wire.ids import request_id
from ctrlhub.wire.serialize import dumps


def row(number: int, data: bytes) -> tuple[Any, ...]:
    """Return the row of a request that returned some JSON."""
    return (number, 0, dumps(Encoded(JSON, data)), 0, 1000.0, 0.5, None)


def test_the_link_to_results_names_ranges_and_is_read_again() -> None:
    """However many they are, and with gaps: what it names is what was accepted, in order."""
    numbers = [request_id(7, n) for n in (1, 2, 3, 9, 20, 21)]
    told = accepted(numbers, "/hub")
    ACCEPTED.check(told)
    path, _, ids = told["results"].partition("?ids=")
    assert path == "/hub/api/v1/results"
    assert ids == "7-1..7-3,7-9,7-20..7-21"
    assert numbers_in(ids) == numbers


@pytest.mark.parametrize("text", ["7-5..7-1", "7-1..7-100001", "1-1..7-1"])
def test_ranges_that_are_none_or_too_large_are_refused(text: str) -> None:
    """A few letters do not become millions of ids."""
    with pytest.raises(NoRange):
        numbers_in(text)


def test_results_together_have_a_bound_and_what_is_beyond_says_where_it_is(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A large value stands where it is, and does not keep the small ones from coming; what is out is told as such."""
    monkeypatch.setattr(telling, "MOST_TOGETHER", 100)
    numbers = [request_id(7, n) for n in range(4)]
    rows = [row(numbers[0], b"1"), row(numbers[1], b"2" * 200), None, row(numbers[3], b"3")]
    told = json.loads(b"".join(together(numbers, rows)))
    OUTCOMES.check(told)
    one, two, three, four = told["results"]
    assert (one["value"], four["value"]) == (1, 3)
    assert (two["state"], two["href"]) == ("done", "/api/v1/tasks/7-1")
    assert three == pending(numbers[2])
    PENDING.check(three)

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

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


def test_results_are_told_one_by_one_and_what_is_out_as_such() -> None:
    """Each is asked for when those before it have been told; of what is out the state is told that is known."""
    numbers = [request_id(7, n) for n in range(4)]
    made: list[int] = []

    async def rows() -> AsyncIterator[Any]:
        for number, data in zip(numbers, (b"1", b"2" * 200, None, None), strict=True):
            made.append(number)
            yield None if data is None else row(number, data)

    async def told() -> bytes:
        text = b""
        async for piece in together(numbers, rows(), {numbers[2]: "running"}):
            text += bytes(piece)
            assert len(made) <= text.count(b'"id"') + 1
        return text

    answer = json.loads(asyncio.run(told()))
    OUTCOMES.check(answer)
    one, two, three, four = answer["results"]
    assert (one["value"], two["value"]) == (1, int("2" * 200))
    assert (three["state"], four["state"]) == ("running", "submitted")
    assert three == pending(numbers[2], state="running")
    PENDING.check(three)

"""How requests are told in JSON. No I/O."""

from __future__ import annotations

import json
from collections.abc import AsyncIterable, AsyncIterator, Mapping, Sequence
from typing import Any

from ctrlhub.client.rows import Row
from ctrlhub.gateway.api.outcomes import STATE_OF_RECORD, SUBMITTED, outcome_of, pieces, when
from ctrlhub.wire.errors import ResultLost
from ctrlhub.wire.ids import number_of, text_of, to_ranges

MOST_NAMED = 100_000
"""So many results may be asked for at once."""


class NoRange(ValueError):
    """What is said to be a range of requests has none, or too many."""

    code = "no_range"


def task_of(record: Mapping[str, Any]) -> dict[str, Any]:
    """Return a record of the hub as REST tells it."""
    return {
        "id": record["msg_id"],
        "state": STATE_OF_RECORD.get(record["status"], record["status"]),
        "kind": "task" if record["stream"] == "task" else "command",
        "action": record["action"],
        "label": record["label"],
        "session": record["client"],
        "engine": record["engine_id"],
        "submitted": when(record["submitted"]),
        "started": when(record["started"]),
        "completed": when(record["completed"]),
        "error": record["error"],
        "stdout": record["stdout"],
        "stderr": record["stderr"],
        "request_bytes": record["request_bytes"],
        "result_bytes": record["result_bytes"],
    }


def accepted(numbers: Sequence[int], prefix: str = "") -> dict[str, Any]:
    """Return what is said of requests that were accepted, by a gateway whose paths have a prefix."""
    named = ",".join(
        f"{text_of(first)}..{text_of(last)}" if last > first else text_of(first)
        for first, last in to_ranges(numbers)
    )
    ids = [text_of(number) for number in numbers]
    return {"ids": ids, "results": f"{prefix}/api/v1/results?ids={named}"}


def pending(number: int, prefix: str = "", state: str = SUBMITTED) -> dict[str, Any]:
    """Return what is said of a request that has not ended."""
    return {"id": text_of(number), "state": state, "href": href(number, prefix)}


def unknown(number: int) -> ResultLost:
    """Return the error about a request that the hub does not know."""
    return ResultLost(
        f"the hub knows no request {text_of(number)}: it was never made, or has ended so long ago that it "
        "was forgotten"
    )


def numbers_in(text: str) -> list[int]:
    """Read a list of ids, and ranges of them.

    Raises
    ------
    NoRange
        They are too many, or a range ends before it begins.
    """
    numbers: list[int] = []
    for each in text.split(","):
        first, dots, last = each.partition("..")
        begin, end = number_of(first), number_of(last if dots else first)
        if not 0 <= end - begin < MOST_NAMED - len(numbers):
            raise NoRange(
                f"{each} is no range, whose first request comes before the last, or one too many: up to {MOST_NAMED} "
                "requests may be named at once"
            )
        numbers += range(begin, end + 1)
    return numbers


def href(number: int, prefix: str = "") -> str:
    """Return where a request is told of."""
    return f"{prefix}/api/v1/tasks/{text_of(number)}"


async def together(
    numbers: Sequence[int],
    rows: AsyncIterable[Row | None],
    states: Mapping[int, str],
    prefix: str = "",
) -> AsyncIterator[Any]:
    """Yield the JSON of what came of many requests, as it comes.

    Parameters
    ----------
    numbers, rows
        Their ids, and how they have ended; None for one that has not.
    states
        The states of such, as far as they are known.
    prefix
        What stands before the gateway's paths.
    """
    yield b'{"results": ['
    place = 0
    async for row in rows:
        if place:
            yield b", "
        if row is None:
            number = numbers[place]
            yield json.dumps(pending(number, prefix, states.get(number, SUBMITTED))).encode()
        else:
            for piece in pieces(outcome_of(row)):
                yield piece
        place += 1
    yield b"]}"

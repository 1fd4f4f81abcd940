"""Why tasks do not run: what the hub says, in words."""

from __future__ import annotations

from ctrlhub.client.async_result import AsyncResult
from ctrlhub.client.connection import Connection
from ctrlhub.client.hub_result import OfAnyStream
from ctrlhub.client.metadata import UNFINISHED
from ctrlhub.client.record_pages import records_of
from ctrlhub.client.rows import is_cancelled, is_ok
from ctrlhub.wire.ids import text_of
from ctrlhub.wire.messages import Stream

FEW = 5
"""So many tasks of one result are explained one by one."""

LOOK = 0.01
"""How long (seconds) to wait before the hub is asked again for what is on its way to it."""

LOOKS = 100
"""How often it is asked."""

COMMAND = "it is a command: engines run those in order, see client.queue_status(verbose=True)"

ENDS = {"ok": "it has ended well", "error": "it has failed", "aborted": "it was cancelled"}
"""What is said of a request that has ended, by the status in its record."""


def explained(home: Connection, result: AsyncResult) -> str:
    """Say of a result why it is not there, or how it came to be."""
    numbers, rows = result._numbers(), result._rows()
    missing = [n for n, row in zip(numbers, rows, strict=True) if row is None]
    if not missing:
        ended = [row for row in rows if row is not None]
        if all(is_ok(row) for row in ended):
            return ENDS["ok"]
        return ENDS["aborted" if any(is_cancelled(row) for row in ended) else "error"]
    lines = [_one(home, result, number) for number in missing[:FEW]]
    if len(numbers) == 1:
        return lines[0]
    lines = [f"{text_of(n)}: {line}" for n, line in zip(missing, lines, strict=False)]
    more = [f"... and {len(missing) - FEW} more"] if len(missing) > FEW else []
    return "\n".join([f"{len(missing)} of {len(numbers)} have not ended:", *lines, *more])


def _one(home: Connection, result: AsyncResult, number: int) -> str:
    by_id = isinstance(result, OfAnyStream)  # then it is not known here of which kind it is
    if not by_id and result._about.stream is Stream.MULTIENGINE:
        return COMMAND
    for _ in range(LOOKS):
        known = home.call("tasks", "explain", {"request": number})
        if known["state"] != "unknown":
            break
        for record in records_of(home, [number] if by_id else []):
            if record["stream"] == Stream.MULTIENGINE.value:
                return COMMAND if record["status"] in UNFINISHED else ENDS[record["status"]]
        # What was just submitted may be slower than this question, which takes another stream.
        if result._await(result.done, LOOK):
            break
    return str(known["why"])

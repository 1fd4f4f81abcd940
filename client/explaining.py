"""Why tasks do not run: what the hub says, in words."""

from __future__ import annotations

from ctrlhub.client.async_result import AsyncResult
from ctrlhub.client.connection import Connection
from ctrlhub.client.rows import is_cancelled, is_ok
from ctrlhub.wire.ids import text_of
from ctrlhub.wire.messages import Stream

FEW = 5
"""So many tasks of one result are explained one by one."""

LOOK = 0.01
"""How long (seconds) to wait before the hub is asked again for what is on its way to it."""

LOOKS = 100
"""How often it is asked."""


def explained(home: Connection, result: AsyncResult) -> str:
    """Say of a result why it is not there, or how it came to be."""
    numbers, rows = result._numbers(), result._rows()
    missing = [n for n, row in zip(numbers, rows, strict=True) if row is None]
    if not missing:
        ended = [row for row in rows if row is not None]
        if all(is_ok(row) for row in ended):
            return "it has ended well"
        return "it was cancelled" if any(is_cancelled(row) for row in ended) else "it has failed"
    lines = [_one(home, result, number) for number in missing[:FEW]]
    if len(numbers) == 1:
        return lines[0]
    lines = [f"{text_of(n)}: {line}" for n, line in zip(missing, lines, strict=False)]
    more = [f"... and {len(missing) - FEW} more"] if len(missing) > FEW else []
    return "\n".join([f"{len(missing)} of {len(numbers)} have not ended:", *lines, *more])


def _one(home: Connection, result: AsyncResult, number: int) -> str:
    if result._about.stream is Stream.MULTIENGINE:
        return "it is a command: engines run those in order, see client.queue_status(verbose=True)"
    for _ in range(LOOKS):
        known = home.call("tasks", "explain", {"request": number})
        # What was just submitted may be slower than this question, which takes another stream.
        if known["state"] != "unknown" or result._await(result.done, LOOK):
            break
    return str(known["why"])

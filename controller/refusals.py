"""Which requests a refusal is about."""

from __future__ import annotations

from ctrlhub.wire.ids import Ranges, to_ranges
from ctrlhub.wire.limits import BATCH_ROWS, MAX_ID
from ctrlhub.wire.messages import Command, Message, StartHook, SubmitTasks


def requests_of(message: Message | None) -> Ranges:
    """Return the ids of a message's requests; none if they cannot be told.

    The message was refused: its ids may be any numbers, and more than a sender of ours would put
    into one message. Those that do not fit an answer are not repeated.
    """
    if type(message) is Command:
        first, count = message.first, len(message.targets)
        ranges: Ranges = ((first, first + count - 1),) if count else ()
    elif type(message) is StartHook:
        ranges = ((message.id, message.id),)
    elif type(message) is SubmitTasks:
        ranges = to_ranges(row[0] for row in message.rows)
    else:
        return ()
    if len(ranges) > BATCH_ROWS or any(first < 0 or last > MAX_ID for first, last in ranges):
        return ()
    return ranges

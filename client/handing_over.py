"""Results that are handed over as they come, to somebody who keeps them: acknowledged once he has them safe.

A client that answers for others to whom it has said "accepted" must not lose a result between the hub, which
forgets it when it is acknowledged, and those others. So it acknowledges no result before it is kept, and holds
none itself: in its place there is a row that says what came of the request and nothing of the value. No I/O.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Protocol

from ctrlhub.client.rows import Row
from ctrlhub.wire.codec import resolve
from ctrlhub.wire.ids import from_ranges, to_ranges
from ctrlhub.wire.messages import Completed, Payload, Status, Stream

ELSEWHERE: Payload = b"it is kept elsewhere"
"""In place of the value of a row that was handed over; this object, and none that is equal to it."""

_NOTHING: dict[str, object] = {}
_SOMETHING: dict[str, object] = {"elsewhere": True}
"""In place of output that there was."""

_ERROR = int(Status.ERROR)


class Keeper(Protocol):
    """Who keeps results. Called in the I/O thread, which must not wait."""

    def wants(self, number: int) -> bool:
        """Tell whether the result of a request is to be kept."""

    def take(self, stream: Stream, row: Row) -> bool:
        """Take a result, perhaps once more, which is acknowledged when the keeper says so; or do not."""


class HandingOver:
    """Hands results over, if there is somebody who keeps them.

    Attributes
    ----------
    keeper : Keeper or None
        Who does.
    owed : set
        The ids of those that were handed over, perhaps more than once, and not acknowledged.
    """

    __slots__ = ("keeper", "owed")

    def __init__(self) -> None:
        self.keeper: Keeper | None = None
        self.owed: set[int] = set()

    def over(
        self, stream: Stream, message: Completed, completed: Callable[[Row], Row]
    ) -> tuple[Completed, Collection[int]]:
        """Hand over results of a message.

        Parameters
        ----------
        stream, message
            The message.
        completed
            Adds to a row the output that has come before.

        Returns
        -------
        tuple
            The message with what is left of them, and the ids of those that were handed over.
        """
        keeper = self.keeper
        if keeper is None:
            return message, ()
        taken: set[int] = set()
        rows = []
        for row in message.rows:
            if keeper.wants(row[0]):
                payload = row[2] if type(row[2]) is bytes else resolve(row[2], message.frames)
                whole = completed((*row[:2], payload, *row[3:]))
                if keeper.take(stream, whole):
                    taken.add(row[0])
                    row = bare(whole)
            rows.append(row)
        self.owed |= taken
        return Completed(rows, message.events, message.frames), taken


def without(
    ranges: list[tuple[int, int]], numbers: Collection[int]
) -> list[tuple[int, int]]:
    """Return ranges of ids without some of them."""
    if not numbers:
        return ranges
    return list(to_ranges(number for number in from_ranges(tuple(ranges)) if number not in numbers))


def bare(row: Row) -> Row:
    """Return a row without its value and output; a word of the hub itself stays."""
    if row[1] == _ERROR and row[3] < 0 and type(row[2]) is bytes:
        return row
    return (*row[:2], ELSEWHERE, *row[3:6], _SOMETHING if row[6] else _NOTHING)


def is_bare(row: Row) -> bool:
    """Tell whether a row has no value, since somebody else keeps it."""
    return row[2] is ELSEWHERE


def has_put_out(row: Row) -> bool:
    """Tell whether the request of such a row has put something out."""
    return bool(row[6])

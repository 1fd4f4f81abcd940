"""Results that a young hub lets engines keep: their clients may come yet. No I/O."""

from __future__ import annotations

from collections.abc import Sequence

from ctrlhub.controller.core.effects import Acknowledge
from ctrlhub.controller.core.sessions import Session
from ctrlhub.wire.messages import Stored, Stream


class Withheld:
    """The results of unknown requests that engines are not told to forget yet."""

    __slots__ = ("_numbers",)

    def __init__(self) -> None:
        self._numbers: dict[tuple[Session, Stream], dict[int, None]] = {}

    def __bool__(self) -> bool:
        return bool(self._numbers)

    def keep(self, session: Session, stream: Stream, numbers: Sequence[int]) -> None:
        """Let an engine keep results."""
        self._numbers.setdefault((session, stream), {}).update(dict.fromkeys(numbers))

    def release(self) -> list[tuple[Acknowledge, ...]]:
        """Return what tells engines that they may forget them."""
        withheld, self._numbers = self._numbers, {}
        return [stored(*of, sorted(numbers)) for of, numbers in withheld.items()]


def stored(session: Session, stream: Stream, numbers: Sequence[int]) -> tuple[Acknowledge, ...]:
    """Return what tells an engine that its results are stored; nothing if it is not connected."""
    connection = session.connections.get(stream)
    if connection is None or not numbers:
        return ()
    return (Acknowledge(connection, Stored, numbers),)

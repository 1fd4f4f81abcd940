"""Which requests the hub has yet to store, also those that have ended: for who answers for them to others.

A client that has a result needs to know no more of its request. Who has told somebody else that a request
was accepted does: until it is stored, it and its result are lost where the hub is killed. No I/O.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable

from ctrlhub.wire.errors import CtrlHubError, HubUnavailable
from ctrlhub.wire.ids import Ranges, select, text_of

Told = Callable[[CtrlHubError | None], object]
"""Told once all is stored, or has ended without; or why this will never be known."""

MOST_LOST = 65_536
"""So many requests are remembered that went with their hub."""


class _Wait:
    __slots__ = ("left", "told")

    def __init__(self, left: set[int], told: Told) -> None:
        self.left = left
        self.told = told


class Acceptance:
    """Requests that were sent and not accepted, and who waits until they are; in the I/O thread."""

    __slots__ = ("_lost", "_pending", "_waits")

    def __init__(self) -> None:
        self._pending: set[int] = set()
        self._lost: dict[int, None] = {}
        self._waits: dict[int, list[_Wait]] = {}

    def sent(self, numbers: Iterable[int]) -> None:
        """Take note of requests that leave."""
        self._pending.update(numbers)

    def accepted(self, ranges: Ranges) -> None:
        """Take note of what the hub has stored."""
        self._settle(select(ranges, self._pending), None)

    def refused(self, numbers: Iterable[int]) -> None:
        """Take note of what was never accepted, and has ended here with the reason."""
        self._settle(list(numbers), None)

    def joined(self, out: Container[int]) -> None:
        """Take note of another connection, or hub: what has ended before it is not sent again, nor accepted."""
        lost = [number for number in self._pending if number not in out]
        if not lost:
            return
        self._lost = dict.fromkeys([*self._lost, *lost][-MOST_LOST:])
        self._settle(lost, _lost(lost[0]))

    def wait(self, numbers: Iterable[int], waiting: Container[int], told: Told) -> None:
        """Have somebody told of requests; some may be waiting to be sent."""
        wanted = list(numbers)
        for number in wanted:
            if number in self._lost:
                told(_lost(number))
                return
        wait = _Wait({n for n in wanted if n in self._pending or n in waiting}, told)
        if not wait.left:
            told(None)
        for number in wait.left:
            self._waits.setdefault(number, []).append(wait)

    def forget(self, numbers: Iterable[int], told: Told) -> None:
        """Have somebody who waits for some requests told no more."""
        for number in numbers:
            left = [wait for wait in self._waits.pop(number, ()) if wait.told is not told]
            if left:
                self._waits[number] = left

    def end(self, error: CtrlHubError) -> None:
        """Tell everybody that the session is over."""
        self._settle(list(self._waits), error)

    def _settle(self, numbers: Iterable[int], error: CtrlHubError | None) -> None:
        ended: dict[_Wait, None] = {}
        for number in numbers:
            self._pending.discard(number)
            for wait in self._waits.pop(number, ()):
                wait.left.discard(number)
                if error is not None or not wait.left:
                    ended[wait] = None
        for wait in ended:
            if error is not None:
                self._drop(wait)
            wait.told(error)

    def _drop(self, wait: _Wait) -> None:
        for number in wait.left:
            waits = [each for each in self._waits.pop(number, ()) if each is not wait]
            if waits:
                self._waits[number] = waits


def _lost(number: int) -> HubUnavailable:
    return HubUnavailable(
        f"the connection to the hub was lost before it said that request {text_of(number)} is stored: look "
        "whether it is there, or submit it again"
    )

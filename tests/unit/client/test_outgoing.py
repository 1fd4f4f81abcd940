"""How many requests have not ended."""

from __future__ import annotations

from collections import deque
from typing import Any

from ctrlhub.client.outgoing import Outgoing


class Request:
    """Stands for one request."""

    def __init__(self, number: int) -> None:
        self.number = number

    def _numbers(self) -> tuple[int, ...]:
        return (self.number,)


class Hurried(deque[Any]):
    """What waits is sent while somebody counts."""

    def __init__(self, outgoing: Outgoing, requests: list[Any]) -> None:
        super().__init__(requests)
        self.outgoing = outgoing

    def copy(self) -> deque[Any]:  # type: ignore[override]
        """Return what is there, of which the I/O thread sends all right after."""
        found = deque(self)
        self.outgoing.tasks.requests.update((each.number, each) for each in self)
        self.clear()
        return found


def test_what_is_sent_meanwhile_counts_once() -> None:
    """Else a client would be told that there is no room, where there is."""
    outgoing = Outgoing()
    outgoing.submissions = Hurried(outgoing, [Request(n) for n in range(1, 11)])
    assert outgoing.load == 10
    assert outgoing.load == 10

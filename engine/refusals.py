"""Which results it was that the hub refused.

A refusal does not name its message. But each message with results ends in one of two ways: its results
are acknowledged, or it is refused. So once there are as many messages left as there were refusals,
these are the refused ones; until then nothing more is sent. The rest is to halve them, until a message
with one result is refused: see `EngineSession`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from typing import Any


class Refusals:
    """The messages of one stream that were sent and not acknowledged, and the refusals among them.

    Attributes
    ----------
    count : int
        The refusals whose messages are not known yet.
    """

    __slots__ = ("_sent", "count")

    def __init__(self) -> None:
        self.count = 0
        self._sent: deque[list[int]] = deque()

    def sent(self, numbers: list[int]) -> None:
        """Note a message, by the requests whose results it has."""
        self._sent.append(numbers)

    def acknowledged(self, results: Mapping[int, Any]) -> None:
        """Forget messages of which nothing is among the unacknowledged results any more."""
        sent = self._sent
        while sent and results.keys().isdisjoint(sent[0]):
            sent.popleft()

    def clear(self) -> None:
        """Forget everything: all results are sent again."""
        self.count = 0
        self._sent.clear()

    def settle(self, results: Mapping[int, Any]) -> list[list[int]]:
        """Return the refused messages, once all the others have been acknowledged."""
        left = [[n for n in numbers if n in results] for numbers in self._sent]
        self._sent = deque(numbers for numbers in left if numbers)
        if len(self._sent) > self.count:
            return []
        refused = list(self._sent)
        self.clear()
        return refused

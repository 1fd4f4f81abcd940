"""Who waits until the hub has accepted everything that was submitted. No I/O."""

from __future__ import annotations

from ctrlhub.client.call_list import Answered
from ctrlhub.client.outgoing import Outgoing
from ctrlhub.wire.messages import Answer


class Flushing:
    """Those who wait; in the I/O thread.

    Parameters
    ----------
    outgoing
        What was submitted.
    """

    __slots__ = ("_outgoing", "_waiting")

    def __init__(self, outgoing: Outgoing) -> None:
        self._outgoing = outgoing
        self._waiting: list[Answered] = []

    def add(self, answered: Answered) -> None:
        """Have somebody answered once everything is accepted."""
        self._waiting.append(answered)

    def forget(self, answered: Answered) -> None:
        """Answer somebody no more."""
        if answered in self._waiting:
            self._waiting.remove(answered)

    def look(self) -> None:
        """Answer if everything is accepted."""
        if self._waiting and self._outgoing.is_accepted:
            waiting, self._waiting = self._waiting, []
            for answered in waiting:
                answered(Answer(0))

"""The functions that were asked for: which of them an answer shows to be lost.

An answer holds those of the functions asked for that the hub has; it does not say which question it
is for. Answers come in the order of the questions. After a hello, though, the questions before it may
be answered (the connection did not break) or not.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

MOST_BEFORE = 64
"""So many questions from before a hello may still be answered."""


class Questions:
    """The unanswered questions of one stream."""

    __slots__ = ("_asked", "_before")

    def __init__(self) -> None:
        self._asked: deque[frozenset[bytes]] = deque()
        self._before: deque[frozenset[bytes]] = deque(maxlen=MOST_BEFORE)

    def ask(self, digests: Iterable[bytes]) -> None:
        """Note a question."""
        self._asked.append(frozenset(digests))

    def doubt(self) -> None:
        """Note that what was asked so far may be answered or not; what still matters is asked anew."""
        self._before.extend(self._asked)
        self._asked.clear()

    def answered(self, came: frozenset[bytes]) -> tuple[frozenset[bytes], bool]:
        """Take an answer.

        Returns
        -------
        tuple
            What the hub certainly does not have; and whether the answer may be one to a question from
            before: then what still waits is to be asked for again.
        """
        before, asked = self._before, self._asked
        while before:
            old = before.popleft()
            if came <= old:
                return ((old & asked[0]) - came if asked else frozenset()), True
        return (asked.popleft() - came if asked else frozenset()), False

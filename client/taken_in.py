"""What a client has taken in of what is published to it: of what engines log, of what all put out. No I/O."""

from __future__ import annotations

ACKNOWLEDGE = 16
"""The hub is told once so many messages were taken in: a quarter of what may be on its way."""


class TakenIn:
    """Up to where messages have come, as the hub counts them.

    Parameters
    ----------
    every
        The hub is told of every so many.
    """

    __slots__ = ("_every", "_told")

    def __init__(self, every: int = ACKNOWLEDGE) -> None:
        self._every = every
        self._told = 0

    def is_to_be_told(self, number: int) -> bool:
        """Tell whether the hub is to know that a message was taken in, and those before it."""
        if number < self._told:  # another hub, which counts anew
            self._told = 0
        if number - self._told < self._every:
            return False
        self._told = number
        return True

"""Bytes that are elsewhere, and are read a part at a time: what is made of them does not copy them."""

from __future__ import annotations


class Unread:
    """Some bytes in shared memory, in a file, or wherever they are.

    Attributes
    ----------
    nbytes : int
        How many.
    """

    __slots__ = ()

    nbytes: int

    def read(self, start: int, nbytes: int) -> bytes:
        """Return a part of them."""
        raise NotImplementedError

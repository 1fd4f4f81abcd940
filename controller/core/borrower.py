"""What the hub's decisions need of memory that peers lend: somebody else opens it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from ctrlhub.wire.messages import Message, Payload
from ctrlhub.wire.parts import Sink


class Borrower(Protocol):
    """Opens the segments that peers on the hub's host lend (`ctrlhub.controller.borrowing`).

    It is asked in the midst of a decision, since a segment must be opened before its maker may have
    ended, and only what is taken in is worth it.

    Attributes
    ----------
    own : tuple of int
        The hub's own segment, by which peers prove that they can open what it lends; or empty.
    """

    own: tuple[int, ...]

    def can_read(self, pid: int, segment: Sequence[int], content: bytes) -> bool:
        """Tell whether a process lends what it says."""

    def is_proven(self, proof: bytes) -> bool:
        """Tell whether a peer has read the hub's own segment."""

    def take(self, pid: int, message: Message) -> Message:
        """Take over the segments that a message refers to."""

    def gather(self, nbytes: int) -> Sink:
        """Make what gathers a frame of so many bytes of which parts come in."""

    def keep(self, payload: Payload) -> Payload:
        """Put large buffers where several engines can read one copy."""

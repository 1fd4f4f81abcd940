"""Large messages in parts: the multiengine and task streams, both ways."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from ctrlhub.wire.messages.base import Buffer, Message
from ctrlhub.wire.record import record


@record
class Part(Message):
    """Both ways: a piece of a message that is too large to be sent whole, in a frame.

    `offset` counts the bytes before it. The first one tells the `sizes` of all frames, the header's
    first. A connection has one transfer each way at a time. With `bulk` the others are to come over
    the bulk connection.
    """

    kind: ClassVar[str] = "part"
    transfer: int
    offset: int
    sizes: Sequence[int] = ()
    bulk: bool = False
    frames: Sequence[Buffer] = ()


@record
class PartsTaken(Message):
    """Both ways: so many bytes of a transfer have been taken; more may be sent.

    `bulk` answers a part that asks: the others may come over the bulk connection.
    """

    kind: ClassVar[str] = "parts_taken"
    transfer: int
    nbytes: int
    bulk: bool = False

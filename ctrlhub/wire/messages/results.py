"""Results and acknowledgements: the multiengine and task streams."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from ctrlhub.wire.ids import Ranges
from ctrlhub.wire.messages.base import Buffer, CompletedRow, Message, ResultRow
from ctrlhub.wire.record import record


@record
class Accepted(Message):
    """Hub to client: these requests are stored and will end; they need not be sent again."""

    kind: ClassVar[str] = "accepted"
    requests: Ranges


@record
class Results(Message):
    """Engine to hub: how requests ended. The engine keeps them until `Stored`."""

    kind: ClassVar[str] = "results"
    rows: Sequence[ResultRow]
    frames: Sequence[Buffer] = ()


@record
class Stored(Message):
    """Hub to engine: these results are safe; forget them."""

    kind: ClassVar[str] = "stored"
    requests: Ranges


@record
class Completed(Message):
    """Hub to client: how requests ended. The hub keeps them until `Received`.

    `events` is the number of the last engine event so far: they travel on another stream.
    """

    kind: ClassVar[str] = "completed"
    rows: Sequence[CompletedRow]
    events: int = 0
    frames: Sequence[Buffer] = ()


@record
class Received(Message):
    """Client to hub: these results arrived; forget them."""

    kind: ClassVar[str] = "received"
    requests: Ranges

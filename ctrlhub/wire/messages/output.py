"""What requests put out while they run, and what engines log."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from ctrlhub.wire.messages.base import Message, OutputItem, WatchedRow
from ctrlhub.wire.record import record


@record
class Output(Message):
    """Engine to hub, and hub to the request's client on iopub: what a request puts out as it runs.

    `number` counts the messages of an attempt, and this one says what comes behind that of number
    `after`: whoever does not have that one asks for it. `engine` is filled in by the hub.
    """

    kind: ClassVar[str] = "output"
    request: int
    number: int
    items: Sequence[OutputItem]
    engine: int = -1
    attempt: int = 0
    after: int = 0


@record
class OutputReceived(Message):
    """To an engine: live output up to this number has arrived; more may follow.

    It comes from the client by way of the hub, or from the hub for a client that is connected anew. What
    came behind it was lost, and is to be said again, if it was `missed`. The hub does not know what a
    client has: then `number` is -1, and means what was acknowledged.
    """

    kind: ClassVar[str] = "output_received"
    request: int
    number: int
    engine: int
    missed: bool = False


@record
class WatchedOutput(Message):
    """Hub to a client that watches, iopub: what requests of all clients put out, each once.

    `number` counts these messages; `missed` pieces of output were left out since the one before.
    """

    kind: ClassVar[str] = "watched_output"
    rows: Sequence[WatchedRow]
    number: int
    missed: int = 0


@record
class LogRecords(Message):
    """Engine to hub, and hub to clients on iopub: what was logged. The rest is filled in by the hub."""

    kind: ClassVar[str] = "log_records"
    records: Sequence[Mapping[str, Any]]
    engine: int = -1
    number: int = 0

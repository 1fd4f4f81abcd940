"""What the machines want done: the effects, and the box in which they collect."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeAlias

from ctrlhub.wire.ids import Ranges
from ctrlhub.wire.messages import Message, Stream


class Connection(NamedTuple):
    """Where a message came from and can be answered: meaningful to its transport alone."""

    transport: int
    stream: Stream
    address: bytes


@dataclass(frozen=True, slots=True)
class Send:
    """Send a message over a connection; a peer that is gone makes no error.

    `shares` tells that the peer can open the hub's segments.
    """

    connection: Connection
    message: Message
    shares: bool = False


@dataclass(frozen=True, slots=True)
class Publish:
    """Publish a message on a topic of a transport's iopub stream."""

    transport: int
    topic: bytes
    message: Message


@dataclass(frozen=True, slots=True)
class SaveRequests:
    """Store accepted requests: (id, record) pairs."""

    records: Sequence[tuple[int, Any]]


@dataclass(frozen=True, slots=True)
class SaveResults:
    """Store accepted results: (id, row) pairs."""

    rows: Sequence[tuple[int, Any]]


@dataclass(frozen=True, slots=True)
class Forget:
    """Remove requests and their results: their client has them."""

    requests: Ranges


Operation: TypeAlias = SaveRequests | SaveResults | Forget


@dataclass(frozen=True, slots=True)
class Commit:
    """Store the operations; once they are safe, do what follows."""

    operations: tuple[Operation, ...]
    then: tuple[Send, ...]


@dataclass(frozen=True, slots=True)
class Stop:
    """End the hub's process."""

    reason: str


Effect: TypeAlias = Send | Publish | Commit | Stop


class Outbox:
    """Collects the effects of a turn in order."""

    __slots__ = ("_effects",)

    def __init__(self) -> None:
        self._effects: list[Effect] = []

    def add(self, effect: Effect) -> None:
        """Add an effect behind those already there."""
        self._effects.append(effect)

    def take(self) -> list[Effect]:
        """Return all effects and start anew."""
        effects = self._effects
        self._effects = []
        return effects

    def __len__(self) -> int:
        return len(self._effects)

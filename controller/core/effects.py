"""What the machines want done: the effects, and the box in which they collect."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol, TypeAlias

from ctrlhub.wire.ids import Ranges, to_ranges
from ctrlhub.wire.messages import Accepted, Message, Stored, Stream
from ctrlhub.wire.record import record


class Identified(Protocol):
    """What has the id of a request."""

    id: int


class Connection(NamedTuple):
    """Where a message came from and can be answered: meaningful to its transport alone."""

    transport: int
    stream: Stream
    address: bytes


@record
class Send:
    """Send a message over a connection; a peer that is gone makes no error.

    `shares` tells that the peer can open the hub's segments.
    """

    connection: Connection
    message: Message
    shares: bool = False


@record
class SendStored:
    """Send a message over a connection once all is stored that was to be before."""

    send: Send


@record
class Publish:
    """Send a notification over a connection of the iopub stream; a peer that is too slow loses it."""

    connection: Connection
    message: Message


@record
class EndBulk:
    """Close the bulk connection with a ticket, if there is one."""

    ticket: bytes
    why: str


@record
class SaveRequests:
    """Store accepted requests: (id, record) pairs."""

    records: Sequence[tuple[int, Any]]


@record
class SaveResults:
    """Store accepted results: (id, row) pairs."""

    rows: Sequence[tuple[int, Any]]


@record
class Fetched:
    """Take note that nobody waits for these results any more: only history does with them as it likes."""

    requests: Ranges


@record
class Forget:
    """Remove requests and their results: nobody wants them, nor does history keep them."""

    requests: Ranges


@record
class Expire:
    """Remove requests that history has let go of, of which the store need not have any."""

    requests: Sequence[Identified]


@record
class Keep:
    """Store something small under a name, in place of what is there."""

    name: str
    value: Any
    """Whatever msgpack can carry."""


@record
class Drop:
    """Remove what is stored under a name."""

    name: str


Operation: TypeAlias = SaveRequests | SaveResults | Fetched | Forget | Expire | Keep | Drop


@record
class Acknowledge:
    """Tell a peer that requests (`Accepted`) or results (`Stored`) are safe."""

    connection: Connection
    kind: type[Accepted | Stored]
    requests: Sequence[int]

    def send(self) -> Send:
        """Return the effect that tells it."""
        return Send(self.connection, self.kind(to_ranges(self.requests)))


@record
class Commit:
    """Store the operations; once they are safe, acknowledge. With `soon` somebody waits for that."""

    operations: tuple[Operation, ...]
    then: Sequence[Acknowledge] = ()
    soon: bool = False


@record
class Stop:
    """End the hub's process."""

    reason: str


@record
class StartGateway:
    """Start the gateway's process."""


Effect: TypeAlias = Send | SendStored | Publish | Commit | EndBulk | Stop | StartGateway


class Outbox:
    """Collects the effects of a turn in order.

    Attributes
    ----------
    effects : list
        Those that nobody took.
    """

    __slots__ = ("effects",)

    def __init__(self) -> None:
        self.effects: list[Effect] = []

    def add(self, effect: Effect) -> None:
        """Add an effect behind those already there."""
        self.effects.append(effect)

    def take(self) -> list[Effect]:
        """Return all effects and start anew."""
        effects = self.effects
        self.effects = []
        return effects

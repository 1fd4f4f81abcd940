"""What a transport does for the hub."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol, TypeAlias

from ctrlhub.controller.core.effects import Connection
from ctrlhub.wire.messages import Buffer, Stream

Receiver: TypeAlias = Callable[[Connection, "str | None", Buffer, Sequence[Buffer]], None]
"""(connection, user, header, frames): what a transport calls for each message."""


class Loop(Protocol):
    """What transports need of the hub's event loop."""

    def watch(self, descriptor: int, ready: Callable[[], None], *, writes: bool = False) -> None:
        """Call `ready` in the loop whenever a descriptor is readable; with `writes`, or writable."""

    def unwatch(self, descriptor: int) -> None:
        """Stop that."""

    def soon(self, call: Callable[[], None]) -> None:
        """Call once in the loop, soon; from any thread."""

    def later(self, seconds: float, call: Callable[[], None]) -> None:
        """Call once, after a time; in the loop's thread."""


LARGE = 256 * 1024
"""Bytes of headers that take so long to deal with that others are to have their turn before more."""


class Transport(Protocol):
    """Moves messages between peers and the hub, on four streams.

    `ready` is the hub's turn: a transport whose peers may have sent something calls it, and the hub
    takes messages with `receive` until there are none, from all its transports.
    """

    def start(self, number: int, loop: Loop, ready: Callable[[], None]) -> None:
        """Begin to listen; `number` is the transport's place among the hub's transports."""

    def receive(self, receiver: Receiver, budget: int) -> int:
        """Pass on waiting messages, `budget` per stream at most; return how many.

        From the first of a stream that is `LARGE` on, or several that are so together, the others of
        that stream wait.
        """

    def send(self, connection: Connection, frames: Sequence[Buffer]) -> bool:
        """Send a message without blocking; False when the peer is gone.

        On iopub a peer that is too slow loses messages: it sees the gap, and asks.
        """

    def addresses(self) -> Mapping[Stream, str]:
        """Return where each stream listens."""

    def close(self) -> None:
        """Close everything, after a moment for what was sent last."""

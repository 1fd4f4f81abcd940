"""What a peer needs of its connection to the hub, whatever carries the bytes."""

from __future__ import annotations

from collections.abc import Sequence
from threading import RLock
from typing import Protocol, TypeAlias

from ctrlhub.link.bulk import BulkLine
from ctrlhub.wire.messages import Buffer, Part, Stream

Arrival: TypeAlias = tuple[Stream, bytes | Part, list[Buffer]]
"""One message as it arrived: its stream, its header, and the frames behind the header; or a part that
came over the bulk connection, as it is."""


class Link(Protocol):
    """A peer's connection to the hub: four streams, moved by one thread.

    Every method but `wake` belongs to the thread that calls `receive`. While that one sleeps there,
    another may take the `lock` and send; it then asks whether something was `missed`.
    """

    enrolling: bool
    """The hub does not know our key: it must be enrolled before anything but the hub stream opens.

    True from the beginning where keys are used, until `enrolled`; and again once the hub is seen
    to refuse our key, which it has forgotten then.
    """

    lock: RLock
    """Held by the thread that uses the link; `receive` lets go of it while it sleeps."""

    bulk: BulkLine | None
    """The bulk connection to the hub, where there may be one."""

    sleeping: bool
    """Whether `receive` sleeps, and nothing is torn if a signal's handler raises."""

    sleeps_in_system: bool
    """Whether its sleep is a single call of the system; else `sleeping` says nothing."""

    def send(self, stream: Stream, frames: Sequence[Buffer]) -> None:
        """Send one message, without ever blocking.

        A stream that is not open takes nothing: on joining, sessions say everything again.
        """

    def receive(self, timeout: float | None) -> list[Arrival]:
        """Wait for messages, and take what is there, up to a budget.

        Parameters
        ----------
        timeout
            The longest wait in seconds; None waits for a message or `wake`.

        Returns
        -------
        list
            The messages, oldest first within each stream; empty after `wake`, the timeout, or
            news of the connection.
        """

    def missed(self) -> bool:
        """Say, after sending while `receive` sleeps, whether that must be woken by hand."""

    def reopen(self) -> None:
        """Open all connections anew: one of them was left in the middle of a message."""

    def wake(self) -> None:
        """Make `receive` return, from any thread: the call under way, or else the next."""

    def enrolled(self) -> None:
        """Open all streams under our own key: the hub accepted it."""

    def enrol_again(self) -> None:
        """Go back to the hub stream under the enrolment key: the hub may have forgotten ours."""

    def failure(self) -> str | None:
        """Say why the connection last failed, for error messages; None while it stands."""

    def close(self) -> None:
        """Close everything; what was just sent gets a moment to leave. Closing twice is harmless."""

"""The large messages of a peer, which travel in parts: those that come, and those that leave."""

from __future__ import annotations

from collections.abc import Iterable

from ctrlhub.wire.codec import encode
from ctrlhub.wire.messages import Buffer, Message, Part, PartsTaken, Stream
from ctrlhub.wire.parts import Flows, whole


class LargeMessages:
    """What is on its way in parts, on all streams of a peer.

    Attributes
    ----------
    unsent : list
        What is to be said about parts, and parts that may leave now; with their streams.
    flows : Flows
        What is on its way.
    """

    __slots__ = ("flows", "unsent")

    def __init__(self) -> None:
        self.flows: Flows[Stream] = Flows()
        self.unsent: list[tuple[Stream, Message]] = []

    def gather(self, stream: Stream, part: Part) -> list[Buffer] | None:
        """Take a part; return the frames of its message once they are complete."""
        complete, answer = self.flows.take(stream, part)
        if answer is not None:
            self.unsent.append((stream, answer))
        return complete

    def taken(self, stream: Stream, message: PartsTaken) -> None:
        """Take note that the hub has room for more."""
        self.unsent += [(stream, part) for part in self.flows.taken(stream, message)]

    def take_unsent(self) -> list[tuple[Stream, Message]]:
        """Take what is to be said."""
        unsent, self.unsent = self.unsent, []
        return unsent

    def cut(
        self, stream: Stream, message: Message, frames: list[Buffer], shares: bool
    ) -> Iterable[list[Buffer]]:
        """Return a message, or what may leave now of one that is large or waits for such a one."""
        parts = self.flows.offer(stream, message, frames)
        return [whole(frames)] if parts is None else [encode(part, shares) for part in parts]

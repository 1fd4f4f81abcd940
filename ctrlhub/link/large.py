"""The large messages of a peer, which travel in parts: those that come, and those that leave."""

from __future__ import annotations

from collections.abc import Iterable

from ctrlhub.link.bulk import BulkLine
from ctrlhub.link.gathering import gather, gather_apart
from ctrlhub.wire.codec import encode
from ctrlhub.wire.messages import Buffer, Message, Part, PartsTaken, Registered, Stream
from ctrlhub.wire.parts import Flows, whole
from ctrlhub.wire.transfers import is_large


class LargeMessages:
    """What is on its way in parts, on all streams of a peer.

    Parameters
    ----------
    bulk
        The peer's bulk connection; None where it can have none.

    Attributes
    ----------
    unsent : list
        What is to be said about parts, and parts that may leave now; with their streams.
    flows : Flows
        What is on its way.
    """

    __slots__ = ("_bulk", "flows", "unsent")

    def __init__(self, bulk: BulkLine | None = None) -> None:
        self.flows: Flows[Stream] = Flows(gather)
        self.unsent: list[tuple[Stream, Message]] = []
        self._bulk = bulk

    def gather_apart(self) -> None:
        """Gather large frames outside of this process's memory from now on, as segments."""
        self.flows.make = gather_apart

    def gather(self, stream: Stream, part: Part) -> list[Buffer] | None:
        """Take a part; return the frames of its message once they are complete."""
        complete, answer = self.flows.take(stream, part)
        if answer is not None:
            self.unsent.append((stream, answer))
        return complete

    def taken(self, stream: Stream, message: PartsTaken) -> None:
        """Take note that the hub has room for more."""
        self._leave(stream, self.flows.taken(stream, message))

    def take_unsent(self) -> list[tuple[Stream, Message]]:
        """Take what is to be said."""
        unsent, self.unsent = self.unsent, []
        return unsent

    def cut(
        self,
        stream: Stream,
        message: Message,
        frames: list[Buffer],
        shares: bool,
        registered: Registered,
    ) -> Iterable[list[Buffer]]:
        """Return a message, or what may leave now of one that is large or waits for such a one."""
        bulk = is_large(frames) and self._may_use_bulk(registered)
        parts = self.flows.offer(stream, message, frames, bulk=bulk)
        if parts is None:
            return [whole(frames)]
        return [encode(part, shares) for part in self._by_stream(stream, parts)]

    def tend(self, registered: Registered | None, now: float) -> None:
        """Look after the bulk connection: open it where it is asked for, do without it where it broke.

        Parameters
        ----------
        registered
            What the hub has last said to our registration.
        now
            The time in seconds.
        """
        bulk, flows = self._bulk, self.flows
        if bulk is not None:
            if registered is not None:
                bulk.let_in(registered.bulk)
            bulk.tend()
            if any(flows.has_stood_still(stream, now) for stream in flows.outgoing):
                bulk.give_up("nothing has moved on it for long")
            if bulk.has_broken:
                bulk.has_broken = False
                for stream in list(flows.outgoing):
                    self._leave(stream, flows.begin_anew(stream))
        for stream in flows.asking():
            if bulk is not None and bulk.is_ready:
                self.unsent.append((stream, flows.answer(stream, bulk=True)))
            elif bulk is None or not bulk.open():
                self.unsent.append((stream, flows.answer(stream, bulk=False)))

    @property
    def is_busy(self) -> bool:
        """Whether anything is on its way, or the bulk connection is to be looked after."""
        if self.flows.outgoing or self.flows.is_gathering:
            return True
        return self._bulk is not None and self._bulk.is_open

    def _may_use_bulk(self, registered: Registered) -> bool:
        if self._bulk is None:
            return False
        self._bulk.let_in(registered.bulk)
        return self._bulk.open()

    def _leave(self, stream: Stream, messages: Iterable[Message]) -> None:
        self.unsent += [(stream, message) for message in self._by_stream(stream, messages)]

    def _by_stream(self, stream: Stream, messages: Iterable[Message]) -> list[Message]:
        """Send what goes over the bulk connection; return the rest."""
        rest: list[Message] = []
        for message in messages:
            if type(message) is Part and message.bulk and message.offset:
                assert self._bulk is not None  # else none would have been asked for
                self._bulk.send(stream, message)
            else:
                rest.append(message)
        return rest

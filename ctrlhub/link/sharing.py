"""A peer's part in sharing memory with its hub: what it shows, what it proves, what it opens.

Both sides open a segment of the other's before any is referred to: the hub one that holds the peer's
incarnation, the peer one that holds a secret of the hub's, which it tells in its hello. So it works
wherever both can do it, whatever way they are connected, and nowhere else: the bytes travel there.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from ctrlhub.link.membership import Membership
from ctrlhub.wire.errors import SegmentLost
from ctrlhub.wire.messages import Buffer, Lent, Message, RunCommand, Stream
from ctrlhub.wire.segments import Keep, Segment, SegmentRef, borrow, node_name, read_proof, share
from ctrlhub.wire.warm import cool, count_warm


class Sharing:
    """Lets a membership share memory.

    Parameters
    ----------
    machine
        The membership, which has not started.
    """

    def __init__(self, machine: Membership) -> None:
        self._segment = share(memoryview(machine.registration.incarnation))
        self._machine = machine
        self._hub = 0
        if self._segment is not None:
            ref = self._segment.ref
            shown = (ref.descriptor, ref.stamp, ref.nbytes)
            machine.registration = replace(
                machine.registration, segment=shown, node=node_name()
            )
            machine.prove = self._prove

    def _prove(self, segment: Sequence[int]) -> bytes:
        """Read what stands in a segment of the hub's; nothing if it cannot be opened."""
        try:
            self._hub = segment[0]
            return read_proof(self._hub, SegmentRef.of(segment[1:]))
        except (SegmentLost, ValueError):
            return b""

    def opened(self, message: Message) -> Message:
        """Map the segments that a message of the hub's refers to.

        Raises
        ------
        SegmentLost
            One of them is not to be had.
        """
        frames = message.frames  # type: ignore[attr-defined]
        if not any(type(frame) in (SegmentRef, Keep) for frame in frames):
            return message
        lent: dict[int, Segment] = {}
        mapped: list[Buffer] = []
        for index, frame in enumerate(frames):
            if type(frame) is Keep:
                segment = share(memoryview(frame.buffer).cast("B"))
                if segment is not None:
                    lent[index] = segment
                mapped.append(frame.buffer if segment is None else segment.private())
            elif type(frame) is SegmentRef:
                mapped.append(borrow(frame.pid or self._hub, frame).private())
            else:
                mapped.append(frame)
        if type(message) is RunCommand and any(type(frame) is Keep for frame in frames):
            self._lend(message.id, lent)
        return replace(message, frames=tuple(mapped))  # type: ignore[call-arg]

    def tidy(self, now: float) -> None:
        """Let go of memory that has not been used for long."""
        if count_warm():
            cool(now)

    def _lend(self, request: int, segments: Mapping[int, Segment]) -> None:
        """Lend what came with a request to others of this node, until its result is stored."""
        machine = self._machine
        numbers: list[int] = []
        for frame, segment in segments.items():
            numbers += (frame, segment.descriptor, segment.stamp, segment.nbytes)
        machine.lent[request] = tuple(segments.values())
        machine.send(Stream.MULTIENGINE, Lent(request, numbers))

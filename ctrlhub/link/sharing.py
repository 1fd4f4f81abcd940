"""A peer's part in sharing memory with its hub: what it shows, what it proves, what it opens.

Both sides open a segment of the other's before any is referred to: the hub one that holds the peer's
incarnation, the peer one that holds a secret of the hub's, which it tells in its hello. So it works
wherever both can do it, whatever way they are connected, and nowhere else: the bytes travel there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from ctrlhub.link.membership import Membership
from ctrlhub.wire.errors import SegmentLost
from ctrlhub.wire.messages import Message
from ctrlhub.wire.segments import SegmentRef, borrow, read_proof, share


class Sharing:
    """Lets a membership share memory.

    Parameters
    ----------
    machine
        The membership, which has not started.
    """

    def __init__(self, machine: Membership) -> None:
        self._segment = share(memoryview(machine.registration.incarnation))
        self._hub = 0
        if self._segment is not None:
            ref = self._segment.ref
            shown = (ref.descriptor, ref.inode, ref.nbytes)
            machine.registration = replace(machine.registration, segment=shown)
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
        if not any(type(frame) is SegmentRef for frame in frames):
            return message
        mapped = [borrow(self._hub, f).private() if type(f) is SegmentRef else f for f in frames]
        return replace(message, frames=tuple(mapped))  # type: ignore[call-arg]

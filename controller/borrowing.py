"""Borrowing: the segments that peers on the hub's host lend to it, and that it lends on.

The hub keeps a segment open for as long as it would keep the bytes, and does not read it; so it
outlives its maker, and costs the hub no memory. Where somebody cannot open it, the bytes are taken
from it; and where so many are open that descriptors would run out, those of further ones at once.

What comes as bytes, from another host, and goes to several engines of this one, the hub puts into a
segment itself: it has crossed the network once, and is in memory once.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from hmac import compare_digest

from ctrlhub.controller.descriptor_limit import descriptor_limit
from ctrlhub.wire.errors import SegmentLost
from ctrlhub.wire.limits import BORROWED_SEGMENTS, SEGMENT_BYTES
from ctrlhub.wire.messages import Buffer, Message, Payload, Results
from ctrlhub.wire.parts import Memory, Sink
from ctrlhub.wire.segments import (
    PROOF_BYTES,
    Draft,
    Segment,
    SegmentRef,
    borrow,
    count_held,
    nbytes_of,
    read_proof,
    share,
)

LARGEST_COPIED = 512 * 1024 * 1024
"""The hub copies no more bytes than this for the sake of sharing: everybody else waits meanwhile."""


class Borrowing:
    """What a hub does with segments.

    Attributes
    ----------
    own : tuple of int
        A segment of the hub's own, for its peers to prove that they can open what it lends: process
        id, descriptor, stamp, bytes. Empty where there are no segments.
    """

    def __init__(self) -> None:
        self._proof = os.urandom(PROOF_BYTES)
        self._segment = share(memoryview(self._proof))
        self.own: tuple[int, ...] = ()
        if self._segment is not None:
            ref = self._segment.ref
            self.own = os.getpid(), ref.descriptor, ref.stamp, ref.nbytes
        self._most = min(BORROWED_SEGMENTS, descriptor_limit() // 4)

    def can_read(self, pid: int, segment: Sequence[int], content: bytes) -> bool:
        """Tell whether a process lends what it says: so it is on this host, and our user's."""
        if not self.own or not segment:
            return False
        try:
            return compare_digest(read_proof(pid, SegmentRef.of(segment)), content)
        except (SegmentLost, ValueError):
            return False

    def is_proven(self, proof: bytes) -> bool:
        """Tell whether a peer has read our own segment."""
        return bool(self.own) and compare_digest(proof, self._proof)

    def take(self, pid: int, message: Message) -> Message:
        """Take over the segments that a message refers to.

        One that is not to be had is left as a reference, which must not be used: a request that is
        sent again may be known, and have ended since.

        Raises
        ------
        SegmentLost
            Results are not to be had: they must not be taken in halves.
        """
        frames = list(message.frames)  # type: ignore[attr-defined]
        for index, frame in enumerate(frames):
            if type(frame) is not SegmentRef:
                continue
            try:
                frames[index] = self._borrow(pid, frame)
            except SegmentLost:
                if type(message) is Results:
                    raise
        return replace(message, frames=tuple(frames))  # type: ignore[call-arg]

    def gather(self, nbytes: int) -> Sink:
        """Gather a frame that comes in parts in a segment, out of this process's memory."""
        if self.own and count_held() < self._most:
            with suppress(OSError):  # no descriptor
                return Draft(nbytes)
        return Memory(nbytes)

    def keep(self, payload: Payload) -> Payload:
        """Put the large buffers of a payload into segments of the hub's own."""
        if isinstance(payload, bytes):
            return payload
        return tuple(
            self._kept(frame) if SEGMENT_BYTES <= nbytes_of(frame) <= LARGEST_COPIED else frame
            for frame in payload
        )

    def _kept(self, frame: Buffer) -> Buffer:
        if type(frame) is Segment:
            return frame
        return share(memoryview(frame).cast("B"), self._most, sys.maxsize) or frame

    def _borrow(self, pid: int, ref: SegmentRef) -> Buffer:
        segment: Segment = borrow(pid, ref)
        return segment if count_held() <= self._most else segment.view().tobytes()

"""Transfers: large messages on their way out of one connection, in parts and under credit.

Where there is a bulk connection a transfer may take it. It begins on its stream all the same: the
first part tells what is to come, in the order of the stream, and *asks*; when the answer comes, what
was said before it has been heard, so nothing overtakes anything. Where the bulk connection breaks, or
nothing moves on it any more, the transfer begins anew on the stream.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import Enum

from ctrlhub.wire.limits import (
    BULK_FIRST_BYTES,
    BULK_PART_BYTES,
    BULK_WINDOW,
    PART_BYTES,
    PARTS_WINDOW,
    WHOLE_BYTES,
)
from ctrlhub.wire.messages import (
    Buffer,
    Command,
    Message,
    Part,
    PartsTaken,
    StartHook,
    SubmitTasks,
)
from ctrlhub.wire.segments import Segment, nbytes_of

IN_ORDER = frozenset({Command, StartHook, SubmitTasks})
"""What must not overtake another of these: an engine's commands run in order, and a task may name tasks
that were submitted before it."""


def is_large(frames: Sequence[Buffer]) -> bool:
    """Tell whether a message goes in parts, where its receiver takes them."""
    return len(frames) > 1 and sum(map(nbytes_of, frames)) > WHOLE_BYTES


class Way(Enum):
    """How the rest of a transfer travels."""

    STREAM = "by its stream"
    ASKED = "by the bulk connection, if the other side says so"
    BULK = "by the bulk connection"


@dataclass(frozen=True, slots=True)
class Piece:
    """A part of a segment, which is read when it is about to leave."""

    segment: Segment
    start: int
    nbytes: int

    def read(self) -> bytes:
        """Read it; it is not mapped, since what is mapped counts as this process's memory."""
        return self.segment.read(self.start, self.nbytes)


def nbytes_of_chunk(chunk: Buffer) -> int:
    """Return how many bytes a part carries, without reading them."""
    return chunk.nbytes if type(chunk) is Piece else memoryview(chunk).nbytes


def bytes_of(chunk: Buffer, room: bytearray) -> memoryview:
    """Return what a part carries; `room` is for what has to be read."""
    if type(chunk) is not Piece:
        return memoryview(chunk).cast("B")
    place = memoryview(room)[: chunk.nbytes]
    chunk.segment.read_into(place, chunk.start)
    return place


class Transfer:
    """A large message, cut into parts.

    Parameters
    ----------
    number
        Its name on the connection.
    frames
        What is to be sent.
    way
        How; `Way.BULK` has to be asked for.
    """

    __slots__ = ("_at", "_index", "frames", "number", "seen", "sent", "sizes", "taken", "total", "way")

    def __init__(self, number: int, frames: Sequence[Buffer], way: Way) -> None:
        self.number = number
        self.frames = frames
        self.way = way
        self.sizes = [nbytes_of(frame) for frame in frames]
        self.total = sum(self.sizes)
        self.sent = self.taken = 0
        self.seen = -1, 0.0
        self._index = self._at = 0

    def parts(self) -> Iterator[Part]:
        """Yield what there is credit for."""
        if self.way is Way.ASKED:
            if not self.sent:
                first = self._read(BULK_FIRST_BYTES)
                yield Part(self.number, 0, self.sizes, True, [first])
            return
        by_bulk = self.way is Way.BULK
        size, window = (BULK_PART_BYTES, BULK_WINDOW) if by_bulk else (PART_BYTES, PARTS_WINDOW)
        while self.sent < self.total and self.sent - self.taken < window:
            offset = self.sent
            chunk = self._read(min(size, self.total - offset))
            yield Part(self.number, offset, () if offset else self.sizes, by_bulk, [chunk])

    def has_stood_still(self, now: float, patience: float) -> bool:
        """Tell whether nothing of it was taken for so long (seconds); it is looked at now and then."""
        taken, since = self.seen
        if taken != self.taken:
            self.seen = self.taken, now
            return False
        return now - since >= patience

    def _read(self, wanted: int) -> Buffer:
        self.sent += wanted
        pieces: list[Buffer] = []
        while wanted:
            nbytes = min(wanted, self.sizes[self._index] - self._at)
            if nbytes:
                pieces.append(self._piece(self.frames[self._index], self._at, nbytes))
            wanted -= nbytes
            self._at += nbytes
            if self._at == self.sizes[self._index]:
                self._index, self._at = self._index + 1, 0
        return pieces[0] if len(pieces) == 1 else b"".join(map(_read, pieces))

    def _piece(self, frame: Buffer, start: int, nbytes: int) -> Buffer:
        if type(frame) is not Segment:
            return memoryview(frame).cast("B")[start : start + nbytes]
        piece = Piece(frame, start, nbytes)
        return piece if self.way is Way.BULK else piece.read()


def _read(piece: Buffer) -> Buffer:
    return piece.read() if type(piece) is Piece else piece


class Outgoing:
    """What one connection has to wait with: large messages, and what must not overtake them.

    Parameters
    ----------
    numbers
        Names for transfers.
    """

    def __init__(self, numbers: Iterator[int]) -> None:
        self._numbers = numbers
        self._queue: deque[tuple[Message, Sequence[Buffer] | None]] = deque()
        self._transfer: Transfer | None = None
        self._message: Message | None = None
        self._first = Way.STREAM

    def __bool__(self) -> bool:
        return self._transfer is not None

    def offer(
        self, message: Message, frames: Sequence[Buffer], *, bulk: bool = False
    ) -> list[Message] | None:
        """Take a message if it has to go in parts or to wait.

        Parameters
        ----------
        message, frames
            The message, and as what it travels.
        bulk
            There may be a bulk connection for its parts, and those of what waits.

        Returns
        -------
        list of Message or None
            What is to be sent now; None if that is the message itself, as it is.
        """
        if is_large(frames):
            self._first = Way.ASKED if bulk else Way.STREAM
            self._queue.append((message, frames))
        elif type(message) in IN_ORDER and self._has_before():
            self._queue.append((message, None))
        else:
            return None
        return self._advance()

    def taken(self, message: PartsTaken) -> list[Message]:
        """Take credit, or an answer; return what is to be sent now."""
        transfer = self._transfer
        if transfer is None or message.transfer != transfer.number:
            return []  # of one that ended with its connection, or began anew
        if transfer.way is Way.ASKED:
            transfer.way = Way.BULK if message.bulk else Way.STREAM
        transfer.taken = max(transfer.taken, min(message.nbytes, transfer.sent))
        if transfer.taken == transfer.total:
            self._transfer = self._message = None
        return self._advance()

    def begin_anew(self) -> list[Message]:
        """Have what was to go by the bulk connection begin on its stream; return what is to be sent now."""
        transfer, self._first = self._transfer, Way.STREAM
        if transfer is None or transfer.way is Way.STREAM:
            return []
        self._transfer = Transfer(next(self._numbers), transfer.frames, Way.STREAM)
        return list(self._transfer.parts())

    def has_stood_still(self, now: float, patience: float) -> bool:
        """Tell whether nothing moves any more of what was to go by the bulk connection."""
        transfer = self._transfer
        if transfer is None or transfer.way is Way.STREAM:
            return False
        return transfer.has_stood_still(now, patience)

    def _has_before(self) -> bool:
        waiting = [message for message, _ in self._queue]
        return any(type(m) in IN_ORDER for m in (*waiting, self._message))

    def _advance(self) -> list[Message]:
        ready: list[Message] = []
        while self._transfer is None and self._queue:
            message, frames = self._queue.popleft()
            if frames is None:
                ready.append(message)
            else:
                self._message = message
                self._transfer = Transfer(next(self._numbers), frames, self._first)
        if self._transfer is not None:
            ready.extend(self._transfer.parts())
        return ready

"""Parts: a large message that travels in pieces, under credit, past which others find their way.

What cannot be handed over in shared memory crosses the network. As one message it would stand whole in
the memory of its receiver's transport, keep its encryption busy for seconds, and have everything behind
it on its stream wait. So it is cut into parts. The receiver says how much it has taken, and no more
than a window is ever under way; so who does not read costs its sender a window, and what is said
meanwhile goes between the parts.

Two messages whose order matters (`IN_ORDER`) keep it: the later one waits. All others have none, or
carry what tells it.

A transfer lives as long as the connection that it began on. After a hello everything that was not
acknowledged is said again, transfers included; so there is nothing to be resumed.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import count
from typing import Generic, Protocol, TypeVar

from ctrlhub.wire.errors import InvalidRequest
from ctrlhub.wire.limits import (
    MAX_FRAME_BYTES,
    MAX_FRAMES,
    MAX_HEADER_BYTES,
    PART_BYTES,
    PARTS_WINDOW,
    SEGMENT_BYTES,
    WHOLE_BYTES,
)
from ctrlhub.wire.messages import (
    Buffer,
    Command,
    Hello,
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

Key = TypeVar("Key")


class NoRoom(Exception):
    """There is no memory to gather a message in.

    Attributes
    ----------
    header, count
        The message's header, and how many frames follow it.
    """

    def __init__(self, header: bytes, count: int) -> None:
        super().__init__(f"a message of {count} frames")
        self.header = header
        self.count = count


class Sink(Protocol):
    """Where a large frame is gathered."""

    def write(self, chunk: Buffer) -> None:
        """Add to its end."""

    def finish(self) -> Buffer:
        """Return it once it is complete."""


class Memory:
    """Gathers a frame in this process's memory, which grows by what has come."""

    def __init__(self, nbytes: int) -> None:
        self._data = bytearray()

    def write(self, chunk: Buffer) -> None:
        """Add to its end."""
        self._data += chunk

    def finish(self) -> Buffer:
        """Return it; what is small never changes."""
        return bytes(self._data) if len(self._data) < SEGMENT_BYTES else self._data


def is_large(frames: Sequence[Buffer]) -> bool:
    """Tell whether a message goes in parts, where its receiver takes them."""
    return len(frames) > 1 and sum(map(nbytes_of, frames)) > WHOLE_BYTES


def whole(frames: Iterable[Buffer]) -> list[Buffer]:
    """Return the frames of a large message for a receiver that takes no parts."""
    return [frame.view() if type(frame) is Segment else frame for frame in frames]


# ---------------------------------------------------------------- going out


class _Transfer:
    __slots__ = ("_at", "_index", "frames", "number", "sent", "sizes", "taken", "total")

    def __init__(self, number: int, frames: Sequence[Buffer]) -> None:
        self.number = number
        self.frames = frames
        self.sizes = [nbytes_of(frame) for frame in frames]
        self.total = sum(self.sizes)
        self.sent = self.taken = 0
        self._index = self._at = 0

    def parts(self) -> Iterator[Part]:
        """Yield what there is credit for."""
        while self.sent < self.total and self.sent - self.taken < PARTS_WINDOW:
            offset = self.sent
            chunk = self._read(min(PART_BYTES, self.total - offset))
            yield Part(self.number, offset, () if offset else self.sizes, [chunk])

    def _read(self, wanted: int) -> Buffer:
        self.sent += wanted
        pieces: list[Buffer] = []
        while wanted:
            nbytes = min(wanted, self.sizes[self._index] - self._at)
            if nbytes:
                pieces.append(_piece(self.frames[self._index], self._at, nbytes))
            wanted -= nbytes
            self._at += nbytes
            if self._at == self.sizes[self._index]:
                self._index, self._at = self._index + 1, 0
        return pieces[0] if len(pieces) == 1 else b"".join(map(memoryview, pieces))


def _piece(frame: Buffer, start: int, nbytes: int) -> Buffer:
    if type(frame) is Segment:  # read, not mapped: what is mapped counts as this process's memory
        return frame.read(start, nbytes)
    return memoryview(frame).cast("B")[start : start + nbytes]


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
        self._transfer: _Transfer | None = None
        self._message: Message | None = None

    def __bool__(self) -> bool:
        return self._transfer is not None

    def offer(self, message: Message, frames: Sequence[Buffer]) -> list[Message] | None:
        """Take a message if it has to go in parts or to wait.

        Returns
        -------
        list of Message or None
            What is to be sent now; None if that is the message itself, as it is.
        """
        if is_large(frames):
            self._queue.append((message, frames))
        elif type(message) in IN_ORDER and self._has_before():
            self._queue.append((message, None))
        else:
            return None
        return self._advance()

    def taken(self, message: PartsTaken) -> list[Message]:
        """Take credit; return what is to be sent now."""
        transfer = self._transfer
        if transfer is None or message.transfer != transfer.number:
            return []  # of one that ended with its connection
        transfer.taken = max(transfer.taken, min(message.nbytes, transfer.sent))
        if transfer.taken == transfer.total:
            self._transfer = self._message = None
        return self._advance()

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
                self._transfer = _Transfer(next(self._numbers), frames)
        if self._transfer is not None:
            ready.extend(self._transfer.parts())
        return ready


# ---------------------------------------------------------------- coming in


class Incoming:
    """A message of which parts come in.

    Parameters
    ----------
    part
        The first one, which tells the sizes of the frames.
    make
        Makes what gathers a frame of so many bytes, if that is large.

    Raises
    ------
    InvalidRequest
        It is no first part.
    """

    def __init__(self, part: Part, make: Callable[[int], Sink]) -> None:
        sizes = part.sizes
        if part.offset or not 1 < len(sizes) <= MAX_FRAMES + 1 or min(sizes) < 0:
            raise InvalidRequest("part: it is not the first one of a message")
        if max(sizes) > MAX_FRAME_BYTES or sizes[0] > MAX_HEADER_BYTES:
            raise InvalidRequest(f"part: of a frame of {max(sizes)} bytes")
        self.number = part.transfer
        self._sizes = sizes
        self._total = sum(sizes)
        self._make = make
        self._frames: list[Buffer] = []
        self._sink: Sink | None = None
        self._missing = 0
        self._got = self._told = 0

    def take(self, part: Part) -> PartsTaken | None:
        """Take a part; return what its sender is to be told of it."""
        chunk = memoryview(part.frames[0]).cast("B") if len(part.frames) == 1 else memoryview(b"")
        if part.offset != self._got or not 0 < len(chunk) <= self._total - self._got:
            raise InvalidRequest("part: it does not follow the one before")
        self._got += len(chunk)
        while chunk or self._is_at_empty_frame():
            chunk = chunk[self._gather(chunk) :]
        if self._got - self._told < PARTS_WINDOW // 4 and self._got < self._total:
            return None
        self._told = self._got
        return PartsTaken(self.number, self._got)

    def _is_at_empty_frame(self) -> bool:
        index = len(self._frames)
        return self._sink is None and index < len(self._sizes) and not self._sizes[index]

    def _gather(self, chunk: memoryview) -> int:
        if self._sink is None:
            self._missing = self._sizes[len(self._frames)]
            is_small = self._missing < SEGMENT_BYTES or not self._frames
            self._sink = Memory(self._missing) if is_small else self._make(self._missing)
        nbytes = min(len(chunk), self._missing)
        if nbytes:
            self._sink.write(chunk[:nbytes])
        self._missing -= nbytes
        if not self._missing:
            self._frames.append(self._sink.finish())
            self._sink = None
        return nbytes

    @property
    def is_known(self) -> bool:
        """Whether the header has come."""
        return bool(self._frames)

    def known(self) -> tuple[bytes, int]:
        """Return the header, and how many frames follow it."""
        return bytes(self._frames[0]), len(self._sizes) - 1

    @property
    def frames(self) -> list[Buffer] | None:
        """The frames of the message, header first; None while some are missing."""
        return self._frames if len(self._frames) == len(self._sizes) else None


# ---------------------------------------------------------------- both


class Flows(Generic[Key]):
    """The transfers of all connections of a process.

    Parameters
    ----------
    make
        Makes what gathers a large frame.

    Attributes
    ----------
    outgoing : dict
        The connections that have something to wait with.
    """

    def __init__(self, make: Callable[[int], Sink] = Memory) -> None:
        self._make = make
        self._numbers = count(1)
        self.outgoing: dict[Key, Outgoing] = {}
        self._incoming: dict[Key, Incoming] = {}

    def offer(
        self, key: Key, message: Message, frames: Sequence[Buffer]
    ) -> list[Message] | None:
        """Take a message that has to go in parts or to wait; as `Outgoing.offer`."""
        outgoing = self.outgoing.get(key)
        if outgoing is None:
            if not is_large(frames):
                return None
            outgoing = self.outgoing[key] = Outgoing(self._numbers)
        elif type(message) is Hello:
            self.drop(key)
            return None
        return outgoing.offer(message, frames)

    def taken(self, key: Key, message: PartsTaken) -> list[Message]:
        """Take credit from the other side; return what is to be sent now."""
        outgoing = self.outgoing.get(key)
        if outgoing is None:
            return []
        ready = outgoing.taken(message)
        if not outgoing:
            del self.outgoing[key]
        return ready

    def take(self, key: Key, part: Part) -> tuple[list[Buffer] | None, PartsTaken | None]:
        """Take a part; return the frames of the message if it was the last one, and what to answer.

        Raises
        ------
        InvalidRequest
            It does not belong here.
        NoRoom
            The system has no more memory.
        """
        incoming = self._incoming.get(key)
        try:
            if not part.offset:
                incoming = self._incoming[key] = Incoming(part, self._make)
            if incoming is None or incoming.number != part.transfer:
                return None, None  # of one that was given up
            answer = incoming.take(part)
        except (OSError, MemoryError) as error:
            self._incoming.pop(key, None)
            if incoming is None or not incoming.is_known:
                raise
            raise NoRoom(*incoming.known()) from error
        except Exception:
            self._incoming.pop(key, None)
            raise
        if incoming.frames is not None:
            del self._incoming[key]
        return incoming.frames, answer

    def drop(self, key: Key) -> None:
        """Give up the transfers of a connection."""
        self.outgoing.pop(key, None)
        self._incoming.pop(key, None)

    def connections(self) -> set[Key]:
        """Return the connections with transfers."""
        return {*self.outgoing, *self._incoming}

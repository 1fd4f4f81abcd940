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

from collections.abc import Callable, Iterable, Sequence
from itertools import count
from typing import Generic, Protocol, TypeVar

from ctrlhub.wire.errors import InvalidRequest
from ctrlhub.wire.limits import (
    BULK_WINDOW,
    MAX_FRAME_BYTES,
    MAX_FRAMES,
    MAX_HEADER_BYTES,
    PARTS_WINDOW,
    SEGMENT_BYTES,
)
from ctrlhub.wire.messages import Buffer, Hello, Message, Part, PartsTaken
from ctrlhub.wire.segments import Segment
from ctrlhub.wire.transfers import Outgoing, is_large

BULK_PATIENCE = 10.0
"""Seconds in which something of what goes by a bulk connection is taken: else it is taken for broken."""

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


def whole(frames: Iterable[Buffer]) -> list[Buffer]:
    """Return the frames of a large message for a receiver that takes no parts."""
    return [frame.view() if type(frame) is Segment else frame for frame in frames]


# ---------------------------------------------------------------- coming in


class Incoming:
    """A message of which parts come in.

    Parameters
    ----------
    part
        The first one, which tells the sizes of the frames.
    make
        Makes what gathers a frame of so many bytes, if that is large.

    Attributes
    ----------
    asks : bool
        Whether the others may come over the bulk connection is to be answered.

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
        self._told_each = PARTS_WINDOW // 4
        self.asks = part.bulk

    def take(self, part: Part) -> PartsTaken | None:
        """Take a part; return what its sender is to be told of it."""
        chunk = memoryview(part.frames[0]).cast("B") if len(part.frames) == 1 else memoryview(b"")
        if part.offset != self._got or not 0 < len(chunk) <= self._total - self._got:
            raise InvalidRequest("part: it does not follow the one before")
        self._got += len(chunk)
        while chunk or self._is_at_empty_frame():
            chunk = chunk[self._gather(chunk) :]
        waits = self.asks or self._got - self._told < self._told_each
        if waits and self._got < self._total:
            return None
        self._told = self._got
        return PartsTaken(self.number, self._got)

    def answer(self, *, bulk: bool) -> PartsTaken:
        """Answer a first part that asks for the bulk connection."""
        self.asks = False
        self._told = self._got
        if bulk:
            self._told_each = BULK_WINDOW // 4
        return PartsTaken(self.number, self._got, bulk)

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
    make : callable
        Makes what gathers a large frame, from now on.
    outgoing : dict
        The connections that have something to wait with.
    """

    def __init__(self, make: Callable[[int], Sink] = Memory) -> None:
        self.make = make
        self._numbers = count(1)
        self.outgoing: dict[Key, Outgoing] = {}
        self._incoming: dict[Key, Incoming] = {}

    def offer(
        self, key: Key, message: Message, frames: Sequence[Buffer], *, bulk: bool = False
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
        return outgoing.offer(message, frames, bulk=bulk)

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
                incoming = self._incoming[key] = Incoming(part, self.make)
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

    @property
    def is_gathering(self) -> bool:
        """Whether there is a message of which some has come."""
        return bool(self._incoming)

    def asking(self) -> list[Key]:
        """Return where the other side waits to hear if it may use the bulk connection."""
        return [key for key, incoming in self._incoming.items() if incoming.asks]

    def answer(self, key: Key, *, bulk: bool) -> PartsTaken:
        """Tell the other side whether it may use the bulk connection."""
        return self._incoming[key].answer(bulk=bulk)

    def begin_anew(self, key: Key) -> list[Message]:
        """Have what was to go by the bulk connection go by its stream; return what is to be sent now."""
        outgoing = self.outgoing.get(key)
        return outgoing.begin_anew() if outgoing is not None else []

    def has_stood_still(self, key: Key, now: float) -> bool:
        """Tell whether nothing moves any more of what was to go by the bulk connection."""
        outgoing = self.outgoing.get(key)
        return outgoing is not None and outgoing.has_stood_still(now, BULK_PATIENCE)

    def drop(self, key: Key) -> None:
        """Give up the transfers of a connection."""
        self.outgoing.pop(key, None)
        self._incoming.pop(key, None)

    def connections(self) -> set[Key]:
        """Return the connections with transfers."""
        return {*self.outgoing, *self._incoming}

"""A bulk connection: parts of large messages, sealed, beside the streams. A machine without I/O.

A peer that came over TCP may open one TCP connection to the hub beside its streams, over which the
parts of its large messages travel, under keys that follow from a secret it got with its registration
(`ctrlhub.wire.sealed`). Everything else stays on the streams: what a message is, in which order, and
how much of it was taken. So a bulk connection can break at any time, or not come about at all: what
was on its way on it begins anew on its stream.

::

    peer                                   hub
      | -- magic, ticket, drawn ----------> |    the ticket names the session
      | <- drawn -------------------------- |
      | -- sealed: ready -----------------> |    nobody else knows the secret
      | <- sealed: ready ------------------ |
      | <- sealed: parts -----------------> |

A record is a head (`HEAD`), which is readable, and a sealed body. The machine says how many bytes it
wants next, and no more than a part is ever wanted, of somebody who has shown that it is a peer.
"""

from __future__ import annotations

import struct
from collections import deque
from collections.abc import Callable
from enum import Enum
from hmac import compare_digest
from typing import NamedTuple

from ctrlhub.wire.errors import AuthenticationError, InvalidRequest
from ctrlhub.wire.limits import BULK_PART_BYTES
from ctrlhub.wire.messages import Buffer, Part, Stream
from ctrlhub.wire.sealed import SECRET_BYTES, TAG_BYTES, Keys, Seal
from ctrlhub.wire.transfers import bytes_of

_KEPT_ROOMS = 4

MAGIC = b"ctrl-hub bulk 1\n"
TICKET_BYTES = 16
DRAWN_BYTES = 32
HELLO_BYTES = len(MAGIC) + TICKET_BYTES + DRAWN_BYTES

HEAD = struct.Struct(">IIQQ")
"""Bytes of the sealed body, which stream, which transfer, and the offset in it."""

STREAMS = {1: Stream.MULTIENGINE, 2: Stream.TASK}
_NUMBERS = {stream: number for number, stream in STREAMS.items()}

_READY = HEAD.pack(TAG_BYTES, 0, 0, 0)
"""The head of the record that shows that its sender has the keys; its body is empty."""


class Pass(NamedTuple):
    """What lets a peer's connection in: the ticket names its session, the secret proves it."""

    ticket: bytes
    secret: bytes

    @classmethod
    def of(cls, text: bytes) -> Pass:
        """Take apart what a registration brought.

        Raises
        ------
        ValueError
            It is none.
        """
        if len(text) != TICKET_BYTES + SECRET_BYTES:
            raise ValueError(f"a pass of {len(text)} bytes")
        return cls(text[:TICKET_BYTES], text[TICKET_BYTES:])


class Rooms:
    """Buffers for parts, which are used again: those of all connections of one thread.

    Attributes
    ----------
    unsealed
        For what is read to be sealed, at once.
    opened
        For what was opened; it is taken on before anything else is opened.
    """

    def __init__(self) -> None:
        self.unsealed = bytearray()
        self.opened = bytearray()
        self._free: list[bytearray] = []

    def prepare(self) -> None:
        """Have both large enough for a part."""
        if not self.opened:
            self.unsealed, self.opened = bytearray(BULK_PART_BYTES), bytearray(BULK_PART_BYTES)

    def take(self) -> bytearray:
        """Take a buffer for a sealed part."""
        return self._free.pop() if self._free else bytearray(BULK_PART_BYTES + TAG_BYTES)

    def give_back(self, room: bytearray) -> None:
        """Keep a buffer for the next, if there are few."""
        if len(self._free) < _KEPT_ROOMS:
            self._free.append(room)


class Arrived(NamedTuple):
    """A part that has come, and the stream that it belongs to."""

    stream: Stream
    part: Part


class _Wait(Enum):
    """What comes next."""

    HELLO = "hello"
    DRAWN = "drawn"
    READY = "ready"
    HEAD = "head"
    BODY = "body"


class Channel:
    """One end of a bulk connection; `PeerEnd` and `HubEnd` begin it.

    Parameters
    ----------
    rooms
        Buffers for parts.

    Attributes
    ----------
    wants : int
        How many bytes are to be read next, for `take`.
    unsent : deque
        What is to be written, in order.
    is_ready : bool
        Both sides have shown that they have the keys.
    """

    def __init__(self, rooms: Rooms) -> None:
        self.unsent: deque[Buffer] = deque()
        self._rooms = rooms
        self._room: bytearray | None = None
        self.is_ready = False
        self.wants = 0
        self._wait = _Wait.HEAD
        self._head = b""
        self._stream: Stream | None = None
        self._out: Seal | None = None
        self._in: Seal | None = None

    def take(self, data: Buffer) -> Arrived | None:
        """Take the bytes that were wanted; return the part that they complete, if any.

        Its bytes stand in a buffer that is used again: they are to be taken on at once.

        Raises
        ------
        AuthenticationError, InvalidRequest
            It is not what a peer says: the connection is to be closed.
        """
        if len(data) != self.wants:
            raise ValueError(f"{len(data)} bytes, of {self.wants}")
        if self._wait is _Wait.HEAD:
            self._take_head(bytes(data))
        elif self._wait is _Wait.BODY:
            return self._take_body(data)
        elif self._wait is _Wait.READY:
            self._take_ready(bytes(data))
        else:
            self._greeted(bytes(data))
        return None

    def seal(self, stream: Stream, part: Part) -> None:
        """Seal a part, to be written next, when all before it is written."""
        assert self._out is not None  # who is ready has keys
        assert not self.unsent
        [chunk] = part.frames
        self._rooms.prepare()
        body = bytes_of(chunk, self._rooms.unsealed)
        length = body.nbytes + TAG_BYTES
        head = HEAD.pack(length, _NUMBERS[stream], part.transfer, part.offset)
        self._room = self._room or self._rooms.take()
        self.unsent += (head, self._out.close(head, body, self._room))

    def rest(self) -> None:
        """Give back what is not needed while nothing is sent."""
        if self._room is not None and not self.unsent:
            self._rooms.give_back(self._room)
            self._room = None

    @property
    def is_used_up(self) -> bool:
        """Whether it must carry no more."""
        return self._out is not None and self._out.is_used_up

    def _expect(self, wait: _Wait, nbytes: int) -> None:
        self._wait, self.wants = wait, nbytes

    def _say_ready(self) -> None:
        assert self._out is not None
        self.unsent += (_READY, self._out.close(_READY, b""))

    def _greeted(self, data: bytes) -> None:
        raise NotImplementedError

    def _take_ready(self, data: bytes) -> None:
        assert self._in is not None
        head, body = data[: HEAD.size], data[HEAD.size :]
        if head != _READY:
            raise AuthenticationError("a bulk connection does not begin as it should")
        self._in.open(head, body)
        self.is_ready = True
        self._expect(_Wait.HEAD, HEAD.size)

    def _take_head(self, head: bytes) -> None:
        length, number, _, _ = HEAD.unpack(head)
        # Nothing of it is proven yet: it must not be believed how much is to be kept for it.
        if not TAG_BYTES < length <= BULK_PART_BYTES + TAG_BYTES:
            raise InvalidRequest(f"a record of {length} bytes on a bulk connection")
        self._stream = STREAMS.get(number)
        if self._stream is None:
            raise InvalidRequest(f"a record of stream {number} on a bulk connection")
        self._head = head
        self._expect(_Wait.BODY, length)

    def _take_body(self, data: Buffer) -> Arrived:
        assert self._in is not None
        assert self._stream is not None
        self._rooms.prepare()
        chunk = self._in.open(self._head, data, self._rooms.opened)
        _, _, transfer, offset = HEAD.unpack(self._head)
        self._expect(_Wait.HEAD, HEAD.size)
        return Arrived(self._stream, Part(transfer, offset, (), frames=(chunk,)))


class PeerEnd(Channel):
    """The end of who opens the connection.

    Parameters
    ----------
    let_in
        What the hub gave.
    drawn
        `DRAWN_BYTES` that were never used before.
    rooms
        Buffers for parts.
    """

    def __init__(self, let_in: Pass, drawn: bytes, rooms: Rooms) -> None:
        super().__init__(rooms)
        self._secret = let_in.secret
        self._hello = MAGIC + let_in.ticket + drawn
        self.unsent.append(self._hello)
        self._expect(_Wait.DRAWN, DRAWN_BYTES)

    def _greeted(self, data: bytes) -> None:
        keys = Keys(self._secret, self._hello + data)
        self._out, self._in = Seal(keys.to_hub), Seal(keys.to_peer)
        self._say_ready()
        self._expect(_Wait.READY, HEAD.size + TAG_BYTES)


class HubEnd(Channel):
    """The hub's end.

    Parameters
    ----------
    secret_of
        Gives the secret of the session that a ticket names; None if there is none.
    drawn
        `DRAWN_BYTES` that were never used before.
    rooms
        Buffers for parts.

    Attributes
    ----------
    ticket : bytes
        Who it says it is.
    """

    def __init__(
        self, secret_of: Callable[[bytes], bytes | None], drawn: bytes, rooms: Rooms
    ) -> None:
        super().__init__(rooms)
        self.ticket = b""
        self._secret_of = secret_of
        self._drawn = drawn
        self._expect(_Wait.HELLO, HELLO_BYTES)

    def _greeted(self, data: bytes) -> None:
        if not compare_digest(data[: len(MAGIC)], MAGIC):
            raise AuthenticationError("what comes is no bulk connection of this protocol")
        self.ticket = data[len(MAGIC) : len(MAGIC) + TICKET_BYTES]
        secret = self._secret_of(self.ticket)
        if secret is None:
            raise AuthenticationError("a bulk connection of no session")
        self.unsent.append(self._drawn)
        keys = Keys(secret, data + self._drawn)
        self._in, self._out = Seal(keys.to_hub), Seal(keys.to_peer)
        self._expect(_Wait.READY, HEAD.size + TAG_BYTES)

    def _take_ready(self, data: bytes) -> None:
        super()._take_ready(data)
        self._say_ready()

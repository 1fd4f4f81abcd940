"""What peers have begun to say and not ended: how much memory it may take, and for how long.

Who finds no room for more is not read from until there is some. All that takes room comes whole in its
time, or is given up; so there will be.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable

from tornado.websocket import WebSocketProtocol13

from ctrlhub.gateway.paced import Paced

FREE = 64 * 1024
"""A message up to this size (bytes) needs no room."""

MOST_HEAD = 8
"""The most bytes of a frame's head that are read at once."""

FRAME_RATE, FRAME_BURST = 200.0, 4000.0
"""So many frames that bring no message are read of a peer in a second, and at once: a proxy may cut large ones."""

PATIENCE, LEAST_SPEED = 30.0, 16 * 1024
"""A message has to be whole in so many seconds, and one more for each so many of its bytes."""


class Room:
    """Room for messages that are under way.

    Parameters
    ----------
    most
        How much there is (bytes); no message may need more.
    """

    def __init__(self, most: int) -> None:
        self._left = most
        self._waiting: deque[tuple[int, asyncio.Future[None]]] = deque()

    async def take(self, size: int, held: int = 0) -> None:
        """Take some: at once who holds some already and ends the sooner, others when those before them have theirs."""
        if size <= self._left and (held or not self._waiting):
            self._left -= size
            return
        granted = asyncio.get_running_loop().create_future()
        if held:
            self._waiting.appendleft((size, granted))
        else:
            self._waiting.append((size, granted))
        try:
            await granted
        except asyncio.CancelledError:
            if granted.done() and not granted.cancelled():
                self.give(size)
            raise

    def give(self, size: int) -> None:
        """Give some back, to who waits."""
        self._left += size
        while self._waiting and self._waiting[0][0] <= self._left:
            wanted, granted = self._waiting.popleft()
            if not granted.done():
                self._left -= wanted
                granted.set_result(None)


class Reading(Paced):
    """A WebSocket whose large messages need room.

    Parameters
    ----------
    like
        What it is apart from that.
    room
        The room.
    clock
        Gives the time in seconds.
    """

    def __init__(self, like: WebSocketProtocol13, room: Room, clock: Callable[[], float]) -> None:
        super().__init__(like, clock, FRAME_RATE, FRAME_BURST)
        self._room = room
        self._size = self._held = 0
        self._began: float | None = None

    def is_overdue(self, now: float) -> bool:
        """Whether a message is under way, and should be whole by now."""
        return self._began is not None and now - self._began > PATIENCE + self._size / LEAST_SPEED

    async def _read_bytes(self, n: int) -> bytes:
        """Read what a frame has next: the head of a frame alone is nothing yet."""
        if n > MOST_HEAD or self._size or self._fragmented_message_buffer is not None:
            self._size += n
            if self._size > FREE:
                more = self._size - self._held
                await self._room.take(more, self._held)
                self._held += more
            if self._began is None:
                self._began = self._clock()
        return await super()._read_bytes(n)

    def _handle_message(self, opcode: int, data: bytes) -> asyncio.Future[None] | None:
        """Hand on a message that is whole; it takes room until it has gone."""
        if self._fragmented_message_buffer is None:
            self._began = None
        return super()._handle_message(opcode, data)

    async def _receive_frame(self) -> None:
        await super()._receive_frame()
        if self._fragmented_message_buffer is None:
            self._is_over()

    async def _receive_frame_loop(self) -> None:
        try:
            await super()._receive_frame_loop()
        finally:
            # What has come goes now: the connection's objects refer to each other, and stay until they are collected.
            self._fragmented_message_buffer = None
            self.stream._read_buffer = bytearray()
            self._is_over()

    def _is_over(self) -> None:
        held, self._held, self._size, self._began = self._held, 0, 0, None
        if held:
            self._room.give(held)

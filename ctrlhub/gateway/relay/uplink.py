"""A peer's way to the hub: sockets of its own, so that the hub sees its connections as any other's.

What the hub sends waits in these sockets, and then in the hub, under the credit that it gives to each
client, as long as the peer does not take it: only so much as `HELD` says is ever here.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import zmq

from ctrlhub.wire.messages import Buffer, Stream

HELD: Mapping[Stream, int] = {
    Stream.HUB: 256, Stream.MULTIENGINE: 8, Stream.TASK: 8, Stream.IOPUB: 64,
}  # fmt: skip
"""The most messages of each stream that wait here for a peer that does not take them."""

UNSENT = 16
"""The most messages of a stream that wait here for a hub that does not take them."""

BUDGET = 64
"""The most messages of a stream that are moved before others have their turn."""

LINGER_MS = 1000
"""How long what a peer said last, its goodbye for instance, has to leave."""

NOBLOCK = int(zmq.NOBLOCK)
MORE = int(zmq.SNDMORE | zmq.NOBLOCK)
EVENTS = zmq.EVENTS

_send_frame = zmq.backend.Socket.send

ORDER = (Stream.MULTIENGINE, Stream.TASK, Stream.IOPUB, Stream.HUB)
"""The order in which streams are read, as in `ctrlhub.link.zeromq`."""


class Uplink:
    """One peer's connections to the hub; used in the gateway's loop alone.

    Parameters
    ----------
    context
        The gateway's ZeroMQ context.
    addresses
        The hub's, over ipc.
    deliver
        Gets each message of the hub's.
    has_room
        Says whether the peer takes more; if not, `resume` is called once it does.
    """

    def __init__(
        self,
        context: zmq.Context[Any],
        addresses: Mapping[Stream, str],
        deliver: Callable[[Stream, Sequence[Buffer]], None],
        has_room: Callable[[], bool],
    ) -> None:
        self._deliver = deliver
        self._has_room = has_room
        self._loop = asyncio.get_running_loop()
        self._sockets: dict[Stream, zmq.Socket[bytes]] = {}
        self._readers: list[int] = []
        self._is_due = False
        self._waiting: asyncio.Future[None] | None = None
        try:
            for stream in ORDER:
                self._open(context, stream, addresses[stream])
        except BaseException:
            self.close()
            raise

    def _open(self, context: zmq.Context[Any], stream: Stream, address: str) -> None:
        made = context.socket(zmq.DEALER)
        self._sockets[stream] = made
        made.setsockopt(zmq.LINGER, LINGER_MS)
        made.setsockopt(zmq.SNDHWM, UNSENT)
        made.setsockopt(zmq.RCVHWM, HELD[stream])
        made.connect(address)
        descriptor = int(made.getsockopt(zmq.FD))
        self._loop.add_reader(descriptor, self._signalled)
        self._readers.append(descriptor)

    def send(self, stream: Stream, frames: Sequence[Buffer]) -> bool:
        """Send a message; tell whether there was room for it."""
        found = self._sockets.get(stream)
        if found is None:
            return True  # it is closed: whoever spoke has gone
        last = len(frames) - 1
        try:
            _send_frame(found, frames[0], MORE if last else NOBLOCK)
        except zmq.Again:
            return False
        for index in range(1, last + 1):  # a message that has begun is taken whole
            _send_frame(found, frames[index], MORE if index < last else NOBLOCK, False)
        self._soon()  # the descriptor may have told of an answer just now
        return True

    async def room(self) -> None:
        """Wait until there may be room for a message again, or nobody asks for it any more."""
        if self._waiting is None:
            self._waiting = self._loop.create_future()
        self._soon()
        await self._waiting

    def resume(self) -> None:
        """Take what waits: there is room for it."""
        self._soon()

    def close(self) -> None:
        """Close it; what was sent has a moment to leave. Twice is harmless."""
        for descriptor in self._readers:
            self._loop.remove_reader(descriptor)
        self._readers.clear()
        for found in self._sockets.values():
            found.close()
        self._sockets.clear()
        self._let_go()

    def _let_go(self) -> None:
        if self._waiting is not None:
            self._waiting.set_result(None)
            self._waiting = None

    def _soon(self) -> None:
        if not self._is_due:
            self._is_due = True
            self._loop.call_soon(self._pump)

    def _signalled(self) -> None:
        self._pump()

    def _pump(self) -> None:
        """Take what the hub has sent, as far as there is room: the descriptors tell of it once only."""
        self._is_due = False
        for stream, found in tuple(self._sockets.items()):
            for _ in range(BUDGET):
                if found.closed or not self._has_room():
                    break
                try:
                    frame = found.recv(NOBLOCK, False)
                except zmq.Again:
                    break
                frames: list[Buffer] = [frame.bytes]
                while frame.more:
                    frame = found.recv(NOBLOCK, False)
                    frames.append(frame.buffer)
                self._deliver(stream, frames)
            else:
                self._soon()
        if self._waiting is not None and self._can_send():
            self._let_go()

    def _can_send(self) -> bool:
        sockets = self._sockets.values()
        return all(int(each.getsockopt(EVENTS)) & zmq.POLLOUT for each in sockets)

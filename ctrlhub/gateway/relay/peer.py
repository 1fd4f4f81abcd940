"""One peer on a WebSocket: what it says goes to the hub, what the hub says to it, and no more than it takes.

Both ways there is a bound. A peer that does not read is not read for: what the hub has for it waits in
the hub, under the credit of any client, until it goes on, or is given up. A peer that says more than
the hub takes, or than it may, is not heard until that is over, and so has to wait itself.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol

from ctrlhub.gateway.access.rates import Bucket
from ctrlhub.gateway.relay.doorman import Doorman
from ctrlhub.gateway.relay.framings import Framing
from ctrlhub.gateway.relay.uplink import Uplink
from ctrlhub.wire.closing import ENDING, MALFORMED, TOO_LARGE, TOO_SLOW
from ctrlhub.wire.codec import encode
from ctrlhub.wire.errors import AuthenticationError, InvalidRequest
from ctrlhub.wire.limits import MAX_CONTROL_BYTES, MAX_HELLO_BYTES
from ctrlhub.wire.messages import Buffer, Goodbye, Refused, Role, Stream
from ctrlhub.wire.web import WEB_MESSAGE_BYTES

log = logging.getLogger(__name__)

MOST_UNTAKEN = 4 * 1024 * 1024
"""The most bytes that wait for a peer before the hub is read no more for it."""

STALLED = 30.0
"""A peer that takes nothing of what waits for it for so long (seconds) is given up."""

RATE, BURST = 2000.0, 4000.0
"""Messages that a peer may send in a second, and at once; each may have hundreds of tasks in it."""

READ_RATE, READ_BURST = 16e6, 32e6
"""What reading a peer's JSON may cost in a second, and at once, in bytes: see `Framing.cost`."""

VIEW_MESSAGE_BYTES = 2 * 1024 * 1024
"""The largest WebSocket message of who has nothing run."""

_LARGEST = {Stream.HUB: MAX_CONTROL_BYTES, Stream.IOPUB: MAX_HELLO_BYTES}
"""What the hub itself would end a connection for."""

_GOODBYE = bytes(encode(Goodbye())[0])[: len(b"...goodbye")]
"""What the header of a goodbye begins with."""


def largest_for(role: Role) -> int:
    """Return how large (bytes) a WebSocket message of who has a role may be."""
    return VIEW_MESSAGE_BYTES if role is Role.VIEW else WEB_MESSAGE_BYTES


class Socket(Protocol):
    """A WebSocket, as the peer's handler has it."""

    def say(self, message: str | bytes) -> asyncio.Future[None]:
        """Send a message; done once it has left."""

    def is_overdue(self, now: float) -> bool:
        """Whether what it has begun to say should be whole by now."""

    def shut(self, code: int, reason: str) -> None:
        """Close it."""


class Peer:
    """A peer.

    Parameters
    ----------
    socket
        Its WebSocket.
    framing
        What it speaks.
    role
        What its token allows.
    clock
        Gives the time in seconds.

    Attributes
    ----------
    uplink
        Its connections to the hub; set once, before anything is said.
    told
        The hub has said goodbye to it.
    """

    uplink: Uplink

    def __init__(
        self, socket: Socket, framing: Framing, role: Role, clock: Callable[[], float]
    ) -> None:
        self._socket = socket
        self._framing = framing
        self._doorman = Doorman(role)
        self._largest = largest_for(role)
        self._clock = clock
        self._budget = Bucket(RATE, BURST, clock())
        self._reading = Bucket(READ_RATE, READ_BURST, clock())
        self._untaken = 0
        self._moved = clock()
        self._is_over = False
        self.told = asyncio.Event()

    # ------------------------------------------------------------ from the peer

    def take(self, said: str | bytes) -> Awaitable[None] | None:
        """Take what it has said; what is returned is to be awaited before it is heard again."""
        if self._is_over:
            return None
        if len(said) > self._largest:
            self.end(TOO_LARGE, f"a message has at most {self._largest} bytes here: send it in parts")
            return None
        now = self._clock()
        pause = max(self._budget.owe(now), self._reading.owe(now, self._framing.cost(said)))
        try:
            stream, header, frames = self._framing.read(said)
            if len(header) + sum(map(len, frames)) > _LARGEST.get(stream, len(said)):
                self.end(TOO_LARGE, f"a message on {stream.value} is too large")
                return None
            header = self._doorman.look_at(stream, header)
        except InvalidRequest as error:
            self.end(MALFORMED, str(error))
            return None
        except AuthenticationError as error:
            self.deliver(stream, encode(Refused(error.code, str(error))))
            return None
        if pause <= 0 and self.uplink.send(stream, [header, *frames]):
            return None
        return self._wait(pause, stream, [header, *frames])

    async def _wait(self, pause: float, stream: Stream, frames: list[Buffer]) -> None:
        """Send a message when its time has come and the hub takes it."""
        if pause > 0:
            await asyncio.sleep(pause)
        while not self._is_over and not self.uplink.send(stream, frames):
            await self.uplink.room()

    # ------------------------------------------------------------ to the peer

    def has_room(self) -> bool:
        """Whether the peer takes more of what the hub sends."""
        return self._untaken < MOST_UNTAKEN and not self._is_over

    def deliver(self, stream: Stream, frames: Sequence[Buffer]) -> None:
        """Say to it what the hub has said."""
        if stream is Stream.HUB and bytes(frames[0]).startswith(_GOODBYE):
            self.told.set()
        message = self._framing.write(stream, frames)
        size = len(message)
        if not self._untaken:
            self._moved = self._clock()
        self._untaken += size
        self._socket.say(message).add_done_callback(lambda done: self._has_left(done, size))

    def _has_left(self, done: asyncio.Future[None], size: int) -> None:
        had_room = self.has_room()
        self._untaken -= size
        self._moved = self._clock()
        if done.cancelled() or done.exception() is not None:
            return  # the handler hears of the end
        if not had_room and self.has_room():
            self.uplink.resume()

    # ------------------------------------------------------------ its end

    def look(self, now: float) -> None:
        """Give it up if it has not taken anything for too long, or does not end what it has begun."""
        if self._untaken and now - self._moved > STALLED:
            self.end(TOO_SLOW, f"nothing of what waits was taken for {STALLED:.0f} s")
        if self._socket.is_overdue(now):
            self.end(TOO_SLOW, "a message was not whole in its time")

    def end(self, code: int, reason: str) -> None:
        """Close its WebSocket, and say why."""
        if not self._is_over:
            log.warning("a WebSocket was closed: %s", reason[:300])
            self._socket.shut(code, reason)
            self.over()

    def leave(self) -> None:
        """Close its WebSocket, since the gateway ends: it may come again."""
        if not self._is_over:
            self._socket.shut(ENDING, "the gateway ends: connect again")
            self.over()

    def over(self) -> None:
        """Let go of it: its WebSocket has closed."""
        self._is_over = True
        self.uplink.close()

"""A WebSocket on which what comes to no handler is read at a pace: who sends it faster waits.

Messages come to a handler, which counts them. What else there is (pongs that nobody has asked for, messages
in pieces that are empty, whatever comes once we have said goodbye) comes to none; and as long as something is
there to be read, tornado reads on before anybody else has a turn.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from tornado.websocket import WebSocketProtocol13

from ctrlhub.gateway.access.rates import Bucket
from ctrlhub.wire.closing import TOO_SLOW

LEAST_PAUSE = 0.05
"""Who owes less than this (seconds) is read on: many short pauses would cost more than they spare."""

_CONTROL = 8
"""The lowest number of a kind of frame that is no message."""


class Paced(WebSocketProtocol13):
    """A WebSocket that is read at a pace.

    Parameters
    ----------
    like
        What it is apart from that.
    clock
        Gives the time in seconds.
    rate, burst
        So many frames that bring no message are read in a second, and at once.
    """

    def __init__(self, like: WebSocketProtocol13, clock: Callable[[], float], rate: float, burst: float) -> None:
        super().__init__(like.handler, like.mask_outgoing, like.params)
        self._frames = Bucket(rate, burst, clock())
        self._clock = clock

    async def _receive_frame(self) -> None:
        pause = self._frames.owe(self._clock())
        if pause >= LEAST_PAUSE:
            await asyncio.sleep(pause)
        await super()._receive_frame()

    def _handle_message(self, opcode: int, data: bytes) -> asyncio.Future[None] | None:
        """Hand on what is whole; a message that is heard is counted by whom it comes to."""
        if opcode < _CONTROL and not self.is_closing():
            self._frames.owe(self._clock(), -1.0)
        return super()._handle_message(opcode, data)

    def close(self, code: int | None = None, reason: str | None = None) -> None:
        """Say goodbye. A reason without a code is tornado's, where a ping was not answered: who is at the other end takes nothing."""
        super().close(TOO_SLOW if code is None and reason else code, reason)

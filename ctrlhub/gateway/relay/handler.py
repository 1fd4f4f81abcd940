"""``/api/v1/connect``: a WebSocket that carries the protocol; and ``/api/v1/connection``: whose hub it is."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable
from typing import Any

from tornado.websocket import WebSocketClosedError, WebSocketProtocol13

from ctrlhub.gateway.handlers import Handler, Refusal, SocketHandler
from ctrlhub.gateway.paced import Paced
from ctrlhub.gateway.relay.framings import FRAMINGS, chosen
from ctrlhub.gateway.relay.peer import Peer, largest_for
from ctrlhub.gateway.relay.unfinished import Reading
from ctrlhub.wire.connection import ConnectionInfo
from ctrlhub.wire.errors import CtrlHubError, LimitExceeded
from ctrlhub.wire.limits import PROTOCOL_MAJOR

TOO_LARGE_TO_READ = 1024 * 1024
"""A message that is by so much (bytes) too large is not read."""

AGAIN = "10"
"""After so many seconds who was refused for the number of peers may come again."""


class Connect(SocketHandler):
    """One peer that speaks the protocol."""

    _peer: Peer | None = None
    _reading: Reading | None = None

    @property
    def max_message_size(self) -> int:
        """The largest message that is read at all; a larger one ends the connection without a word.

        What is read and too large is answered by the peer, with a code and a reason.
        """
        return largest_for(self.role) + TOO_LARGE_TO_READ

    def paced(self, made: WebSocketProtocol13) -> Paced:
        """Return it as one that waits for room, too, with large messages."""
        self._reading = reading = Reading(made, self.gateway.relays.room_for(self.role), time.monotonic)
        return reading

    async def get(self, **path: str) -> None:
        """Open the WebSocket, if its client speaks as we do."""
        self.need_to_upgrade()
        offered = self.request.headers.get_list("Sec-WebSocket-Protocol")
        names = [name.strip() for each in offered for name in each.split(",")]
        name = chosen(names)
        if name is None:
            raise Refusal(
                400, "subprotocol", f"ask for one of the subprotocols {', '.join(FRAMINGS)} (Sec-WebSocket-Protocol)"
            )
        try:
            self._peer = self.gateway.relays.begin(
                self.gateway.profile, self, FRAMINGS[name], self.role
            )
        except LimitExceeded as error:
            raise Refusal(503, error.code, str(error), Retry_After=AGAIN) from None
        except CtrlHubError as error:
            raise Refusal(503, error.code, str(error)) from error
        try:
            await super().get(**path)
        finally:
            if self.ws_connection is None:  # it was no request for a WebSocket
                self.gateway.relays.end(self._peer)

    def select_subprotocol(self, subprotocols: list[str]) -> str | None:
        """Choose how to speak."""
        return chosen(subprotocols)

    def open(self, *args: str, **kwargs: str) -> None:
        """Begin."""
        self.set_nodelay(True)

    def on_message(self, message: str | bytes) -> Awaitable[None] | None:
        """Hand on what the peer says; the next message waits until it has gone."""
        assert self._peer is not None
        return self._peer.take(message)

    def on_close(self) -> None:
        """Let go of the peer."""
        if self._peer is not None:
            self.gateway.relays.end(self._peer)

    # ------------------------------------------------------------ what the peer needs

    def say(self, message: str | bytes) -> asyncio.Future[None]:
        """Send a message; done once it has left."""
        try:
            return self.write_message(message, binary=isinstance(message, bytes))
        except WebSocketClosedError as error:  # `on_close` is on its way
            closed = asyncio.get_running_loop().create_future()
            closed.set_exception(error)
            return closed

    def is_overdue(self, now: float) -> bool:
        """Whether what it has begun to say should be whole by now."""
        return self._reading is not None and self._reading.is_overdue(now)


class Connection(Handler):
    """Whose hub it is, and what who asks may do: what a client over HTTP needs in place of a connection file."""

    def get(self) -> None:
        """Answer."""
        file = self.gateway.profile.connection(self.role).absolute()
        info = ConnectionInfo.load(file)
        told: dict[str, Any] = {
            "profile": info.profile,
            "role": self.role.value,
            "epoch": info.epoch,
            "host": info.host,
            "hub_pid": info.hub_pid,
            "hub_started": info.hub_started,
            "file": str(file),
            "python": info.python,
            "package": info.package,
            "protocol": PROTOCOL_MAJOR,
            "subprotocols": list(FRAMINGS),
        }
        self.answer(told)

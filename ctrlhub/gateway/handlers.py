"""What handlers are made from: requests with their bodies, and WebSockets. Who asks was let in before."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable
from typing import Any

from tornado.web import stream_request_body
from tornado.websocket import (
    WebSocketClosedError,
    WebSocketHandler,
    WebSocketProtocol,
    WebSocketProtocol13,
)

from ctrlhub.gateway.access.json_limits import checked_json
from ctrlhub.gateway.access.rates import Bucket
from ctrlhub.gateway.access.room import places
from ctrlhub.gateway.context import Gateway
from ctrlhub.gateway.guard import CSRF_HEADER as CSRF_HEADER
from ctrlhub.gateway.guard import Guarded, too_slow
from ctrlhub.gateway.guard import Refusal as Refusal
from ctrlhub.gateway.guard import too_large as too_large
from ctrlhub.gateway.guard import too_many as too_many
from ctrlhub.gateway.paced import Paced
from ctrlhub.gateway.route import SAFE, Body, Route
from ctrlhub.wire.closing import FLOOD, REVOKED

log = logging.getLogger(__name__)

LEAST_SPEED = 1024.0
"""So many bytes of an upload have to come in each second, or it is refused as too slow."""

MOST_FORM = 4 * 1024
"""The largest body (bytes) that is taken of who need not show a token: a form with one."""

MOST_SAID = 64 * 1024
"""The largest message (bytes) on a WebSocket, where a handler does not say another."""

SAID_RATE, SAID_BURST = 20.0, 100.0
"""So many messages and pings may come on a WebSocket in a second, and at once."""

FRAME_RATE, FRAME_BURST = 50.0, 400.0
"""So many frames that bring no message are read of a WebSocket in a second, and at once."""

MOST_REASON = 120
"""The longest reason (bytes) that closes a WebSocket."""


@stream_request_body
class Handler(Guarded):
    """A handler of requests: subclass it, name it in the table of routes, write ``async def get(self)``.

    Parts of the path come as arguments, by name. The body is in `body`, at most as much as the route
    takes; `json()` reads it. Raise `Refusal` for what is wrong.
    """

    body: bytearray
    _watch: asyncio.TimerHandle | None = None

    def initialize(self, gateway: Gateway, route: Route) -> None:
        """Take what the router hands over."""
        super().initialize(gateway, route)
        self.body = bytearray()
        self._came = 0

    def let_in(self) -> None:
        """Let in; and begin to wait for a body."""
        super().let_in()
        if not self._has_body():
            return
        packed = self.request.headers.get("Content-Encoding", "").strip().lower()
        if packed not in ("", "identity"):
            raise Refusal(
                415, "unsupported_media_type", "bodies are taken as they are: without Content-Encoding", Accept_Encoding="identity"
            )
        most = self.most_body
        said = self.request.headers.get("Content-Length", "")
        if is_more(said, most) or (not said and not most):
            raise too_large(most)
        self._began = time.monotonic()
        self._look_again()

    @property
    def most_body(self) -> int:
        """How many bytes of a body are taken: none with a method that changes nothing."""
        if self.request.method in SAFE:
            return 0
        config = self.gateway.config
        return {
            Body.NONE: 0, Body.TINY: MOST_FORM, Body.SMALL: config.max_body, Body.LARGE: config.max_upload,
        }[self.route.body]  # fmt: skip

    def data_received(self, chunk: bytes) -> Awaitable[None] | None:
        """Take a piece of the body; a handler of large bodies has another, and says `came` of each piece."""
        self.came(len(chunk))
        if not self._finished:
            self.body += chunk
        return None

    def came(self, size: int) -> None:
        """Take note that so much of the body has come; it is refused where it becomes too much."""
        self._came += size
        if self._came > self.most_body and not self._finished:
            self.body.clear()
            self._give_up(too_large(self.most_body))

    def _look_again(self) -> None:
        patience = self.gateway.config.patience
        self._watch = asyncio.get_running_loop().call_later(patience, self._look)

    def _look(self) -> None:
        """See whether the body comes: whole in that time, or at a pace that is one."""
        if self._finished or self._is_whole():
            return
        took = time.monotonic() - self._began
        if self.route.body is Body.LARGE and self._came >= LEAST_SPEED * took:
            self._look_again()
        else:
            self._give_up(too_slow())

    def _is_whole(self) -> bool:
        future: Any = self.request._body_future  # there is none for a body that comes at once
        return future is not None and future.done()

    def _give_up(self, error: Refusal) -> None:
        """Refuse in the midst of a body."""
        self.send_error(error.status_code, exc_info=(type(error), error, None))
        self.abandoned()

    def abandoned(self) -> None:
        """Forget what has come of a body that does not come whole."""

    def on_finish(self) -> None:
        """Wait for nothing more."""
        self._stop_waiting()
        super().on_finish()

    def on_connection_close(self) -> None:
        """Wait for nothing more."""
        self._stop_waiting()
        if self._came and not self._is_whole():
            self.abandoned()
        super().on_connection_close()

    def _stop_waiting(self) -> None:
        if self._watch is not None:
            self._watch.cancel()
            self._watch = None

    def json(self) -> Any:
        """Return the body's JSON.

        Raises
        ------
        Refusal
            It is none, or is nested too deeply.
        """
        kind = self.request.headers.get("Content-Type", "").partition(";")[0].strip().lower()
        if kind != "application/json":
            raise Refusal(415, "unsupported_media_type", "the body must be JSON: Content-Type: application/json")
        try:
            return checked_json(bytes(self.body))
        except ValueError as error:
            raise Refusal(400, "bad_json", f"the body is no JSON that is taken here: {error}") from None

    def flush(self, include_footers: bool = False) -> asyncio.Future[None]:
        """Send what was written. Who waits for it lets others have their turn, however quickly it is taken."""
        sent: asyncio.Future[None] = super().flush(include_footers)
        if not sent.done() or sent.cancelled() or sent.exception() is not None:
            return sent
        loop = asyncio.get_running_loop()
        turn = loop.create_future()
        loop.call_soon(_end_turn, turn)
        return turn

    def head(self, **path: str) -> Any:
        """Answer as to GET, without the body."""
        return getattr(self, "get")(**path)  # noqa: B009 - which not every handler has


@stream_request_body  # so that who asks is looked at before a body is read
class SocketHandler(Guarded, WebSocketHandler):
    """A handler of WebSockets, which has let in who asks before it is open. It takes no body.

    What is said on it comes to `said`, not too much at a time; a handler that takes as much as there is
    overrides `on_message` itself.
    """

    @property
    def max_message_size(self) -> int:
        """The largest message (bytes) that is taken."""
        return MOST_SAID

    def get_websocket_protocol(self) -> WebSocketProtocol | None:
        """Return what reads and writes frames: at a pace."""
        made = super().get_websocket_protocol()
        return self.paced(made) if isinstance(made, WebSocketProtocol13) else made

    def paced(self, made: WebSocketProtocol13) -> Paced:
        """Return it as one that is read at a pace."""
        return Paced(made, time.monotonic, FRAME_RATE, FRAME_BURST)

    def let_in(self) -> None:
        """Let in who asks, and has nothing else to send."""
        super().let_in()
        if self._has_body():
            raise too_large(0)

    def check_origin(self, origin: str) -> bool:
        """Tell whether an origin is ours; it was looked at already."""
        return self._is_known_origin(origin)

    async def get(self, **path: str) -> None:
        """Open the WebSocket."""
        self.need_to_upgrade()
        self.need_a_place()
        self._budget = Bucket(SAID_RATE, SAID_BURST, time.monotonic())
        self.gateway.sockets.add(self)
        try:
            await super().get(**path)
        finally:
            if self.ws_connection is None:
                self.gateway.sockets.discard(self)

    def need_to_upgrade(self) -> None:
        """See that a WebSocket is asked for.

        Raises
        ------
        Refusal
            It is not.
        """
        if self.request.headers.get("Upgrade", "").lower() != "websocket":
            raise Refusal(400, "no_websocket", "here is a WebSocket, and nothing else: ask for one")

    def need_a_place(self) -> None:
        """See that there is room for another WebSocket, or stream of events, of who asks.

        Raises
        ------
        Refusal
            There is none.
        """
        if len(self.gateway.sockets) >= places(self.gateway.config.sockets, self.role):
            raise too_many(10.0)

    def on_message(self, message: str | bytes) -> Awaitable[None] | None:
        """Count what is said, and hand it on."""
        return self.said(message) if self._spend() else None

    def said(self, message: str | bytes) -> Awaitable[None] | None:
        """Take what is said; nothing is expected here."""
        return None

    def on_ping(self, data: bytes) -> None:
        """Count pings, since each is answered."""
        self._spend()

    def _spend(self) -> bool:
        if self._budget.take(time.monotonic()):
            return True
        self.close(FLOOD, "too many messages")
        return False

    def write_message(self, message: Any, binary: bool = False) -> asyncio.Future[None]:
        """Send a message. Who does not wait until it has left need not look what became of it."""
        sent: asyncio.Future[None] = super().write_message(message, binary)
        sent.add_done_callback(_look_at)
        return sent

    def end(self, reason: str) -> None:
        """Close it, and say why."""
        self.shut(REVOKED, reason)

    def shut(self, code: int, reason: str) -> None:
        """Close it with a code, and as much of the reason as there is room for."""
        self.close(code, reason.encode()[:MOST_REASON].decode("utf-8", "ignore"))

    def on_connection_close(self) -> None:
        """Forget it."""
        self.gateway.sockets.discard(self)
        super().on_connection_close()


def _end_turn(turn: asyncio.Future[None]) -> None:
    if not turn.done():  # whoever waited may have been cancelled
        turn.set_result(None)


def is_more(said: str, most: int) -> bool:
    """Tell whether a length, as a header says it, is more than there may be; what is none is not, and refused later."""
    digits = said.lstrip("0")
    if not (said.isascii() and said.isdigit()):
        return False
    return len(digits) > len(f"{most}") or int(digits or "0") > most


def _look_at(sent: asyncio.Future[None]) -> None:
    """Take note of what became of a message: where somebody has gone meanwhile, `on_close` follows."""
    error = None if sent.cancelled() else sent.exception()
    if error is not None and not isinstance(error, WebSocketClosedError):
        log.error("a message was not sent", exc_info=error)

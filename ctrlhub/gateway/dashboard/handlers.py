"""The page, its parts, and the stream that it hangs on."""

from __future__ import annotations

import json
from asyncio import to_thread
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from tornado.websocket import WebSocketClosedError

from ctrlhub import __version__
from ctrlhub.gateway.dashboard import bokeh_parts
from ctrlhub.gateway.dashboard.errors import NoBokeh
from ctrlhub.gateway.dashboard.feed import feed_of
from ctrlhub.gateway.guard import Refusal
from ctrlhub.gateway.handlers import Handler, SocketHandler
from ctrlhub.gateway.pages import Page
from ctrlhub.wire.closing import MALFORMED

STATIC = Path(__file__).parent / "static"
PAGE = "index.html"

KINDS: Mapping[str, str] = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
"""What the page is made of."""

WISHES: Mapping[str | bytes, bool] = {'{"logs":true}': True, '{"logs":false}': False}
"""All that a browser may say: whether it shows the logs."""

MOST_SAID = 64
"""So long (bytes) what it says may be."""


@cache
def parts() -> Mapping[str, bytes]:
    """Return the files of the page: nothing else can be asked for by name."""
    return {each.name: each.read_bytes() for each in STATIC.iterdir() if each.suffix in KINDS or each.name == PAGE}


class Dashboard(Page):
    """The page itself."""

    def get(self) -> None:
        """Show it."""
        self.set_header("Content-Type", "text/html; charset=utf-8")
        self.finish(parts()[PAGE])


class PagePart(Handler):
    """A script, style or picture of the page."""

    def get(self, name: str) -> None:
        """Give it."""
        if name not in parts() or name == PAGE:
            raise Refusal(404, "not_found", "there is nothing here")
        self.set_header("Content-Type", KINDS[Path(name).suffix])
        self.finish(parts()[name])


class Plots(Handler):
    """The plots as Bokeh's script draws them, without figures."""

    async def get(self) -> None:
        """Give them."""
        try:
            made = await to_thread(bokeh_parts.document)  # Bokeh takes its time to be imported
        except NoBokeh as error:
            raise Refusal(501, "no_bokeh", f"{error}") from None
        self.set_header("Content-Type", "application/json; charset=utf-8")
        self.finish(made)


class BokehScript(Handler):
    """Bokeh's own script: the gateway's, so that no other server is needed."""

    async def get(self) -> None:
        """Give it, packed; a browser may keep it, since its address has the version."""
        try:
            script, version = await to_thread(bokeh_parts.script)
        except NoBokeh as error:
            raise Refusal(501, "no_bokeh", f"{error}") from None
        if self.get_query_argument("v", "") == version:
            self.set_header("Cache-Control", "private, max-age=604800, immutable")
        self.set_header("Content-Type", KINDS[".js"])
        self.set_header("Content-Encoding", "gzip")
        self.finish(script)


class FeedSocket(SocketHandler):
    """A browser that shows the page."""

    _unsent = 0

    def open(self) -> None:
        """Tell it who asks, and all that is known."""
        self.tell(
            json.dumps(
                {
                    "kind": "hello",
                    "role": self.role.value,
                    "profile": self.gateway.profile.name,
                    "version": __version__,
                }
            )
        )
        feed_of(self.gateway).join(self)

    def said(self, message: str | bytes) -> None:
        """Hear whether it shows the logs; there is nothing else that it may say."""
        wanted = WISHES.get(message)
        if wanted is None:
            self.let_go(MALFORMED, "this is nothing that the dashboard says")
        else:
            feed_of(self.gateway).want_logs(self, wanted)

    @property
    def max_message_size(self) -> int:
        """So long (bytes) a message may be."""
        return MOST_SAID

    def on_close(self) -> None:
        """Forget it."""
        feed_of(self.gateway).leave(self)

    def tell(self, text: str) -> int:
        """Send it something; return how many messages it has not taken yet."""
        try:
            sent = self.write_message(text)
        except WebSocketClosedError:
            return 0  # it has just gone: `on_close` follows
        self._unsent += 1
        sent.add_done_callback(self._taken)
        return self._unsent

    def _taken(self, sent: Any) -> None:
        self._unsent -= 1

    def let_go(self, code: int, reason: str) -> None:
        """Close its connection, and say why."""
        self.close(code, reason)

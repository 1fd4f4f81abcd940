"""Pages: what browsers show. Who has not logged in is sent to do so."""

from __future__ import annotations

import time
from secrets import token_hex
from urllib.parse import urlencode

from tornado.httputil import format_timestamp

from ctrlhub.gateway.access import cookies
from ctrlhub.gateway.access.tokens import Token
from ctrlhub.gateway.guard import Refusal
from ctrlhub.gateway.handlers import Handler

SHOWN = ("GET", "HEAD")
"""The methods with which a browser shows a page."""


OUTDATED = "outdated"
"""Why somebody is sent to the login: the token of a link is not good."""


class Page(Handler):
    """A handler whose answers browsers show.

    A token in the URL is exchanged for a cookie, and taken out of the URL; one that is not good leads to the
    login, which says so.
    """

    def prepare(self) -> None:
        """Let in, or send to the login."""
        is_shown = self.request.method in SHOWN and not self._has_body()
        if is_shown and self.get_query_argument("token", ""):
            self.instead(self._exchange)
            return
        super().prepare()

    def refused(self, error: Refusal) -> None:
        """Send to the login who has not logged in."""
        if error.status_code == 401 and self.request.method in SHOWN:
            self._ask_for_login()
        else:
            raise error

    def _ask_for_login(self, **why: str) -> None:
        wanted = urlencode({"next": self.request.path.lstrip("/"), **why})
        self.redirect(f"{self.up}login?{wanted}", status=302)

    @property
    def up(self) -> str:
        """The way from this page to the root: relative, since a proxy may have put us anywhere."""
        return "../" * (self.request.path.count("/") - 1) or "./"

    def _exchange(self) -> None:
        """Log in with the token in the URL, and have the browser ask again without it."""
        self._check_method()
        self._check_origin()
        try:
            token = self.token_of(self.get_query_argument("token"))
        except Refusal as error:
            if error.status_code != 401:
                raise
            self._ask_for_login(why=OUTDATED)
            return
        self.log_in(token)
        rest = [
            (name, value.decode("utf-8", "replace"))
            for name, values in self.request.query_arguments.items()
            for value in values
            if name != "token"
        ]
        here = self.request.path.rpartition("/")[2] or "./"
        self.redirect(f"{here}?{urlencode(rest)}" if rest else here, status=303)

    @property
    def _browser_has_tls(self) -> bool:
        """Whether the browser speaks TLS, with us or with a proxy before us; who says so falsely spoils his own cookie alone."""
        headers = self.request.headers
        ways = (self.request.protocol, headers.get("X-Forwarded-Proto", ""), headers.get("Origin", "").partition(":")[0])
        return "https" in ways

    def log_in(self, token: Token) -> None:
        """Give the browser its cookie."""
        config = self.gateway.config
        ends = time.time() + config.login_age
        if token.expires is not None:
            ends = min(ends, token.expires)
        login = cookies.Login(token.id, token_hex(8), int(ends))
        self._give_cookie(login.signed(self.book.cookie_key), ends)

    def log_out(self) -> None:
        """Take its cookie back: a browser takes that for the same one only where all else of it is the same."""
        self._give_cookie("", 0.0)

    def _give_cookie(self, value: str, ends: float) -> None:
        parts = [
            f"{self.gateway.cookie_name}={value}", f"Expires={format_timestamp(ends)}", "Path=/", "HttpOnly",
        ]  # fmt: skip
        if self.gateway.config.frames:
            # Shown within another site's page: each site's is a cookie of its own.
            parts += ["Secure", "SameSite=None", "Partitioned"]
        else:
            parts += [*(["Secure"] if self._browser_has_tls else []), "SameSite=Strict"]
        self.add_header("Set-Cookie", "; ".join(parts))

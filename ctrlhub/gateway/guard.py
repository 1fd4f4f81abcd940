"""Who is let in: found out, and checked, before a handler does anything, and before a body is read."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable
from functools import partial
from http import HTTPStatus
from typing import Any

from tornado.iostream import StreamClosedError
from tornado.web import HTTPError, RequestHandler

from ctrlhub.gateway.access import cookies
from ctrlhub.gateway.access.headers import headers_of
from ctrlhub.gateway.access.identity import Identity
from ctrlhub.gateway.access.roles import Role, allows
from ctrlhub.gateway.access.tokens import Token, TokenBook
from ctrlhub.gateway.context import Gateway
from ctrlhub.gateway.lingering import lingering_answer
from ctrlhub.gateway.route import SAFE, Face, Route
from ctrlhub.wire.private import StateError

log = logging.getLogger(__name__)

CSRF_HEADER = "X-Ctrlhub-Csrf"
"""Carries what `/api/v1/session` tells a page, in each of its requests that change something."""

MOST_AGE = "600"
"""For how long (seconds) a browser may remember what another site's scripts may send."""


class Refusal(HTTPError):
    """A request that is refused, or failed: status, a word for programs, and a text for people.

    Parameters
    ----------
    status
        The status.
    code
        The word; that of a `CtrlHubError`, or one of HTTP's.
    message
        What is wrong and what to do; nothing secret.
    headers
        Further headers.
    """

    def __init__(self, status: int, code: str, message: str, **headers: str) -> None:
        super().__init__(status)
        self.code = code
        self.message = message
        self.headers = {name.replace("_", "-"): value for name, value in headers.items()}


class Guarded(RequestHandler):
    """The part of every handler that lets in, or does not."""

    gateway: Gateway
    route: Route
    _identity: Identity | None = None

    def initialize(self, gateway: Gateway, route: Route) -> None:
        """Take what the router hands over."""
        self.gateway = gateway
        self.route = route
        for name, value in headers_of(gateway.config, page=route.face is Face.PAGE).items():
            self.set_header(name, value)

    def set_default_headers(self) -> None:
        """Say nothing of the server's make."""
        self.clear_header("Server")

    @property
    def identity(self) -> Identity:
        """Who asks. Only where the route needs a role."""
        assert self._identity is not None, "an open route has no identity"
        return self._identity

    @property
    def role(self) -> Role:
        """What who asks may do."""
        return self.identity.role

    @property
    def book(self) -> TokenBook:
        """The tokens, as they are now."""
        try:
            return self.gateway.tokens.now()
        except StateError as error:
            log.error("%s", error)
            raise Refusal(503, "tokens", "the file of tokens cannot be used: the gateway's log says why") from None

    @property
    def csrf(self) -> str:
        """What a page says to change something; empty without a cookie."""
        login = self.identity.login
        return "" if login is None else login.csrf(self.book.cookie_key)

    # ------------------------------------------------------------ the door

    def prepare(self) -> None:
        """Let in, or refuse: at once who is still sending, and else in the method's turn."""
        try:
            self.let_in()
        except Refusal as error:
            if self._has_body():
                self.refuse_at_once(error)
            else:
                self.instead(partial(self.refused, error))

    def refused(self, error: Refusal) -> None:
        """Answer who is refused."""
        raise error

    def instead(self, act: Callable[[], object]) -> None:
        """Do something else than what is asked for, when it is its turn: an answer before that ends the connection."""
        setattr(self, (self.request.method or "").lower(), lambda **path: act())

    def let_in(self) -> None:
        """See that this may be asked, by who asks.

        Raises
        ------
        Refusal
            It may not.
        """
        self._check_method()
        self._check_origin()
        needed = self.route.role_for(self.request.method or "")
        if needed is None:
            self._take_rate(f"address {self.request.remote_ip}")
            return
        self._identity = identity = self._authenticate()
        self._take_rate(f"token {identity.token}")
        if not allows(identity.role, needed):
            raise Refusal(
                403, "forbidden", f"this needs the role {needed}, and this token has the role {identity.role}"
            )
        if identity.login is not None:
            self._check_csrf(identity.login)

    def refuse_at_once(self, error: Refusal) -> None:
        """Answer now, and let what is still on its way go: the answer arrives, and the connection ends."""
        self.set_status(error.status_code)
        self._say_error(error.code, error.message, error.headers)
        stream = self.request.connection.detach()  # type: ignore[union-attr]
        lingering_answer(stream, error.status_code, self._headers, self._error_body(error.code, error.message))
        self._finished = True
        self._auto_finish = False

    def _has_body(self) -> bool:
        headers = self.request.headers
        return headers.get("Content-Length", "0").strip() != "0" or "Transfer-Encoding" in headers

    def _check_method(self) -> None:
        method = self.request.method or ""
        if method not in self.route.allowed:
            raise Refusal(
                405, "method_not_allowed", f"allowed here: {', '.join(self.route.allowed)}",
                Allow=", ".join(self.route.allowed),
            )  # fmt: skip

    def _check_origin(self) -> None:
        """Refuse what a script of another site sends, and say to which other sites answers may be shown."""
        origin = self.request.headers.get("Origin")
        if origin is None:
            return
        if not self._is_known_origin(origin):
            raise Refusal(403, "origin", "scripts of this origin are not allowed: see the option --http-origins")
        if self.gateway.hosts.is_allowed(origin):
            self.set_header("Access-Control-Allow-Origin", origin)
            self.set_header("Vary", "Origin")

    def _is_known_origin(self, origin: str) -> bool:
        return self._is_our_origin(origin) or self.gateway.hosts.is_allowed(origin)

    def _is_our_origin(self, origin: str) -> bool:
        return self.gateway.hosts.is_ours(origin, self.request.protocol, self.request.host)

    def _is_foreign(self) -> bool:
        """Tell whether a script of another site asks."""
        origin = self.request.headers.get("Origin")
        return origin is not None and not self._is_our_origin(origin)

    def _bearer(self) -> str:
        """Return the token of a header: the usual one may be meant for a proxy before us."""
        own = self.request.headers.get("X-Ctrlhub-Token", "").strip()
        if own:
            return own
        scheme, _, secret = self.request.headers.get("Authorization", "").partition(" ")
        return secret.strip() if scheme.lower() in ("bearer", "token") else ""

    def _authenticate(self) -> Identity:
        """Find out who asks.

        Raises
        ------
        Refusal
            There is no good token.
        """
        secret = self._bearer() or self._token_of_url()
        if secret:
            token = self.token_of(secret)
            return Identity(token.role, token.id, token.name)
        now = time.time()
        login = self._login(now)
        found = None if login is None else self.book.of_id(login.token, now)
        if found is None:
            raise self._not_authenticated("a token is needed: `ctrl-hub dashboard` shows one")
        return Identity(found.role, found.id, found.name, login)

    def token_of(self, secret: str) -> Token:
        """Return the token that somebody shows.

        Raises
        ------
        Refusal
            It is none; or too many were tried that are none. A good one is let in all the same, since whoever
            shares an address with others answers for them not.
        """
        token = self.book.find(secret, time.time())
        if token is not None:
            return token
        if wait := self.gateway.logins.take(f"{self.request.remote_ip}", time.monotonic()):
            raise too_many(wait)
        raise self._not_authenticated("this token is not good (any more)")

    def _token_of_url(self) -> str:
        """Return the token in the URL, where browsers cannot give a header."""
        return self.get_query_argument("token", "") if self.route.is_socket else ""

    def _login(self, now: float) -> cookies.Login | None:
        """Return what the browser's cookie says: to our own pages, since other sites need a token, also those that are allowed."""
        if self._is_foreign():
            return None
        value = self.get_cookie(self.gateway.cookie_name)
        return cookies.read(value, self.book.cookie_key, now) if value else None

    def _not_authenticated(self, why: str) -> Refusal:
        return Refusal(401, "unauthenticated", why, WWW_Authenticate='Bearer realm="ctrl-hub"')

    def _check_csrf(self, login: cookies.Login) -> None:
        """See that a page of ours changes something, not a form of another site's."""
        if self.request.method in SAFE:
            return
        said = self.request.headers.get(CSRF_HEADER, "")
        site = self.request.headers.get("Sec-Fetch-Site", "same-origin")
        if site != "same-origin" or not cookies.is_same(said, self.csrf):
            raise Refusal(
                403, "csrf", f"with a cookie this needs the header {CSRF_HEADER}: /api/v1/session tells its value"
            )

    def _take_rate(self, name: str) -> None:
        if wait := self.gateway.rates.take(name, time.monotonic()):
            raise too_many(wait)

    # ------------------------------------------------------------ answers

    def compute_etag(self) -> None:
        """Compute none: nothing of ours is kept by browsers."""

    def answer(self, value: Any, status: int = 200) -> None:
        """Answer with JSON."""
        self.set_status(status)
        self.set_header("Content-Type", "application/json; charset=utf-8")
        self.finish(json.dumps(value, allow_nan=False).encode() + b"\n")

    def send_error(self, status_code: int = 500, **kwargs: Any) -> None:
        """Answer with an error; where an answer has begun, break it off, so that nobody takes it for whole."""
        if self._headers_written and not self._finished:
            self._break_off(kwargs.get("exc_info", (None, None, None))[1])
        else:
            super().send_error(status_code, **kwargs)

    def _break_off(self, error: Any) -> None:
        if isinstance(error, HTTPError):  # else it was logged
            log.warning("%s %s is broken off: %s", self.request.method, self.route.path, error)
        self._finished = True
        self._auto_finish = False
        self.request.connection.close()  # type: ignore[union-attr]
        self.on_finish()

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        """Answer with an error: a word and a text, and nothing of our insides."""
        error = kwargs.get("exc_info", (None, None, None))[1]
        if isinstance(error, Refusal):
            code, message, headers = error.code, error.message, error.headers
        else:
            phrase = HTTPStatus(status_code).phrase
            code, message, headers = phrase.lower().replace(" ", "_"), phrase, {}
            if status_code == 405:  # a method that there is nowhere
                headers = {"Allow": ", ".join(self.route.allowed)}
        self._say_error(code, message, headers)
        self.finish(self._error_body(code, message))

    def _say_error(self, code: str, message: str, headers: dict[str, str]) -> None:
        for name, value in {**headers_of(self.gateway.config, page=False), **headers}.items():
            self.set_header(name, value)
        self.set_header("Content-Type", "application/json; charset=utf-8")

    def _error_body(self, code: str, message: str) -> bytes:
        return json.dumps({"error": {"code": code, "message": message}}).encode()

    def log_exception(self, typ: Any, value: Any, tb: Any) -> None:
        """Log what is our own fault, with nothing of the request but its route. That somebody has gone is none."""
        if not isinstance(value, HTTPError | StreamClosedError):
            log.error("%s %s failed", self.request.method, self.route.path, exc_info=(typ, value, tb))

    def options(self, **path: str) -> None:
        """Say which methods there are, also to a browser that asks for a script of another site."""
        methods = ", ".join(self.route.allowed)
        self.set_header("Allow", methods)
        if self.request.headers.get("Access-Control-Request-Method"):
            self.set_header("Access-Control-Allow-Methods", methods)
            self.set_header(
                "Access-Control-Allow-Headers", "Authorization, Content-Type, X-Ctrlhub-Token, Idempotency-Key, Last-Event-ID"
            )
            self.set_header("Access-Control-Max-Age", MOST_AGE)
        self.set_status(204)
        self.finish()


def too_many(wait: float) -> Refusal:
    """Return the refusal of who asks too often."""
    return Refusal(429, "too_many_requests", "too many requests: wait", Retry_After=str(max(1, round(wait + 0.5))))


def too_large(most: int) -> Refusal:
    """Return the refusal of a body that is too large."""
    return Refusal(413, "too_large", f"at most {most} bytes are taken here", Connection="close")


def too_slow() -> Refusal:
    """Return the refusal of a body that does not come."""
    return Refusal(408, "too_slow", "the body did not come in time", Connection="close")

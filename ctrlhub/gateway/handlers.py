"""What every handler is made from: who asks is found out, and checked, before anything else is done."""

from __future__ import annotations

import json
import logging
import time
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Protocol
from urllib.parse import urlencode

from tornado.web import HTTPError, RequestHandler, stream_request_body
from tornado.websocket import WebSocketHandler

from ctrlhub.gateway.access import cookies
from ctrlhub.gateway.access.headers import headers_of
from ctrlhub.gateway.access.json_limits import checked_json
from ctrlhub.gateway.access.roles import Role, allows
from ctrlhub.gateway.access.tokens import Token
from ctrlhub.gateway.context import Gateway
from ctrlhub.gateway.route import SAFE, Body, Face, Route

log = logging.getLogger(__name__)

CSRF_HEADER = "X-Ctrlhub-Csrf"
"""Carries what `/api/v1/session` tells a page, in each of its requests that change something."""


@dataclass(frozen=True, slots=True)
class Identity:
    """Who asks.

    Attributes
    ----------
    role
        What it may do.
    token, name
        Id and name of its token.
    login
        Its cookie; None for a bearer of the token itself.
    """

    role: Role
    token: str
    name: str
    login: cookies.Login | None = None


class Connected(Protocol):
    """A socket or stream that stays open: it is closed when its token ends."""

    @property
    def identity(self) -> Identity:
        """Who has opened it."""

    def end(self, reason: str) -> None:
        """Close it, and say why."""


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
    def csrf(self) -> str:
        """What a page says to change something; empty without a cookie."""
        login = self.identity.login
        return "" if login is None else login.csrf(self.gateway.tokens.now().cookie_key)

    # ------------------------------------------------------------ the door

    def prepare(self) -> None:
        """Let in, or refuse. Before the body is read."""
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

    def _check_method(self) -> None:
        method = self.request.method or ""
        if method not in self.route.allowed:
            raise Refusal(
                405, "method_not_allowed", f"allowed here: {', '.join(self.route.allowed)}",
                Allow=", ".join(self.route.allowed),
            )  # fmt: skip

    def _check_origin(self) -> None:
        """Refuse what a script of another site sends: always a WebSocket, else what changes something."""
        origin = self.request.headers.get("Origin")
        if origin is None or self._is_known_origin(origin):
            return
        if self.route.is_socket or self.request.method not in SAFE or not self._bearer():
            raise Refusal(403, "origin", "scripts of this origin are not allowed: see the option --http-origins")

    def _is_known_origin(self, origin: str) -> bool:
        request, hosts = self.request, self.gateway.hosts
        return hosts.is_ours(origin, request.protocol, request.host) or hosts.is_allowed(origin)

    def _bearer(self) -> str:
        """Return the token of the header, or of the URL where nothing else is possible."""
        scheme, _, secret = self.request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() in ("bearer", "token"):
            return secret.strip()
        return ""

    def _authenticate(self) -> Identity:
        """Find out who asks.

        Raises
        ------
        Refusal
            There is no good token.
        """
        now, address = time.time(), f"{self.request.remote_ip}"
        if wait := self.gateway.logins.wait(address, time.monotonic()):
            raise too_many(wait)
        book = self.gateway.tokens.now()
        secret = self._bearer() or self._token_of_url()
        if secret:
            token = book.find(secret, now)
            if token is None:
                self.gateway.logins.take(address, time.monotonic())
                raise self._not_authenticated("this token is not good (any more)")
            return Identity(token.role, token.id, token.name)
        login = self._login(now)
        found = None if login is None else book.of_id(login.token, now)
        if found is None:
            raise self._not_authenticated("a token is needed: `ctrl-hub dashboard` shows one")
        return Identity(found.role, found.id, found.name, login)

    def _token_of_url(self) -> str:
        """Return the token in the URL: browsers cannot give WebSockets a header."""
        if not (self.route.is_socket or self.route.face is Face.PAGE):
            return ""
        return self.get_query_argument("token", "")

    def _login(self, now: float) -> cookies.Login | None:
        value = self.get_cookie(self.gateway.cookie_name)
        return cookies.read(value, self.gateway.tokens.now().cookie_key, now) if value else None

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
        self.finish(json.dumps(value, allow_nan=False).encode())

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        """Answer with an error: a word and a text, and nothing of our insides."""
        error = kwargs.get("exc_info", (None, None, None))[1]
        if isinstance(error, Refusal):
            code, message = error.code, error.message
            for name, value in error.headers.items():
                self.set_header(name, value)
        else:
            code = HTTPStatus(status_code).phrase.lower().replace(" ", "_")
            message = HTTPStatus(status_code).phrase
        for name, value in headers_of(self.gateway.config, page=False).items():
            self.set_header(name, value)
        self.answer({"error": {"code": code, "message": message}}, status_code)

    def log_exception(self, typ: Any, value: Any, tb: Any) -> None:
        """Log what is our own fault, with nothing of the request but its route."""
        if not isinstance(value, HTTPError):
            log.error("%s %s failed", self.request.method, self.route.path, exc_info=(typ, value, tb))

    def options(self, **path: str) -> None:
        """Say which methods there are."""
        self.set_header("Allow", ", ".join(self.route.allowed))
        self.set_status(204)
        self.finish()


@stream_request_body
class Handler(Guarded):
    """A handler of requests: subclass it, name it in the table of routes, write ``async def get(self)``.

    Parts of the path come as arguments, by name. The body is in `body`, at most as much as the route
    takes; `json()` reads it. Raise `Refusal` for what is wrong; a `CtrlHubError` becomes one by itself.
    """

    body: bytearray

    def initialize(self, gateway: Gateway, route: Route) -> None:
        """Take what the router hands over."""
        super().initialize(gateway, route)
        self.body = bytearray()

    def prepare(self) -> None:
        """Let in, or refuse; and say how much of a body is taken."""
        super().prepare()
        most = self.most_body
        said = self.request.headers.get("Content-Length", "0")
        if said.isdigit() and int(said) > most:
            raise too_large(most)

    @property
    def most_body(self) -> int:
        """How many bytes of a body are taken."""
        config = self.gateway.config
        return {Body.NONE: 0, Body.SMALL: config.max_body, Body.LARGE: config.max_upload}[self.route.body]

    def data_received(self, chunk: bytes) -> None:
        """Take a piece of the body."""
        if self._finished:
            return
        if len(self.body) + len(chunk) > self.most_body:
            self.body.clear()
            error = too_large(self.most_body)
            self.send_error(error.status_code, exc_info=(type(error), error, None))
            return
        self.body += chunk

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

    def head(self, **path: str) -> Any:
        """Answer as to GET, without the body."""
        return getattr(self, "get")(**path)  # noqa: B009 - which not every handler has


class Page(Handler):
    """A handler whose answers browsers show: who has not logged in is sent to do so.

    A token in the URL is exchanged for a cookie, and taken out of the URL.
    """

    def prepare(self) -> None:
        """Let in, or send to the login."""
        if self.request.method in ("GET", "HEAD") and self.get_query_argument("token", ""):
            self._check_method()
            self._exchange()
            return
        try:
            super().prepare()
        except Refusal as error:
            if error.status_code != 401 or self.request.method not in ("GET", "HEAD"):
                raise
            up = self.up
            self.redirect(f"{up}login?{urlencode({'next': self.request.path.removeprefix('/')})}", status=302)

    @property
    def up(self) -> str:
        """The way from this page to the root: relative, since a proxy may have put us anywhere."""
        return "../" * (self.request.path.count("/") - 1) or "./"

    def _exchange(self) -> None:
        """Log in with the token in the URL, and have the browser ask again without it."""
        identity = self._authenticate_token(self.get_query_argument("token"))
        self.log_in(identity)
        rest = [(k, v.decode("utf-8", "replace")) for k, each in self.request.query_arguments.items()
                for v in each if k != "token"]  # fmt: skip
        here = self.request.path.rpartition("/")[2] or "./"
        self.redirect(f"{here}?{urlencode(rest)}" if rest else here, status=303)

    def _authenticate_token(self, secret: str) -> Token:
        """Return the token that a browser shows.

        Raises
        ------
        Refusal
            It is none, or too many were tried.
        """
        address, now = f"{self.request.remote_ip}", time.monotonic()
        if wait := self.gateway.logins.wait(address, now):
            raise too_many(wait)
        token = self.gateway.tokens.now().find(secret, time.time())
        if token is None:
            self.gateway.logins.take(address, now)
            raise self._not_authenticated("this token is not good (any more)")
        return token

    def log_in(self, token: Token) -> None:
        """Give the browser its cookie."""
        from secrets import token_hex

        config = self.gateway.config
        ends = time.time() + config.login_age
        if token.expires is not None:
            ends = min(ends, token.expires)
        login = cookies.Login(token.id, token_hex(8), int(ends))
        value = login.signed(self.gateway.tokens.now().cookie_key)
        framed = bool(config.frames)
        more: dict[str, Any] = {"partitioned": True} if framed else {}
        self.set_cookie(
            self.gateway.cookie_name, value, expires=ends, path="/", httponly=True,
            secure=framed or self.request.protocol == "https", samesite="None" if framed else "Strict",
            **more,
        )  # fmt: skip


class SocketHandler(Guarded, WebSocketHandler):
    """A handler of WebSockets, which has let in who asks before it is open."""

    def check_origin(self, origin: str) -> bool:
        """Tell whether an origin is ours; `prepare` has looked at it already."""
        return self._is_known_origin(origin)

    async def get(self, **path: str) -> None:
        """Open the WebSocket."""
        if len(self.gateway.sockets) >= self.gateway.config.sockets:
            raise too_many(10.0)
        self.gateway.sockets.add(self)
        try:
            await super().get(**path)
        finally:
            if self.ws_connection is None:
                self.gateway.sockets.discard(self)

    def end(self, reason: str) -> None:
        """Close it, and say why."""
        self.close(4401, reason)

    def on_connection_close(self) -> None:
        """Forget it."""
        self.gateway.sockets.discard(self)
        super().on_connection_close()


def too_many(wait: float) -> Refusal:
    """Return the refusal of who asks too often."""
    return Refusal(429, "too_many_requests", "too many requests: wait", Retry_After=str(max(1, round(wait + 0.5))))


def too_large(most: int) -> Refusal:
    """Return the refusal of a body that is too large."""
    return Refusal(413, "too_large", f"at most {most} bytes are taken here", Connection="close")

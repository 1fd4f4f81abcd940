"""The server: sockets, TLS, and from a request to the handler that the table of routes names."""

from __future__ import annotations

import logging
from typing import Any

from tornado import httputil
from tornado.httpserver import HTTPServer
from tornado.iostream import IOStream
from tornado.web import Application

from ctrlhub.gateway.context import Gateway
from ctrlhub.gateway.refusing import Refuse
from ctrlhub.gateway.route import Route
from ctrlhub.gateway.routes import ROUTES
from ctrlhub.gateway.routing import NotOurs, handler_of, path_of, route_of

log = logging.getLogger(__name__)

MOST_HEAD = 32 * 1024
"""So long the head of a request may be (bytes)."""

MOST_READ_HEAD = 2 * MOST_HEAD
"""A head that is longer than this (bytes) ends the connection without an answer."""


class App(Application):
    """Finds a request's route; there is no other way to a handler."""

    def __init__(self, gateway: Gateway, routes: tuple[Route, ...] = ROUTES) -> None:
        super().__init__(log_function=self._log, websocket_ping_interval=20)
        self.gateway = gateway
        self.routes = routes

    def find_handler(self, request: httputil.HTTPServerRequest, **kwargs: Any) -> Any:
        """Return what takes a request: the handler of its route, or a refusal."""
        gateway = self.gateway
        try:
            if not gateway.hosts.knows(request.headers.get("Host")):
                raise NotOurs(421, "host", "this gateway does not answer to that Host: see the option --http-hosts")
            path = path_of(request.path, gateway.config.prefix)
            request.path = path
            if head_of(request) > MOST_HEAD:
                raise NotOurs(431, "head_too_large", f"the head of a request has at most {MOST_HEAD} bytes")
            route, parts = route_of(self.routes, path)
        except NotOurs as error:
            return self.get_handler_delegate(request, Refuse, {"gateway": gateway, "error": error})
        return self.get_handler_delegate(
            request, handler_of(route), {"gateway": gateway, "route": route}, path_kwargs=parts
        )

    def _log(self, handler: Any) -> None:
        """Log an access: no query, and nothing that was sent; a token may be in either."""
        request = handler.request
        self.gateway.served[handler.get_status()] += 1
        path = handler.route.path if hasattr(handler, "route") else "-"
        log.debug(
            "%s %s %s %d %.1f ms", request.remote_ip, request.method, path,
            handler.get_status(), 1000 * request.request_time(),
        )  # fmt: skip


def head_of(request: httputil.HTTPServerRequest) -> int:
    """Return how long (bytes) the head of a request is, as it is usually written."""
    return len(request.uri or "") + sum(len(name) + len(value) + 4 for name, value in request.headers.get_all())


class Server(HTTPServer):
    """A server with so many connections, and no more."""

    most = 4096

    def handle_stream(self, stream: IOStream, address: tuple[Any, ...]) -> None:
        """Take a connection, if there is room."""
        if len(self._connections) >= self.most:
            stream.close()
            return
        super().handle_stream(stream, address)


def make_server(gateway: Gateway, ssl_options: Any = None) -> HTTPServer:
    """Return the server, which listens nowhere yet."""
    config = gateway.config
    server = Server(
        App(gateway),
        ssl_options=ssl_options,
        max_header_size=MOST_READ_HEAD,
        max_body_size=config.max_upload + 1,
        idle_connection_timeout=config.patience,
        xheaders=False,
    )
    server.most = config.connections
    return server

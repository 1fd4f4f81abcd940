"""What takes a request that leads to no route."""

from __future__ import annotations

import json
from typing import Any

from tornado.web import RequestHandler, stream_request_body

from ctrlhub.gateway.access.headers import headers_of
from ctrlhub.gateway.context import Gateway
from ctrlhub.gateway.routing import NotOurs


@stream_request_body
class Refuse(RequestHandler):
    """Answers with an error, whatever the method, before a body is read."""

    def initialize(self, gateway: Gateway, error: NotOurs) -> None:
        """Take what is to be said."""
        self.clear_header("Server")
        for name, value in headers_of(gateway.config, page=False).items():
            self.set_header(name, value)
        self._error = error

    def prepare(self) -> None:
        """Say it."""
        error = self._error
        self.set_status(error.status)
        self.set_header("Content-Type", "application/json; charset=utf-8")
        self.finish(json.dumps({"error": {"code": error.code, "message": error.message}}).encode())

    def data_received(self, chunk: bytes) -> None:
        """Let a body go."""

    def log_exception(self, typ: Any, value: Any, tb: Any) -> None:
        """Nothing here fails but the peer's connection."""

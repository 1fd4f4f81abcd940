"""Subscribers of the gateway's live events: over WebSockets, and by server-sent events."""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

from websockets.sync.client import ClientConnection, connect

from tests.support.rest import TIMEOUT, Rest


@contextmanager
def socket(rest: Rest, query: str = "") -> Iterator[ClientConnection]:
    """A WebSocket that is subscribed."""
    url = rest.url.replace("http", "ws", 1) + f"/api/v1/events?{query}"
    headers = {"Authorization": f"Bearer {rest.token}"}
    with connect(url, additional_headers=headers, open_timeout=TIMEOUT, max_size=None) as opened:
        yield opened


def events(opened: ClientConnection) -> Iterator[dict[str, Any]]:
    """Yield what comes; an error if nothing comes for long."""
    while True:
        yield json.loads(opened.recv(timeout=TIMEOUT))


class Stream:
    """A stream of server-sent events."""

    def __init__(self, rest: Rest, query: str = "", last: str = "") -> None:
        where = urlsplit(rest.url)
        assert where.hostname is not None
        self._connection = http.client.HTTPConnection(where.hostname, where.port, timeout=TIMEOUT)
        headers = {"Authorization": f"Bearer {rest.token}", "Accept": "text/event-stream"}
        if last:
            headers["Last-Event-ID"] = last
        self._connection.request("GET", f"/api/v1/events?{query}", headers=headers)
        self.answer = self._connection.getresponse()

    def __enter__(self) -> Stream:
        return self

    def __exit__(self, *error: object) -> None:
        self.answer.close()
        self._connection.close()

    def events(self) -> Iterator[dict[str, Any]]:
        """Yield the events, each with the mark that stands beside it; until the stream ends."""
        fields: dict[str, str] = {}
        for raw in iter(self.answer.readline, b""):
            line = raw.decode().rstrip("\n")
            if line:
                name, _, value = line.partition(": ")
                fields[name] = value
                continue
            if "data" in fields:
                event = json.loads(fields["data"])
                assert event["event"] == fields["event"]
                assert event.get("id") == fields.get("id")
                yield event
            fields = {}

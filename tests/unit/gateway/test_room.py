"""Connections and descriptors."""

from __future__ import annotations

from ctrlhub.controller.http_config import HttpConfig
from ctrlhub.gateway.access.room import KEPT, LEAST, fitted


def test_what_there_is_room_for() -> None:
    """As many as the options say, and never more than there are descriptors for."""
    config = HttpConfig(connections=4096, sockets=2048)
    assert fitted(config, 1 << 20) == config
    narrow = fitted(config, 1024)
    assert (narrow.connections, narrow.sockets) == (384, 384)
    assert narrow.connections + narrow.sockets + KEPT <= 1024
    assert fitted(config, 10).connections == LEAST
    assert fitted(HttpConfig(connections=3, sockets=2), 1024).connections == 3

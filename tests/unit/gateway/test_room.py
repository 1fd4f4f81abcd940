"""Connections and descriptors."""

from __future__ import annotations

from ctrlhub.controller.http_config import HttpConfig
from ctrlhub.gateway.access.roles import Role
from ctrlhub.gateway.access.room import KEPT, KEPT_FOR_ADMINS, LEAST, fitted, places


def test_what_there_is_room_for() -> None:
    """As many as the options say, and never more than there are descriptors for."""
    config = HttpConfig(connections=4096, sockets=2048)
    assert fitted(config, 1 << 20) == config
    narrow = fitted(config, 1024)
    assert (narrow.connections, narrow.sockets) == (384, 384)
    assert narrow.connections + narrow.sockets + KEPT <= 1024
    assert fitted(config, 10).connections == LEAST
    assert fitted(HttpConfig(connections=3, sockets=2), 1024).connections == 3


def test_the_last_places_are_for_admins() -> None:
    """Whoever looks on takes them all in vain; of few places few are kept, and of very few none."""
    assert [places(2048, role) for role in (Role.VIEW, Role.SUBMIT, Role.ADMIN)] == [2048 - KEPT_FOR_ADMINS] * 2 + [2048]
    assert [places(16, role) for role in (Role.VIEW, Role.ADMIN)] == [14, 16]
    assert places(1, Role.VIEW) == 1

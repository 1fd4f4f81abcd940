"""How many connections there is room for, and for whom: each is a descriptor, and without one nothing goes on. No I/O."""

from __future__ import annotations

from dataclasses import replace

from ctrlhub.controller.http_config import HttpConfig
from ctrlhub.gateway.access.roles import Role

KEPT = 256
"""So many descriptors are kept for everything else: files, and the gateway's own connections to the hub."""

LEAST = 16
"""So many connections and sockets there are in any case."""

KEPT_FOR_ADMINS = 16
"""So many of the places for WebSockets and streams of events only admins get, or an eighth of them if that is less."""


def places(most: int, role: Role) -> int:
    """Return how many of all places may be taken for somebody with a role to get one: who takes them all locks out no admin."""
    return most if role is Role.ADMIN else most - min(KEPT_FOR_ADMINS, most // 8)


def fitted(config: HttpConfig, descriptors: int) -> HttpConfig:
    """Return the options with no more connections and sockets than a process can have that may have so many descriptors."""
    each = max(LEAST, (descriptors - KEPT) // 2)
    return replace(config, connections=min(config.connections, each), sockets=min(config.sockets, each))

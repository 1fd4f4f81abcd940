"""How many connections there is room for: each is a descriptor, and without one nothing goes on. No I/O."""

from __future__ import annotations

from dataclasses import replace

from ctrlhub.controller.http_config import HttpConfig

KEPT = 256
"""So many descriptors are kept for everything else: files, and the gateway's own connections to the hub."""

LEAST = 16
"""So many connections and sockets there are in any case."""


def fitted(config: HttpConfig, descriptors: int) -> HttpConfig:
    """Return the options with no more connections and sockets than a process can have that may have so many descriptors."""
    each = max(LEAST, (descriptors - KEPT) // 2)
    return replace(config, connections=min(config.connections, each), sockets=min(config.sockets, each))

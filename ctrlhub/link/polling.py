"""Waiting for descriptors on any system."""

from __future__ import annotations

import select
from typing import Any

_make: Any = getattr(select, "poll", None)

POLLIN = 1
POLLOUT = 2 if _make is None else 4
"""What a poller of `make_poller` is asked for, and says."""


def make_poller() -> Any:
    """Return the system's poller, or where it has none ZeroMQ's, which has the same methods."""
    if _make is not None:
        return _make()
    import zmq

    return zmq.Poller()

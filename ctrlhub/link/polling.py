"""Waiting for descriptors on any system."""

from __future__ import annotations

import select
from typing import Any

import zmq

POLLIN, POLLOUT = int(zmq.POLLIN), int(zmq.POLLOUT)
"""The same numbers for both kinds."""


def make_poller() -> Any:
    """Return the system's poller, or where it has none ZeroMQ's, which has the same methods."""
    make = getattr(select, "poll", None)
    return zmq.Poller() if make is None else make()

"""Whether a hub can be reached from here: somebody listens, and nothing is between."""

from __future__ import annotations

import socket

from ctrlhub.wire.addresses import place_of


def obstacle(address: str, timeout: float) -> str:
    """Say why a TCP address cannot be connected to; empty if it can.

    Parameters
    ----------
    address
        As a connection file says it.
    timeout
        How long (seconds) to try.
    """
    try:
        socket.create_connection(place_of(address), timeout).close()
    except OSError as error:
        return error.strerror or str(error)
    return ""

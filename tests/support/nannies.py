"""Nannies, as a client knows of them."""

from __future__ import annotations

import signal

from ctrlhub import Client, EngineError


def has_nannies(client: Client) -> bool:
    """Tell whether signals reach the engines; a nanny speaks up a moment after them."""
    try:
        client.send_signal(signal.SIGURG)
    except EngineError:
        return False
    return True

"""Finding the hub: its connection file, which may be about to be written."""

from __future__ import annotations

import time
from pathlib import Path

from ctrlhub.wire.connection import ConnectionInfo
from ctrlhub.wire.errors import ConnectionFileError
from ctrlhub.wire.liveness import has_died
from ctrlhub.wire.messages import Role

POLL = 0.005
"""How often (seconds) to look for a connection file."""


def find_connection(path: Path) -> ConnectionInfo | None:
    """Read a connection file, unless it is not there or was left behind by a hub that has died.

    Raises
    ------
    ConnectionFileError
        It is there and cannot be used.
    """
    if not path.exists():
        return None
    info = load(path)
    return None if has_died(info) else info


def load(path: Path) -> ConnectionInfo:
    """Read a connection file, which must be one for engines.

    Raises
    ------
    ConnectionFileError
        It cannot be used.
    """
    info = ConnectionInfo.load(path)
    if info.role is not Role.ENGINE:
        raise ConnectionFileError(
            f"{path} is for peers of role {info.role.value!r}: use connection-engine.json, "
            "which stands beside it"
        )
    return info


def await_connection(path: Path, wait: float) -> ConnectionInfo:
    """Read a connection file as soon as it is there.

    Raises
    ------
    ConnectionFileError
        It is not there after `wait` seconds, or cannot be used.
    """
    deadline = time.monotonic() + wait
    while (info := find_connection(path)) is None:
        if time.monotonic() >= deadline:
            # The hub may run where its process cannot be seen from here; or this says what is wrong.
            return load(path)
        time.sleep(POLL)
    return info

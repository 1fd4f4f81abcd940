"""Finding the hub: by its connection file, which may be about to be written, or by a token."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from pathlib import Path

from ctrlhub.wire.connection import ConnectionInfo
from ctrlhub.wire.errors import ConnectionFileError, HubNotFound
from ctrlhub.wire.liveness import has_died
from ctrlhub.wire.messages import Role

POLL = 0.005
"""How often (seconds) to look for a connection file."""


@dataclass(frozen=True, slots=True)
class Way:
    """How the hub is found.

    Parameters
    ----------
    file
        Path of the connection file.
    token
        What it says, instead of the file.
    """

    file: str
    token: str = field(default="", repr=False)

    @property
    def is_there(self) -> bool:
        """Whether there is something to be read, as yet."""
        return bool(self.token) or Path(self.file).exists()


def find_connection(way: Way) -> ConnectionInfo | None:
    """Read a connection file, unless it is not there or was left behind by a hub that has died.

    A token is as good as a file, as long as the hub it speaks of has sockets here: another one of
    the same profile has them in the same places.

    Raises
    ------
    ConnectionFileError
        It is there and cannot be used.
    """
    if way.token:
        info = load(way)
        try:
            info.addresses_here()
        except HubNotFound:
            return info if info.ssh else None
        return info
    if not way.is_there:
        return None
    info = load(way)
    return None if has_died(info) else info


def load(way: Way) -> ConnectionInfo:
    """Read a connection file or token, which must be one for engines.

    Raises
    ------
    ConnectionFileError
        It cannot be used.
    """
    if way.token:
        info = ConnectionInfo.from_token(way.token)
        if info.role is not Role.ENGINE:
            raise ConnectionFileError(
                f"the token is for peers of role {info.role.value!r}: `ctrl-hub engines token` "
                "prints one for engines"
            )
        return info
    info = ConnectionInfo.load(Path(way.file))
    if info.role is not Role.ENGINE:
        raise ConnectionFileError(
            f"{way.file} is for peers of role {info.role.value!r}: use connection-engine.json, "
            "which stands beside it"
        )
    return info


def await_connection(way: Way, wait: float) -> ConnectionInfo:
    """Read a connection file as soon as it is there.

    Raises
    ------
    ConnectionFileError
        It is not there after `wait` seconds, or cannot be used.
    """
    deadline = time.monotonic() + wait
    while (info := find_connection(way)) is None:
        if time.monotonic() >= deadline:
            # The hub may run where its process cannot be seen from here; or this says what is wrong.
            return load(way)
        time.sleep(POLL)
    return info

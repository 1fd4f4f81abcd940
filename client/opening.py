"""Finding the hub: from what the user says to a connection file that can be used."""

from __future__ import annotations

import base64
import json
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ctrlhub.wire.connection import ConnectionInfo, Here
from ctrlhub.wire.errors import ConnectionFileError, HubNotFound
from ctrlhub.wire.lock import HubLock
from ctrlhub.wire.messages import Register, Role
from ctrlhub.wire.places import DEFAULT_PROFILE, Profile
from ctrlhub.wire.private import StateError
from ctrlhub.wire.versions import versions

POLL = 0.005
"""How often (seconds) to look for the file of a hub that is just starting."""

Where = str | os.PathLike[str] | Mapping[str, Any] | ConnectionInfo | None


def find(where: Where, profile: str | None, timeout: float) -> ConnectionInfo:
    """Find the running hub that is meant.

    Parameters
    ----------
    where
        The path of a connection file, what stands in one, or None.
    profile
        Without `where`: the name of the hub's profile; None is the default one.
    timeout
        How long (seconds) to wait for a hub that is just starting.

    Raises
    ------
    HubNotFound
        No such hub is running.
    ConnectionFileError
        What was named is no usable connection file for clients.
    """
    if where is None:
        return _of_profile(Profile.named(profile or DEFAULT_PROFILE), timeout)
    if profile is not None:
        raise TypeError("name a connection file or a profile, not both")
    if isinstance(where, ConnectionInfo):
        return _for_clients(where, "this connection")
    if isinstance(where, Mapping):
        # The same checks as for a file.
        token = base64.urlsafe_b64encode(json.dumps(dict(where)).encode()).decode("ascii")
        return _for_clients(ConnectionInfo.from_token(token), "this connection")
    path = Path(where).expanduser()
    info = _for_clients(ConnectionInfo.load(path), f"{path}")
    if _has_ended(info, path.parent / "lock"):
        raise HubNotFound(
            f"the hub that wrote {path} (pid {info.hub_pid}) has ended: start one with "
            "`ctrl-hub start -n 4`"
        )
    return info


def file_of(info: ConnectionInfo, where: Where, profile: str | None) -> Path | None:
    """Return the file that the hub's end will remove; None if none is known to be the hub's."""
    if where is None:
        return Profile.named(profile or DEFAULT_PROFILE).connection_client
    if isinstance(where, str | os.PathLike):
        return Path(where).expanduser().absolute()
    path = Profile.named(info.profile).connection_client
    try:
        return path if ConnectionInfo.load(path).epoch == info.epoch else None
    except ConnectionFileError:
        return None


def is_gone(info: ConnectionInfo, file: Path) -> bool:
    """Say whether a hub has ended and nobody will start it again: its file was cleaned away.

    A supervisor that starts a killed hub again leaves the file where it is.
    """
    try:
        return bool(info.ipc) and not file.exists() and _has_ended(info, file.parent / "lock")
    except OSError:
        return False  # that cannot be told


def registration(key: str) -> Register:
    """Make what a client says of itself.

    Parameters
    ----------
    key
        Its public key, or where there are none any name of its own.
    """
    import platform

    return Register(
        role=Role.CLIENT.value,
        key=key,
        incarnation=os.urandom(16),
        pid=os.getpid(),
        host=platform.node(),
        versions=versions(),
    )


def _of_profile(profile: Profile, timeout: float) -> ConnectionInfo:
    end = time.monotonic() + timeout
    path = profile.connection_client
    while True:
        try:
            info = _for_clients(ConnectionInfo.load(path), f"{path}")
        except ConnectionFileError:
            if path.exists():
                raise
            if profile.hub_lock().holder() is None or time.monotonic() > end:
                raise _none_running(profile) from None
            # It holds its lock and has not bound its sockets yet.
            time.sleep(POLL)
            continue
        if _has_ended(info, profile.lock):
            raise _none_running(profile)
        return info


def _none_running(profile: Profile) -> HubNotFound:
    if profile.name == DEFAULT_PROFILE:
        return HubNotFound("no hub is running: start one with `ctrl-hub start -n 4`")
    return HubNotFound(
        f"no hub of profile {profile.name!r} is running: start one with "
        f"`ctrl-hub start -n 4 --profile {profile.name}`"
    )


def _for_clients(info: ConnectionInfo, what: str) -> ConnectionInfo:
    if info.role is not Role.CLIENT:
        raise ConnectionFileError(
            f"{what} is for peers of role {info.role.value!r}: use connection-client.json, "
            "which stands beside it"
        )
    return info


def _has_ended(info: ConnectionInfo, lock: Path) -> bool:
    """Say whether the hub is known to be dead: only on its own host can that be told."""
    if not Here.find().reaches(Here(info.boot_id, info.uid, info.host)):
        return False
    try:
        if lock.exists():
            return HubLock(lock).holder() is None
    except StateError:
        return False  # a file system without locks
    try:
        os.kill(info.hub_pid, 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False
    return False

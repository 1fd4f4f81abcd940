"""Finding the hub: from what the user says to a connection file that can be used."""

from __future__ import annotations

import base64
import json
import os
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from ctrlhub.wire.connection import ConnectionInfo
from ctrlhub.wire.errors import ConnectionFileError, HubNotFound, HubUnavailable
from ctrlhub.wire.limits import MAX_SESSION
from ctrlhub.wire.liveness import has_died
from ctrlhub.wire.lock import HubLock
from ctrlhub.wire.messages import CLIENT_ROLES, Register, Role
from ctrlhub.wire.places import DEFAULT_PROFILE, PROFILE_VARIABLE, Profile
from ctrlhub.wire.versions import versions

POLL = 0.005
"""How often (seconds) to look for the file of a hub that is just starting."""

LONGEST_POLL = 0.05
"""The same after a while."""

_SIGNS_OF_AN_ADDRESS = ("://", "token=")

Where = str | os.PathLike[str] | Mapping[str, Any] | ConnectionInfo | None


def find(
    where: Where, profile: str | None, timeout: float, role: Role = Role.ADMIN
) -> ConnectionInfo:
    """Find the running hub that is meant.

    Parameters
    ----------
    where
        The path of a connection file, what stands in one, or None.
    profile
        Without `where`: the name of the hub's profile; None is the default one.
    timeout
        How long (seconds) to wait for a hub that is just starting, or that a supervisor starts again.
    role
        Without `where`: as which kind of client.

    Raises
    ------
    HubNotFound
        No such hub is running.
    HubUnavailable
        None is yet, and its supervisor goes on trying.
    ConnectionFileError
        What was named is no usable connection file for clients.
    ValueError
        It is an address, and none of a hub.
    """
    if where is None:
        place = Profile.named(profile or os.environ.get(PROFILE_VARIABLE) or DEFAULT_PROFILE)
        info = _live(place.connection(role), timeout)
        if info is None:
            raise _none_running(place)
        return info
    if profile is not None:
        raise TypeError("name a connection file or a profile, not both")
    if isinstance(where, ConnectionInfo):
        return _located(_for_clients(where, "this connection"))
    if isinstance(where, Mapping):
        # The same checks as for a file.
        token = base64.urlsafe_b64encode(json.dumps(dict(where)).encode()).decode("ascii")
        return _located(_for_clients(ConnectionInfo.from_token(token), "this connection"))
    if isinstance(where, str) and any(sign in where for sign in _SIGNS_OF_AN_ADDRESS):  # it is not to be shown
        raise ValueError(
            "that is neither the path of a connection file nor the address of a hub, which is https://HOST:PORT "
            "or http://HOST:PORT"
        )
    path = Path(where).expanduser().absolute()
    info = _live(path, timeout)
    if info is None:
        found = ConnectionInfo.load(path)
        raise HubNotFound(
            f"the hub that wrote {path} (pid {found.hub_pid}) has ended: start one with "
            f"`ctrl-hub start -n 4`{last_trouble(path.parent)}"
        )
    return info


def registration(
    key: str, session: int | None = None, *, takeover: bool = False, role: Role = Role.ADMIN
) -> Register:
    """Make what a client says of itself.

    Parameters
    ----------
    key
        Its public key, or where there are none any name of its own.
    session
        The session to attach to; None for a new one.
    takeover
        Attach to it also if another client is attached.
    role
        As which kind of client.

    Raises
    ------
    TypeError, ValueError
        That is no session.
    """
    if session is None:
        if takeover:
            raise TypeError("takeover is about a session: name it with session=...")
    elif type(session) is not int:
        raise TypeError(f"session must be the number of a session, not {session!r:.80}")
    elif not 0 < session <= MAX_SESSION:
        raise ValueError(f"the numbers of sessions lie in 1 ... {MAX_SESSION}, not {session}")
    import platform

    return Register(
        role=role.value,
        key=key,
        incarnation=os.urandom(16),
        pid=os.getpid(),
        host=platform.node(),
        versions=versions(),
        session=-1 if session is None else session,
        attach=session is not None,
        take_over=bool(takeover),
    )


def chosen_role(role: str | Role | None, where: Where) -> Role:
    """Return as which kind of client one comes, where no connection file says so.

    Raises
    ------
    TypeError, ValueError
        It is none of a client's roles; or a connection file is named, which says the role.
    """
    if role is None:
        return Role.ADMIN
    if where is not None:
        raise TypeError("a connection file says as which role its client comes: leave role out")
    names = [each.value for each in CLIENT_ROLES]
    if role not in names:
        raise ValueError(f"role must be one of {', '.join(map(repr, names))}, not {role!r:.80}")
    return Role(role)


def last_trouble(directory: Path) -> str:
    """Say why the last hub of a profile could not start, to be appended to a message; "" if it could."""
    from ctrlhub.wire.trouble import noted_trouble

    trouble = noted_trouble(directory)
    return f" (the last one could not: {trouble})" if trouble else ""


def _live(path: Path, timeout: float) -> ConnectionInfo | None:
    """Read the file of a hub that lives, or is just starting and lives in time; None if none does."""
    end = time.monotonic() + timeout
    lock, supervisor = HubLock(path.parent / "lock"), HubLock(path.parent / "supervisor.lock")
    pause = POLL
    while True:
        info = _load(path)
        if info is not None and not has_died(info):
            return info
        supervised = supervisor.holder() is not None
        if lock.holder() is None and not supervised:
            return None
        if time.monotonic() > end:
            if supervised:
                raise _none_yet(path.parent, timeout)
            return None
        # Somebody holds it and has not bound its sockets yet, or is about to start who does.
        time.sleep(pause)
        pause = min(1.2 * pause, LONGEST_POLL)


def _load(path: Path) -> ConnectionInfo | None:
    try:
        return _for_clients(ConnectionInfo.load(path), f"{path}")
    except ConnectionFileError:
        if path.exists():
            raise
        return None


def _located(info: ConnectionInfo) -> ConnectionInfo:
    """Add where its file is, as far as that is known: the end of its hub shows there."""
    if info.file is not None:
        return info
    path = Profile.named(info.profile).connection(info.role)
    try:
        known = ConnectionInfo.load(path).epoch == info.epoch
    except ConnectionFileError:
        return info
    return replace(info, file=path) if known else info


def _none_yet(directory: Path, timeout: float) -> HubUnavailable:
    from ctrlhub.wire.trouble import noted_trouble

    trouble = noted_trouble(directory)
    why = f"it cannot start now: {trouble}" if trouble else f"see the logs in {directory / 'logs'}"
    return HubUnavailable(
        f"there is no hub of profile {directory.name!r} for {timeout:g} s, and its supervisor goes on "
        f"starting one ({why})"
    )


def _none_running(profile: Profile) -> HubNotFound:
    last = last_trouble(profile.directory)
    if profile.name == DEFAULT_PROFILE:
        return HubNotFound(f"no hub is running: start one with `ctrl-hub start -n 4`{last}")
    return HubNotFound(
        f"no hub of profile {profile.name!r} is running: start one with "
        f"`ctrl-hub start -n 4 --profile {profile.name}`{last}"
    )


def _for_clients(info: ConnectionInfo, what: str) -> ConnectionInfo:
    if not info.role.is_client:
        raise ConnectionFileError(
            f"{what} is for peers of role {info.role.value!r}: use connection-client.json, "
            "which stands beside it"
        )
    return info

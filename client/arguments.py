"""Arguments of `Client` that come from ipyparallel and mean something else here, or nothing."""

from __future__ import annotations

from collections.abc import Mapping
from numbers import Real
from typing import Any
from warnings import warn

IGNORED = {
    "debug": "the logger 'ctrlhub.client' tells what goes on",
    "ipython_dir": "hubs are found by profile, wherever IPython keeps its files",
    "paramiko": "tunnels are made by OpenSSH's `ssh`",
    "profile_dir": "hubs are found by profile, wherever IPython keeps its files",
}
"""What is taken and ignored, and why."""

INSTEAD = {
    "key": "keys stand in the connection file",
    "password": "ssh takes no password from a program: use a key (sshkey=...) or an agent",
    "url_file": "pass the connection file as connection_info",
    "url_or_file": "pass the connection file as connection_info",
}
"""What is refused, and what to do instead."""


def check_others(others: Mapping[str, Any], known: str) -> None:
    """Warn of arguments that have no meaning here, and refuse those that nobody knows.

    Parameters
    ----------
    others
        The arguments that are not `Client`'s own.
    known
        The names of those that are, for the message.

    Raises
    ------
    TypeError
        There is no such argument.
    """
    for name, value in others.items():
        if name in INSTEAD:
            if value is not None:
                raise TypeError(f"Client: {name}: {INSTEAD[name]}")
        elif name not in IGNORED:
            raise TypeError(f"Client has no argument {name!r}; it has: {known}")
        elif value is not None and value is not False:
            warn(f"Client: {name} is ignored: {IGNORED[name]}", stacklevel=3)


def check_kinds(context: Any, **seconds: Any) -> None:
    """Refuse what cannot be a context of ZeroMQ, or a time.

    Raises
    ------
    TypeError
        It cannot.
    """
    if context is not None and not callable(getattr(context, "socket", None)):
        raise TypeError(f"Client: context is a zmq.Context, not {context!r}")
    for name, value in seconds.items():
        if not isinstance(value, Real):
            raise TypeError(f"Client: {name} is a number of seconds, not {value!r}")


def check_web_only(**options: Any) -> None:
    """Refuse what is about gateways where none is named.

    Raises
    ------
    TypeError
        There is such an option.
    """
    for name, value in options.items():
        if value is not None:
            raise TypeError(
                f"Client: {name} goes with the address of a hub's gateway: Client('https://host:port', ...)"
            )


def chosen_profile(profile: str | None, cluster_id: str | None) -> str | None:
    """Return the profile that is meant: each cluster has one, and its id is the profile's name.

    Raises
    ------
    TypeError
        Two different ones are named.
    """
    if profile and cluster_id and profile != cluster_id:
        raise TypeError(
            f"name a profile ({profile!r}) or a cluster_id ({cluster_id!r}), not both: here each "
            "cluster has a profile of its own, and its id is that profile's name"
        )
    return profile or cluster_id or None

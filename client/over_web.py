"""A client's way to a hub over HTTP: the address of its gateway, and a token."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from ctrlhub.client.opening import registration
from ctrlhub.link.web import WebLink
from ctrlhub.link.web_address import WebAddress
from ctrlhub.link.web_opening import ask_web
from ctrlhub.wire.connection import ConnectionInfo
from ctrlhub.wire.errors import CtrlHubError, ProtocolMismatch
from ctrlhub.wire.liveness import is_gone
from ctrlhub.wire.messages import Register, Role


@dataclass(frozen=True, slots=True)
class WebWay:
    """A link that stands, what to say on it, whose hub it is, and whether that has ended for good.

    The latter is None where nothing can be told of the hub: it runs on another host.
    """

    link: WebLink
    registration: Register
    profile: str
    is_gone: Callable[[], bool] | None


def open_way(
    address: WebAddress, timeout: float, session: int | None, *, takeover: bool
) -> WebWay:
    """Reach a hub through its gateway.

    Parameters
    ----------
    address
        The gateway.
    timeout
        How long (seconds) to wait for it.
    session, takeover
        As for `registration`.

    Raises
    ------
    AuthenticationError, HubNotFound, HubUnavailable
        It is not there, or does not let us in.
    """
    told = ask_web(address, timeout)
    said = registration(os.urandom(20).hex(), session, takeover=takeover, role=_role(told))
    return WebWay(WebLink(address, timeout), said, str(told.get("profile", "")), _end_of(told))


def check_alone(**others: Any) -> None:
    """See that nothing is asked for that is about other ways to a hub.

    Raises
    ------
    TypeError
        Something is.
    """
    for name, value in others.items():
        if value is not None:
            raise TypeError(f"Client: {name} has no meaning with the address of a gateway")


def _end_of(told: Mapping[str, Any]) -> Callable[[], bool] | None:
    """Return what says whether the hub has ended for good, as for a client that has its connection file.

    A hub is one of this host, and of this user, if the file is here and says the same of it.
    """
    file = told.get("file")
    if not isinstance(file, str) or not Path(file).is_absolute():
        return None
    try:
        info = ConnectionInfo.load(Path(file))
    except (CtrlHubError, OSError, ValueError):  # it is not here, or not ours
        return None
    return partial(is_gone, info) if info.epoch == told.get("epoch") else None


def _role(told: Mapping[str, Any]) -> Role:
    try:
        return Role(told["role"])
    except ValueError:
        raise ProtocolMismatch(
            f"the hub gives this token the role {str(told['role'])[:40]!r}, which this version of "
            "ctrl-hub does not know: install the hub's"
        ) from None

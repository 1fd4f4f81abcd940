"""A client's way to a hub over HTTP: the address of its gateway, and a token."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ctrlhub.client.opening import registration
from ctrlhub.link.web import WebLink
from ctrlhub.link.web_address import WebAddress
from ctrlhub.link.web_opening import ask_web
from ctrlhub.wire.errors import ProtocolMismatch
from ctrlhub.wire.messages import Register, Role


@dataclass(frozen=True, slots=True)
class WebWay:
    """A link that stands, what to say on it, and whose hub it is."""

    link: WebLink
    registration: Register
    profile: str


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
    return WebWay(WebLink(address, timeout), said, str(told.get("profile", "")))


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


def _role(told: Mapping[str, Any]) -> Role:
    try:
        return Role(told["role"])
    except ValueError:
        raise ProtocolMismatch(
            f"the hub gives this token the role {str(told['role'])[:40]!r}, which this version of "
            "ctrl-hub does not know: install the hub's"
        ) from None

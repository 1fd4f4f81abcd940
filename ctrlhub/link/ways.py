"""A link to a hub by the way that its connection file names: directly, or through ssh."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from ctrlhub.link.zeromq import ZeroMQLink
from ctrlhub.wire.connection import ConnectionInfo
from ctrlhub.wire.security import KeyPair
from ctrlhub.wire.ssh import SSHServer

if TYPE_CHECKING:
    import zmq


def gateway_to(
    info: ConnectionInfo, server: str | None = None, key: str | None = None
) -> SSHServer | None:
    """Return through which ssh server the hub is reached from here; None for none.

    Parameters
    ----------
    info
        The hub's connection file, which may name one for who is not on its machine.
    server
        One to take in any case; "" for none. None leaves that to the file.
    key
        The file of a private key.

    Raises
    ------
    ValueError
        That is no ssh server.
    """
    if server is None:
        server = "" if info.is_here() else info.ssh
    return SSHServer.parse(server, key) if server else None


def link_to(
    info: ConnectionInfo,
    keys: KeyPair,
    gateway: SSHServer | None,
    timeout: float,
    context: zmq.Context[Any] | None = None,
    prefer: Literal["ipc", "tcp"] | None = None,
) -> ZeroMQLink:
    """Open a link, through an ssh server if there is one.

    Parameters
    ----------
    info, keys, context, prefer
        As for `ZeroMQLink`; `prefer` only where there is no ssh server.
    gateway
        The ssh server.
    timeout
        How long (seconds) to wait for it.

    Raises
    ------
    HubNotFound
        The hub does not listen for this place.
    HubUnavailable
        It cannot be reached through ssh.
    """
    if gateway is None:
        return ZeroMQLink(info, keys, prefer, context)
    from ctrlhub.link.tunnel import Tunnel, TunnelLink

    tunnel = Tunnel(info, gateway)
    try:
        tunnel.wait(timeout)
        return TunnelLink(tunnel, keys, context)
    except BaseException:
        tunnel.close()
        raise

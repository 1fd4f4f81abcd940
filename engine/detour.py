"""A nanny's way to a hub through ssh: one tunnel for it and its engines."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

from ctrlhub.engine.config import NannyConfig
from ctrlhub.engine.rendezvous import Way, load
from ctrlhub.link.tunnel import Tunnel
from ctrlhub.link.ways import gateway_to
from ctrlhub.wire.errors import CtrlHubError
from ctrlhub.wire.ssh import NO_SSH

FILE = "connection-engine.json"


class Detour:
    """The tunnel of a nanny, if it needs one.

    The near ends of a tunnel are known before it stands, so nanny and engines find them in a
    connection file of their own, connect to them, and are through as soon as ssh is.

    Parameters
    ----------
    config
        What the nanny was told.

    Attributes
    ----------
    config : NannyConfig
        What it is to do instead: the same, but for the way to the hub.
    """

    def __init__(self, config: NannyConfig) -> None:
        self.config = config
        self._tunnel: Tunnel | None = None
        if config.prefer is not None and not config.ssh:
            return  # a way that leads there directly
        if config.connection and not config.ssh and not Way(config.connection).is_there:
            return  # of a hub that is just starting, on this host
        try:
            info = load(Way(config.connection, config.token))
            if config.ssh == NO_SSH:
                way: Literal["ipc", "tcp"] = "tcp" if info.addresses_here().uses_curve else "ipc"
                self.config = replace(config, prefer=way, ssh="", ssh_key="")
                return
        except CtrlHubError:
            return  # who looks for the hub finds the same, and says so
        gateway = gateway_to(info, config.ssh or None, config.ssh_key or None)
        if gateway is None:
            return
        self._tunnel = Tunnel(info, gateway)
        file = self._tunnel.directory / FILE
        # Of a hub that nothing can be told of from here, however alike this host and its own are.
        replace(self._tunnel.info, boot_id="", host=f"through {gateway.destination}"[:200]).write(file)
        self.config = replace(
            config, connection=str(file), token="", prefer=self._tunnel.prefer, ssh="", ssh_key=""
        )

    def failure(self) -> str | None:
        """Say why the tunnel does not stand; None if there is none, or it does."""
        return None if self._tunnel is None else self._tunnel.failure()

    def close(self) -> None:
        """End the tunnel."""
        if self._tunnel is not None:
            self._tunnel.close()

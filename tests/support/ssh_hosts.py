"""An ssh server that stands for several hosts, and the client's configuration for them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tests.support.sshd import Sshd, can_have_sshd, free_port

__all__ = ["FarHosts", "can_have_sshd"]

PORT = 2222
"""Where a server on a node of its own listens."""


class FarHosts(Sshd):
    """A server that every ``far-...`` means, and its own address, by `ssh`.

    Parameters
    ----------
    place, prefix
        As for `Sshd`.
    address
        Where it listens.
    """

    def __init__(self, place: Path, address: str = "127.0.0.1", prefix: Sequence[str] = ()) -> None:
        super().__init__(place, address, PORT if prefix else free_port(address), prefix)
        self.config = self.write_config()

    def write_config(self, known_hosts: str = "known_hosts", key: str = "key") -> Path:
        """Write the client's configuration, with these keys of host and user; return its path."""
        path = self.place / f"ssh_config-{known_hosts}-{key}"
        path.write_text(
            f"Host far-* {self.address}\n  HostName {self.address}\n  Port {self.port}\n  User root\n"
            f"  HostKeyAlias [{self.address}]:{self.port}\n"
            f"  UserKnownHostsFile {self.place}/{known_hosts}\n  GlobalKnownHostsFile none\n"
            f"  StrictHostKeyChecking yes\n  IdentityFile {self.place}/{key}\n  IdentitiesOnly yes\n"
        )
        return path

    @property
    def ssh(self) -> str:
        """The ssh that gets in."""
        return f"ssh -F {self.config}"

"""A cluster whose clients come over HTTP, through the hub's gateway."""

from __future__ import annotations

from typing import Any

from ctrlhub import Client, Cluster
from ctrlhub.gateway.access.roles import Role
from ctrlhub.gateway.token_file import TokenFile


class HttpCluster:
    """Offers of `ctrlhub.Cluster` what the contract suite uses; its engines come over ipc as ever."""

    def __init__(self, n: int, **options: Any) -> None:
        self._cluster = Cluster(n=n, **options)
        self.url = self.token = ""

    def start(self) -> Client:
        """Start everything, the gateway as well; return a client over HTTP."""
        with self._cluster.start() as local:
            self.url = local.gateway()
        self.token = self.token_of("admin")
        return self.connect_client_sync()

    def token_of(self, role: str) -> str:
        """Return the token of a role."""
        claim = self._cluster._claim
        assert claim is not None, "the cluster runs"
        token = TokenFile(claim.profile.tokens).now().shown(Role(role))
        assert token is not None, f"there is no token of role {role}"
        return token.secret

    @property
    def link(self) -> str:
        """The address with the token in it, as it is shown to people."""
        return f"{self.url}/?token={self.token}"

    def connect_client_sync(self, **options: Any) -> Client:
        """Connect another client over HTTP."""
        return Client(self.url, token=self.token, **options)

    def stop(self) -> None:
        """End everything."""
        self._cluster.stop()

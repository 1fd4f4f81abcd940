"""Where the gateway of a cluster is: its hub is asked, which starts one where there is none."""

from __future__ import annotations

import asyncio
import os
from dataclasses import dataclass
from urllib.parse import urlsplit

from ctrlhub.client.async_client import AsyncClient
from ctrlhub.cluster.ephemeral import private_profiles
from ctrlhub.gateway.access.roles import Role
from ctrlhub.gateway.token_file import TokenFile
from ctrlhub.wire.errors import HubNotFound
from ctrlhub.wire.places import DEFAULT_PROFILE, PROFILE_VARIABLE, Profile

TIMEOUT = 10.0
"""How long (seconds) a hub may take to answer."""


@dataclass(frozen=True, slots=True)
class Upstream:
    """A gateway.

    Parameters
    ----------
    scheme, host, port, prefix
        Its URL.
    token
        Lets in.
    profile
        Whose it is.
    """

    scheme: str
    host: str
    port: int
    prefix: str
    token: str
    profile: Profile

    @property
    def netloc(self) -> str:
        """Address and port."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


class Finder:
    """Finds gateways by the profile of their hub.

    Each time the hub is asked, and not a file: a port that a gateway has left may be somebody else's, who is
    not to be told the token.
    """

    def __init__(self) -> None:
        self._clients: dict[Profile, AsyncClient] = {}
        self._locks: dict[Profile, asyncio.Lock] = {}

    async def find(self, name: str) -> Upstream:
        """Return the gateway of a profile; of the default one, if none is named.

        Raises
        ------
        HubNotFound
            No hub of this profile runs.
        CtrlHubError
            The hub does not answer, or has no gateway.
        """
        profile = _profile(name)
        async with self._locks.setdefault(profile, asyncio.Lock()):
            client = await self._client(profile)
            url = urlsplit(await client.gateway())
        token = TokenFile(profile.tokens).now().shown(Role.ADMIN)
        if token is None or url.port is None or url.hostname is None:
            raise HubNotFound(f"the gateway of profile {profile.name!r} has no token to show")
        return Upstream(url.scheme, url.hostname, url.port, url.path.rstrip("/"), token.secret, profile)

    async def _client(self, profile: Profile) -> AsyncClient:
        client = self._clients.get(profile)
        if client is None or client.closed:
            if not profile.connection_client.exists():
                raise HubNotFound(
                    f"no hub of profile {profile.name!r} is running: start one with `ctrl-hub start --profile "
                    f"{profile.name}`, or in a notebook with ctrlhub.widget()"
                )
            self._clients[profile] = client = await AsyncClient(str(profile.connection_client), timeout=TIMEOUT)
        return client

    async def close(self) -> None:
        """Leave all hubs."""
        clients, self._clients = self._clients, {}
        await asyncio.gather(*(each.close() for each in clients.values()))


def _profile(name: str) -> Profile:
    """Return the profile of a name; a private one, if a cluster without a name is called so."""
    wanted = name or os.environ.get(PROFILE_VARIABLE) or DEFAULT_PROFILE
    named = Profile.named(wanted)
    if named.directory.is_dir():
        return named
    return next((each for each in private_profiles() if each.name == wanted), named)

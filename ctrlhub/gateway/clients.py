"""The gateway's own clients of the hub: one session for each role, made when it is first asked for."""

from __future__ import annotations

import asyncio
import logging

from ctrlhub.client.async_client import AsyncClient
from ctrlhub.gateway.access.roles import ROLES, Role
from ctrlhub.wire.places import Profile

log = logging.getLogger(__name__)

TIMEOUT = 10.0
"""How long (seconds) the hub may take for an answer."""


class Clients:
    """Clients by role.

    Parameters
    ----------
    profile
        Whose hub.
    """

    def __init__(self, profile: Profile) -> None:
        self._profile = profile
        self._made: dict[Role, AsyncClient] = {}
        self._locks = {role: asyncio.Lock() for role in ROLES}

    async def of(self, role: Role) -> AsyncClient:
        """Return the client of a role, connected.

        Raises
        ------
        CtrlHubError
            The hub does not answer.
        """
        async with self._locks[role]:
            client = self._made.get(role)
            if client is None or client.closed:
                path = self._profile.connection_client
                self._made[role] = client = await AsyncClient(str(path), timeout=TIMEOUT)
                log.info("connected to the hub as %s", role)
            return client

    async def close(self) -> None:
        """Close them all."""
        made, self._made = self._made, {}
        await asyncio.gather(*(client.close() for client in made.values()))

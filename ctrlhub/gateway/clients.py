"""The gateway's own clients of the hub: one session for each role, made when it is first asked for."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator

from ctrlhub.client.async_client import AsyncClient
from ctrlhub.client.client import Client
from ctrlhub.client.on_behalf import owes
from ctrlhub.gateway.access.roles import ROLES, Role
from ctrlhub.gateway.left_sessions import LeftSessions
from ctrlhub.wire.errors import (
    AuthenticationError,
    CtrlHubError,
    InvalidRequest,
    NoSuchSession,
    PermissionDenied,
    SessionAttached,
)
from ctrlhub.wire.places import Profile

log = logging.getLogger(__name__)

TIMEOUT = 10.0
"""How long (seconds) the hub may take for an answer."""

NOTICED = 15.0
"""So long (seconds) the hub may take to notice that a client has been killed."""

ASK_AGAIN = 0.25
"""How often (seconds) to ask whether it has."""

LEAVE = 1.0
"""How long (seconds) it may take to let a session go."""

SESSIONS = "gateway-sessions.json"
"""The file in the profile's directory that names the sessions."""


class Clients:
    """Clients by role.

    Parameters
    ----------
    profile
        Whose hub.
    """

    def __init__(self, profile: Profile) -> None:
        self._profile = profile
        self._left = LeftSessions(profile.directory / SESSIONS)
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
                self._made[role] = client = await self._connected(role)
                self._left.note(role.value, client.client.session)
                log.info("connected to the hub as %s, session %d", role, client.client.session)
            return client

    async def _connected(self, role: Role) -> AsyncClient:
        """Connect, to the session that a gateway before this one has had, if it is there."""
        path, session = str(self._profile.connection(role)), self._left.of(role.value)
        if session is not None and role.allows(Role.SUBMIT):
            try:
                return await self._again(path, role, session)
            except (NoSuchSession, AuthenticationError, InvalidRequest, SessionAttached, PermissionDenied) as error:
                log.info("session %d of %s is not gone on with: %s", session, role, error)
        return await AsyncClient(path, timeout=TIMEOUT)

    async def _again(self, path: str, role: Role, session: int) -> AsyncClient:
        """Go on with a session; who is no admin waits until the hub has noticed that the gateway before us has gone."""
        takeover, until = role.allows(Role.ADMIN), asyncio.get_running_loop().time() + NOTICED
        while True:
            try:
                return await AsyncClient(path, timeout=TIMEOUT, session=session, takeover=takeover)
            except SessionAttached:
                if asyncio.get_running_loop().time() > until:
                    raise
                await asyncio.sleep(ASK_AGAIN)

    async def resume(self) -> AsyncIterator[Role]:
        """Go on with the sessions of a gateway before this one: what is in them is not to expire.

        Yields the roles, each once there is a client of it.
        """
        for role in ROLES:
            if self._left.of(role.value) is not None:
                try:
                    await self.of(role)
                except CtrlHubError as error:
                    log.warning("the session of %s is not gone on with yet: %s", role, error)
                else:
                    yield role

    async def close(self) -> None:
        """Leave them all; one that has something out is left to the next gateway, which goes on with it."""
        made, self._made = self._made, {}
        await asyncio.gather(*map(_leave, made.values()))


def _has_something(client: Client) -> bool:
    """Tell whether something is out, or has come and is not kept yet."""
    return bool(client.outstanding) or owes(client)


async def _leave(client: AsyncClient) -> None:
    try:
        if not client.closed and await asyncio.to_thread(_has_something, client.client):
            await client.detach(timeout=LEAVE)
    except CtrlHubError as error:  # the hub has gone, or goes
        log.info("a session was not left in good order: %s", error)
    finally:
        await client.close()

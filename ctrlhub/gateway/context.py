"""What every handler of the gateway has at hand."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol, TypeVar, cast

from ctrlhub.gateway.access.cookies import Login
from ctrlhub.gateway.access.hosts import Hosts
from ctrlhub.gateway.access.identity import Identity
from ctrlhub.gateway.access.rates import Rates
from ctrlhub.gateway.access.roles import Role
from ctrlhub.gateway.clients import Clients
from ctrlhub.gateway.feed import TelemetryFeed
from ctrlhub.gateway.relay.relays import Relays
from ctrlhub.gateway.token_file import TokenFile
from ctrlhub.wire.places import Profile
from ctrlhub.wire.telemetry import Telemetry

if TYPE_CHECKING:
    from ctrlhub.controller.http_config import HttpConfig

P = TypeVar("P")

log = logging.getLogger(__name__)


class Connected(Protocol):
    """A socket or stream that stays open, or a request that waits: it is closed when its token ends."""

    @property
    def identity(self) -> Identity:
        """Who has opened it."""

    def end(self, reason: str) -> None:
        """Close it, and say why."""


class Parts:
    """Things of which a gateway has one each: what they are only those who share them know."""

    __slots__ = ("_made",)

    def __init__(self) -> None:
        self._made: dict[Callable[[Gateway], object], object] = {}

    def one(self, make: Callable[[Gateway], P], gateway: Gateway) -> P:
        """Return what `make` has made of the gateway, for whoever asks with the same."""
        if make not in self._made:
            self._made[make] = make(gateway)
        return cast("P", self._made[make])


@dataclass
class Gateway:
    """The gateway: handlers have it as ``self.gateway``.

    Attributes
    ----------
    profile
        Whose hub it belongs to.
    config
        Its options.
    tokens
        The tokens, as they are now.
    hosts
        Which ``Host`` and ``Origin`` are let in.
    clients
        Its clients of the hub: ``await self.gateway.clients.of(role)``.
    rates, logins
        How much each token and address has asked for, and how often each failed to log in.
    port
        Where it listens.
    sockets
        The WebSockets and event streams that are open.
    waiting
        The requests that wait for results.
    relays
        The peers that speak the protocol over WebSockets.
    served
        How many requests were answered, by status.
    telemetry
        The hub's figures, asked for once for everybody: ``await self.gateway.telemetry.now()``, or
        ``subscribe(listener)``.
    parts
        What handlers of one kind share, made when the first of them asks.
    """

    profile: Profile
    config: HttpConfig
    tokens: TokenFile
    hosts: Hosts
    clients: Clients
    rates: Rates
    logins: Rates
    port: int = 0
    sockets: set[Connected] = field(default_factory=set)
    waiting: set[Connected] = field(default_factory=set)
    relays: Relays = field(default_factory=Relays)
    served: Counter[int] = field(default_factory=Counter)
    parts: Parts = field(default_factory=Parts)

    def __post_init__(self) -> None:
        """Make what is asked for once for everybody."""
        self.telemetry = TelemetryFeed(self._figures)

    async def _figures(self, since: int) -> Telemetry:
        client = await self.clients.of(Role.VIEW)
        return await client.telemetry(since)

    @property
    def cookie_name(self) -> str:
        """The name of its cookie: cookies of a host are sent to each of its ports."""
        return f"ctrlhub-{self.port}"

    def close_revoked(self, now: float) -> None:
        """Close the sockets, and end the waits, whose tokens are not good any more."""
        good = self.tokens.now().good(now)
        self._close(lambda identity: identity.token not in good, "the token was revoked, or has expired")

    def close_login(self, login: Login) -> None:
        """Close the sockets, and end the waits, of a browser that logs out."""
        self._close(lambda identity: identity.login == login, "logged out")

    def _close(self, is_over: Callable[[Identity], bool], reason: str) -> None:
        for each in (*self.sockets, *self.waiting):
            if is_over(each.identity):
                try:
                    each.end(reason)
                except Exception:  # the others are to be closed all the same
                    log.exception("what is to be closed (%s) cannot be closed", reason)

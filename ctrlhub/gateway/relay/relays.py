"""All peers of a gateway that speak the protocol over WebSockets, and what they share."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import zmq

from ctrlhub.gateway.access.room import places
from ctrlhub.gateway.relay.framings import Framing
from ctrlhub.gateway.relay.peer import Peer, Socket
from ctrlhub.gateway.relay.unfinished import Room
from ctrlhub.gateway.relay.uplink import Uplink
from ctrlhub.link.provision import make_context
from ctrlhub.wire.connection import ConnectionInfo
from ctrlhub.wire.errors import HubNotFound, LimitExceeded
from ctrlhub.wire.messages import Role
from ctrlhub.wire.places import Profile

MOST_PEERS = 256
"""So many peers there may be at a time: each has four connections to the hub."""

MOST_SOCKETS = 5 * MOST_PEERS

MOST_UNFINISHED, MOST_VIEWED = 256 * 1024 * 1024, 64 * 1024 * 1024
"""The most bytes of large messages that are under way at a time: those of who has something run, and the others."""

FAREWELL = 0.5
"""So long (seconds) the last words of a hub are waited for, when the gateway ends."""

LOOK = 5.0
"""So often (seconds) it is looked at whether peers take what waits for them."""


class Relays:
    """The peers.

    Attributes
    ----------
    peers
        Those whose WebSockets are open.
    """

    def __init__(self) -> None:
        self.peers: set[Peer] = set()
        self._context: zmq.Context[Any] | None = None
        self._is_looking = False
        self._room, self._viewed = Room(MOST_UNFINISHED), Room(MOST_VIEWED)

    def room_for(self, role: Role) -> Room:
        """Return the room for messages that are under way, of all who have a role."""
        return self._viewed if role is Role.VIEW else self._room

    def begin(self, profile: Profile, socket: Socket, framing: Framing, role: Role) -> Peer:
        """Open a peer's connections to the hub.

        Raises
        ------
        LimitExceeded
            There are too many peers, for who has this role.
        HubNotFound
            The hub is not there, or not for the gateway.
        """
        if len(self.peers) >= (most := places(MOST_PEERS, role)):
            raise LimitExceeded(f"{most} peers speak the protocol over this gateway, and no more may")
        route = ConnectionInfo.load(profile.connection(role)).addresses_here()
        if route.uses_curve:
            raise HubNotFound("the gateway has no connection to the hub but by TCP, which it does not take")
        peer = Peer(socket, framing, role, time.monotonic)
        peer.uplink = Uplink(self._shared(), route.addresses, peer.deliver, peer.has_room)
        self.peers.add(peer)
        self._keep_looking()
        return peer

    async def finish(self, patience: float = FAREWELL) -> None:
        """End with the gateway: what the hub has said last reaches the peers, and each is told to come again.

        A hub that ends on purpose says goodbye to each. One that was killed does not, and is waited for in
        vain, `patience` seconds.
        """
        peers = tuple(self.peers)
        if peers:
            told = [asyncio.ensure_future(peer.told.wait()) for peer in peers]
            _, left = await asyncio.wait(told, timeout=patience)
            for each in left:
                each.cancel()
        for peer in peers:
            peer.leave()

    def end(self, peer: Peer) -> None:
        """Let go of a peer whose WebSocket has closed."""
        peer.over()
        self.peers.discard(peer)

    def _shared(self) -> zmq.Context[Any]:
        if self._context is None:
            self._context = make_context()
            self._context.set(zmq.MAX_SOCKETS, MOST_SOCKETS)
        return self._context

    def _keep_looking(self) -> None:
        if not self._is_looking:
            self._is_looking = True
            asyncio.get_running_loop().call_later(LOOK, self._look)

    def _look(self) -> None:
        self._is_looking = False
        now = time.monotonic()
        for peer in tuple(self.peers):
            peer.look(now)
        if self.peers:
            self._keep_looking()

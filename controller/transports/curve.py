"""ZAP: at each CURVE handshake, ask the key registry. The User-Id it sets is the peer's public key."""

from __future__ import annotations

import zmq
from zmq.auth.asyncio import AsyncioAuthenticator

from ctrlhub.wire.messages import Stream
from ctrlhub.wire.security import KeyRegistry


class _Provider:
    """What pyzmq's authenticator asks for one stream."""

    def __init__(self, stream: Stream, keys: KeyRegistry) -> None:
        self._stream = stream
        self._keys = keys

    def callback(self, domain: str, key: bytes) -> bool:
        """Say whether a public key (z85) opens the stream."""
        return self._keys.allows(self._stream, key.decode("ascii"))


def start_authenticator(
    context: zmq.Context[zmq.Socket[bytes]], keys: KeyRegistry
) -> AsyncioAuthenticator:
    """Begin to answer ZAP requests in the running loop; call its `stop` at the end."""
    authenticator = AsyncioAuthenticator(context)
    authenticator.start()
    for stream in Stream:
        authenticator.configure_curve_callback(stream.value, _Provider(stream, keys))
    return authenticator

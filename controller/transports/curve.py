"""ZAP: at each CURVE handshake, ask the key registry. The User-Id it sets is the peer's public key."""

from __future__ import annotations

import logging
from collections.abc import Coroutine

import zmq
from zmq.auth.base import Authenticator

from ctrlhub.controller.transports.base import Loop
from ctrlhub.wire.messages import Stream
from ctrlhub.wire.security import KeyRegistry

log = logging.getLogger(__name__)


class Doorkeeper:
    """Answers libzmq, which asks at each handshake whether a key opens a stream.

    Parameters
    ----------
    context
        The process's ZeroMQ context; its sockets are to be bound after this was made.
    keys
        Which keys open what.
    loop
        The hub's loop.
    """

    def __init__(
        self, context: zmq.Context[zmq.Socket[bytes]], keys: KeyRegistry, loop: Loop
    ) -> None:
        self._authenticator = Authenticator(context)
        self._authenticator.start()
        for stream in Stream:
            self._authenticator.configure_curve_callback(stream.value, _Provider(stream, keys))
        socket = self._authenticator.zap_socket
        assert socket is not None
        self._socket = socket
        self._loop = loop
        self._descriptor = int(socket.getsockopt(zmq.FD))
        loop.watch(self._descriptor, self._answer)

    def _answer(self) -> None:
        """Answer until there are no questions: the descriptor is edge triggered."""
        while self._socket.poll(0):
            question = self._socket.recv_multipart()
            try:
                _finish(self._authenticator.handle_zap_message(question))
            except Exception:  # the next questions come when this one is answered
                log.exception("a handshake could not be decided")
                self._socket.send_multipart([*question[:2], b"500", b"internal error", b"", b""])

    def stop(self) -> None:
        """Answer no more."""
        self._loop.unwatch(self._descriptor)
        self._authenticator.stop()


class _Provider:
    """What pyzmq's authenticator asks for one stream."""

    def __init__(self, stream: Stream, keys: KeyRegistry) -> None:
        self._stream = stream
        self._keys = keys

    def callback(self, domain: str, key: bytes) -> bool:
        """Say whether a public key (z85) opens the stream."""
        return self._keys.allows(self._stream, key.decode("ascii"))


def _finish(answer: Coroutine[None, None, None]) -> None:
    """Run a coroutine to its end; ours has nothing to wait for, since our callbacks do not."""
    try:
        answer.send(None)
    except StopIteration:
        return
    raise RuntimeError("pyzmq's authenticator waits for something")

"""ZAP: at each CURVE handshake, ask the key registry. The User-Id it sets is the peer's public key.

libzmq makes two queues for each handshake, through which it asks and is answered, and keeps them for as
long as the connection lasts: 33 KB each time, a third of all that an engine needs in a hub. They go with
the socket that answers, so there is a new one now and then, and the old one is closed once nobody can be
waiting for it.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Coroutine

import zmq
from zmq.auth.base import Authenticator

from ctrlhub.controller.transports.base import Loop
from ctrlhub.wire.messages import Stream
from ctrlhub.wire.security import KeyRegistry

log = logging.getLogger(__name__)

ENOUGH = 256
"""After so many handshakes another socket takes the place of the one that has answered them."""

SOME = 16
"""After so many it does so when nobody has asked for `QUIET` seconds."""

QUIET = 1.0
"""How often to look whether handshakes have come."""

LAST_ANSWERS = 0.5
"""Seconds for which a socket still answers who found it before another took its place.

A handshake that is not decided by then, since this process did not come to run, is repeated by its peer.
"""

_ENDPOINT = "inproc://zeromq.zap.01"


class Doorkeeper:
    """Answers libzmq, which asks at each handshake whether a key opens a stream.

    Parameters
    ----------
    context
        The process's ZeroMQ context; its sockets are to be bound after this was made, and must not let
        anybody in while nobody answers (`ZMQ_ZAP_ENFORCE_DOMAIN`).
    keys
        Which keys open what.
    loop
        The hub's loop.

    Attributes
    ----------
    desk : Desk
        The socket that answers now.
    let_go : callable
        Called when memory of many handshakes has become free.
    """

    def __init__(
        self, context: zmq.Context[zmq.Socket[bytes]], keys: KeyRegistry, loop: Loop
    ) -> None:
        self._context = context
        self._loop = loop
        self._providers = {stream.value: _Provider(stream, keys) for stream in Stream}
        self.desk = Desk(context, self._providers)
        self._former: deque[Desk] = deque()
        self._looks = self._stopped = False
        self._seen = 0
        self.let_go: Callable[[], None] = _do_nothing
        self._open(self.desk)

    def _open(self, desk: Desk) -> None:
        def ready() -> None:
            desk.answer()
            if desk.answered >= ENOUGH and desk is self.desk:
                self._relieve()
            elif not self._looks:
                self._looks = True
                self._loop.later(QUIET, self._look)

        self._loop.watch(desk.descriptor, ready)

    def _look(self) -> None:
        """Relieve a desk that has answered some, if it had a quiet moment."""
        self._looks = False
        if self._stopped:
            return
        before, self._seen = self._seen, self.desk.answered
        if self._seen < SOME:
            return
        if self._seen == before:
            self._relieve()
        else:
            self._looks = True
            self._loop.later(QUIET, self._look)

    def _relieve(self) -> None:
        """Have another socket answer from now on."""
        former = self.desk
        former.retire()
        try:
            self.desk = Desk(self._context, self._providers)
        except zmq.ZMQError as error:  # no descriptor for it
            former.resume()
            log.warning("there is no other socket to answer handshakes: %s", error)
            return
        self._former.append(former)
        self._seen = 0
        self._open(self.desk)
        self._loop.later(LAST_ANSWERS, self._dismiss)

    def _dismiss(self) -> None:
        """Close the socket that was relieved first."""
        if self._stopped:
            return
        desk = self._former.popleft()
        desk.answer()
        self._loop.unwatch(desk.descriptor)
        desk.close()
        if not self._former:
            self.let_go()

    def stop(self) -> None:
        """Answer no more."""
        self._stopped = True
        for desk in (*self._former, self.desk):
            self._loop.unwatch(desk.descriptor)
            desk.close()


class Desk:
    """One socket that answers."""

    def __init__(
        self, context: zmq.Context[zmq.Socket[bytes]], providers: dict[str, _Provider]
    ) -> None:
        self._authenticator = Authenticator(context)
        self._authenticator.start()
        for domain, provider in providers.items():
            self._authenticator.configure_curve_callback(domain, provider)
        socket = self._authenticator.zap_socket
        assert socket is not None
        self._socket = socket
        self.descriptor = int(socket.getsockopt(zmq.FD))
        self.answered = 0

    def answer(self) -> None:
        """Answer until there are no questions: the descriptor is edge triggered."""
        while self._socket.poll(0):
            question = self._socket.recv_multipart()
            self.answered += 1
            try:
                _finish(self._authenticator.handle_zap_message(question))
            except Exception:  # the next questions come when this one is answered
                log.exception("a handshake could not be decided")
                self._socket.send_multipart([*question[:2], b"500", b"internal error", b"", b""])

    def retire(self) -> None:
        """Have nobody ask here who has not found this socket yet."""
        self._socket.unbind(_ENDPOINT)

    def resume(self) -> None:
        """Be found again."""
        self._socket.bind(_ENDPOINT)

    def close(self) -> None:
        """End, and with it the queues of all who asked here."""
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


def _do_nothing() -> None:
    return

"""The doorkeeper: one handshake that cannot be decided keeps nobody else out."""

from __future__ import annotations

import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import zmq

from ctrlhub.controller.loop import HubLoop
from ctrlhub.controller.transports.curve import Doorkeeper
from ctrlhub.wire.messages import Stream
from ctrlhub.wire.security import HubKeys, KeyPair, KeyRegistry
from tests.support.intruder import IN, Caller, curve
from tests.support.processes import until


class Faulty(KeyRegistry):
    """A registry that fails when it is asked first, and then lets everybody in."""

    asked = 0

    def allows(self, stream: Stream, key: str) -> bool:
        """Decide."""
        self.asked += 1
        if self.asked == 1:
            raise RuntimeError("a bug")
        return True


@contextmanager
def running(loop: HubLoop) -> Iterator[None]:
    """Run a loop in a thread meanwhile."""
    thread = threading.Thread(target=loop.run)
    thread.start()
    try:
        yield
    finally:
        loop.stop()
        thread.join(60)
        loop.close()


class Knock:
    """A caller, and whether it was let in by now."""

    def __init__(self, address: str, server: str) -> None:
        self.caller = Caller(address, curve(server, KeyPair.generate()))
        self._is_in = False

    def is_in(self) -> bool:
        """Look."""
        while not self._is_in and self.caller.monitor.poll(0):
            event, _ = self.caller.monitor.recv_multipart()
            self._is_in = struct.unpack_from("=H", event) == (IN,)
        return self._is_in


def test_a_handshake_that_fails_to_be_decided(caplog: pytest.LogCaptureFixture) -> None:
    """It is logged; the others are decided, though they ask in the same moment."""
    server, loop = KeyPair.generate(), HubLoop()
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    doorkeeper = Doorkeeper(context, Faulty(HubKeys.generate()), loop)
    listener = context.socket(zmq.ROUTER)
    listener.linger = 0
    listener.curve_server = True
    listener.curve_publickey, listener.curve_secretkey = server.public.encode(), server.secret.encode()
    listener.zap_domain = Stream.HUB.value.encode()
    address = f"tcp://127.0.0.1:{listener.bind_to_random_port('tcp://127.0.0.1')}"
    knocks = [Knock(address, server.public) for _ in range(3)]
    try:
        with running(loop):
            until(lambda: sum(knock.is_in() for knock in knocks) == 2, "the others are let in")
        assert "could not be decided" in caplog.text
    finally:
        for knock in knocks:
            knock.caller.close()
        listener.close()
        doorkeeper.stop()
        context.destroy(linger=0)

"""The doorkeeper: one handshake that cannot be decided keeps nobody else out."""

from __future__ import annotations

import struct
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import pytest
import zmq

from ctrlhub.controller.loop import HubLoop
from ctrlhub.controller.transports import curve as curve_transport
from ctrlhub.controller.transports.curve import Doorkeeper
from ctrlhub.controller.transports.zeromq import ZeroMQTransport
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


def test_queues_of_handshakes_are_let_go(monkeypatch: pytest.MonkeyPatch) -> None:
    """Other sockets take the place of those that have answered many; all get in, and stay who they are."""
    monkeypatch.setattr(curve_transport, "ENOUGH", 3)
    monkeypatch.setattr(curve_transport, "SOME", 1)
    monkeypatch.setattr(curve_transport, "QUIET", 0.05)
    monkeypatch.setattr(curve_transport, "LAST_ANSWERS", 0.2)
    server, loop, keys = KeyPair.generate(), HubLoop(), KeyRegistry(HubKeys.generate())
    keys.allows = lambda stream, key: True  # type: ignore[method-assign]
    let_go = threading.Event()
    with ExitStack() as undone:
        context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        undone.callback(context.destroy, linger=0)
        doorkeeper = Doorkeeper(context, keys, loop)
        undone.callback(doorkeeper.stop)
        doorkeeper.let_go = let_go.set
        transport = ZeroMQTransport(context, dict.fromkeys(Stream, "tcp://127.0.0.1:*"), server)
        undone.callback(transport.close)
        said: list[str | None] = []

        def turn() -> None:
            while transport.receive(lambda peer, user, header, rest: said.append(user), 8):
                continue

        transport.start(0, loop, turn)
        address = transport.addresses()[Stream.HUB]
        own = [KeyPair.generate() for _ in range(10)]
        with running(loop):
            first = doorkeeper.desk
            callers = [Caller(address, curve(server.public, each)) for each in own]
            for caller in callers:
                undone.callback(caller.close)
                assert caller.is_let_in()
            until(let_go.is_set, "the queues of all who are in have been let go")
            assert doorkeeper.desk is not first
            for caller in callers:
                caller.socket.send(b"still here")
            until(lambda: len(said) == len(own), "all have been heard")
        assert sorted(str(user) for user in said) == sorted(each.public for each in own)


def test_nobody_is_let_in_where_nobody_decides() -> None:
    """A transport whose doorkeeper is away lets none pass unasked, as ZeroMQ does by itself."""
    server = KeyPair.generate()
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    transport = ZeroMQTransport(context, dict.fromkeys(Stream, "tcp://127.0.0.1:*"), server)
    address = transport.addresses()[Stream.HUB]
    try:
        with Caller(address, curve(server.public, KeyPair.generate())) as caller:
            assert not caller.is_let_in()
    finally:
        transport.close()
        context.destroy(linger=0)

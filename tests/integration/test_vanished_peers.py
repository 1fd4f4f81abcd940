"""A peer over TCP whose machine is gone without a word: its connection does not stay for ever."""

from __future__ import annotations

import os
import socket
import struct
import sys

import psutil
import pytest
import zmq

from ctrlhub.controller.loop import HubLoop
from ctrlhub.controller.transports import zeromq
from ctrlhub.controller.transports.curve import Doorkeeper
from ctrlhub.controller.transports.zeromq import ZeroMQTransport
from ctrlhub.wire.addresses import port_of
from ctrlhub.wire.messages import Stream
from ctrlhub.wire.security import HubKeys, KeyPair, KeyRegistry
from tests.support.intruder import IN, Caller, curve
from tests.support.processes import until

TCP_REPAIR = 19
"""An option of Linux, for privileged users: a connection that is closed so is gone without a word."""


class Open(KeyRegistry):
    """Lets everybody in."""

    def allows(self, stream: Stream, key: str) -> bool:
        """Decide."""
        return True


def descriptor_of(caller: Caller) -> int:
    """Wait until a caller is in; return the descriptor of its connection."""
    while True:
        event, _ = caller.monitor.recv_multipart()
        number, descriptor = struct.unpack("=Hi", event)
        if number == zmq.EVENT_CONNECTED:
            found = int(descriptor)
        if number == IN:
            return found


def is_connected(port: int) -> bool:
    """Tell whether anybody is connected to a port of this process."""
    return any(
        each.status == psutil.CONN_ESTABLISHED and each.laddr.port == port
        for each in psutil.Process().net_connections("tcp")
    )


@pytest.mark.skipif(sys.platform != "linux" or os.geteuid() != 0, reason="needs root on Linux")
def test_its_connection_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The system probes it. ZeroMQ does not: it would look through its timers of all peers for each answer."""
    monkeypatch.setattr(zeromq, "KEEPALIVE", 1)
    server, loop = KeyPair.generate(), HubLoop()
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    doorkeeper = Doorkeeper(context, Open(HubKeys.generate()), loop)
    transport = ZeroMQTransport(context, dict.fromkeys(Stream, "tcp://127.0.0.1:*"), server)
    address = transport.addresses()[Stream.TASK]

    def is_decided() -> bool:
        doorkeeper.desk.answer()
        return doorkeeper.desk.answered > 0

    try:
        with Caller(address, curve(server.public, KeyPair.generate())) as caller:
            until(is_decided, "a handshake is decided")
            with socket.socket(fileno=os.dup(descriptor_of(caller))) as connection:
                connection.setsockopt(socket.IPPROTO_TCP, TCP_REPAIR, 1)
            assert is_connected(port_of(address))
        until(lambda: not is_connected(port_of(address)), "the hub's end is closed")
        assert all(s.getsockopt(zmq.HEARTBEAT_IVL) == 0 for s in transport._sockets.values())
    finally:
        transport.close()
        doorkeeper.stop()
        context.destroy(linger=0)
        loop.close()

"""Peers without manners: sockets that speak to a hub's streams under any key, or under none."""

from __future__ import annotations

import os
import platform
import socket
import struct
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Self

import zmq

from ctrlhub.wire import messages as m
from ctrlhub.wire.codec import decode, encode
from ctrlhub.wire.connection import ConnectionInfo
from ctrlhub.wire.messages import Message, Role, Stream
from ctrlhub.wire.security import KeyPair
from ctrlhub.wire.versions import versions
from tests.support.processes import PATIENCE

SHUT = {
    int(zmq.EVENT_DISCONNECTED),
    int(zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL),
    int(zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL),
    int(zmq.EVENT_HANDSHAKE_FAILED_AUTH),
}
"""What a socket sees when the other side shows it the door."""

CROWD = 260
"""So many silent connections starved a hub with ZeroMQ's defaults."""

IN = int(zmq.EVENT_HANDSHAKE_SUCCEEDED)

GREETING = b"\xff" + bytes(8) + b"\x7f\x03\x00"
"""The beginning of a ZMTP 3.0 peer's greeting; its mechanism follows."""

OPEN = GREETING + b"NULL".ljust(20, b"\0") + bytes(32)
READY = b"\x04\x1c\x05READY\x0bSocket-Type\x00\x00\x00\x06DEALER"
"""What a socket without a key says before its messages."""


def curve(server: str, own: KeyPair) -> dict[str, bytes]:
    """Return the options of a socket that connects under a key."""
    return {
        "curve_serverkey": server.encode(),
        "curve_publickey": own.public.encode(),
        "curve_secretkey": own.secret.encode(),
    }


class Caller:
    """One socket to one stream of a hub, and what becomes of its connection."""

    def __init__(self, address: str, options: Mapping[str, Any]) -> None:
        self.context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self.socket = self.context.socket(zmq.DEALER)
        self.socket.linger = 0
        for option, value in options.items():
            setattr(self.socket, option, value)
        self.monitor = self.socket.get_monitor_socket()
        self.socket.connect(address)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection."""
        self.socket.disable_monitor()
        self.context.destroy(linger=0)

    def is_let_in(self) -> bool:
        """Wait until the hub has decided, and tell how."""
        deadline = time.monotonic() + PATIENCE
        while (left := deadline - time.monotonic()) > 0:
            if self.monitor.poll(int(left * 1000)):
                event, _ = self.monitor.recv_multipart()
                (number,) = struct.unpack_from("=H", event)
                if number == IN:
                    return True
                if number in SHUT:
                    return False
        raise AssertionError(f"the hub neither takes nor refuses a connection in {PATIENCE:g} s")

    def send(self, message: Message) -> None:
        """Say something; to a hub that has shut the door it goes nowhere, as `hear` will tell."""
        try:
            self.socket.send_multipart(encode(message), zmq.NOBLOCK)
        except zmq.Again:  # a refused socket has no connection any more, and would wait for one
            return

    def heard(self) -> list[Message]:
        """Return what has arrived until now."""
        found = []
        while self.socket.poll(0):
            found.append(self._take())
        return found

    def hear(self) -> Message:
        """Wait for a message."""
        if not self.socket.poll(int(PATIENCE * 1000)):
            raise AssertionError(f"the hub says nothing in {PATIENCE:g} s")
        return self._take()

    def ask(self, message: Message) -> Message:
        """Say something, and return the answer; a false engine is given work meanwhile, or has to give it back."""
        self.send(message)
        while isinstance(answer := self.hear(), m.RunTasks | m.GiveBack):
            continue
        return answer

    def _take(self) -> Message:
        header, *frames = self.socket.recv_multipart()
        return decode(header, frames)


@dataclass
class Member:
    """A peer with a key that the hub accepts, who does with it whatever a test wants."""

    info: ConnectionInfo
    keys: KeyPair = field(default_factory=KeyPair.generate)
    streams: dict[Stream, Caller] = field(default_factory=dict)
    session: m.Registered | None = None

    @classmethod
    def enrolled(cls, info: ConnectionInfo) -> Self:
        """Have a key accepted with the enrolment key of the connection file."""
        member = cls(info)
        with member.at_door() as door:
            answer = door.ask(m.Enrol(member.keys.public))
            assert answer == m.Enrolled(member.keys.public)
        return member

    @classmethod
    def registered(cls, info: ConnectionInfo, role: Role) -> Self:
        """Enrol, register, and say hello where one of this role does."""
        member = cls.enrolled(info)
        answer = member.on(Stream.HUB).ask(member.registration(role))
        assert isinstance(answer, m.Registered), answer
        member.session = answer
        for stream in (Stream.MULTIENGINE, Stream.TASK) if role is not Role.NANNY else ():
            welcome = member.on(stream).ask(m.Hello(answer.token))
            assert isinstance(welcome, m.Welcome)
        return member

    def at_door(self, stream: Stream = Stream.HUB) -> Caller:
        """Connect under the enrolment key."""
        assert self.info.enrolment is not None
        return Caller(self.info.tcp[stream], curve(self.info.server_key, self.info.enrolment))

    def on(self, stream: Stream) -> Caller:
        """Return the connection of a stream under the own key."""
        if stream not in self.streams:
            self.streams[stream] = self.another(stream)
        return self.streams[stream]

    def another(self, stream: Stream, **options: Any) -> Caller:
        """Make one more connection under the own key."""
        own = curve(self.info.server_key, self.keys)
        return Caller(self.info.tcp[stream], {**own, **options})

    def registration(self, role: Role, **fields: Any) -> m.Register:
        """Say who one is."""
        own = {"key": self.keys.public, "incarnation": os.urandom(16), "pid": os.getpid()}
        given = {"role": role.value, "host": platform.node(), "versions": versions()}
        return m.Register(**{**own, **given, **fields})

    def leave(self) -> None:
        """Say goodbye, if there was a session, and close everything."""
        if self.session is not None:
            self.on(Stream.HUB).send(m.Goodbye("the test is over"))
            self.on(Stream.HUB).socket.linger = 1000
            # What follows a goodbye is not heard: the answer says that it has arrived.
            while not isinstance(self.on(Stream.HUB).ask(m.Beat()), m.SayHello | m.Refused):
                continue
        for caller in self.streams.values():
            caller.close()


def dial(address: str) -> socket.socket:
    """Open a bare connection to a stream's address, TCP or Unix."""
    scheme, _, place = address.partition("://")
    if scheme == "ipc":
        line = socket.socket(socket.AF_UNIX)
        line.connect(place)
        return line
    host, _, port = place.rpartition(":")
    return socket.create_connection((host, int(port)), timeout=PATIENCE)


@contextmanager
def crowd(address: str) -> Iterator[list[socket.socket]]:
    """Connect very often, and stay silent; the fault that starves a hub with ZeroMQ's defaults."""
    lines: list[socket.socket] = []
    try:
        while len(lines) < CROWD:
            lines.append(dial(address))
        yield lines
    finally:
        for line in lines:
            line.close()


def until_shut(line: socket.socket) -> None:
    """Read until the other side closes a connection."""
    line.settimeout(PATIENCE)
    try:
        while line.recv(4096):
            continue
    except ConnectionError:
        return

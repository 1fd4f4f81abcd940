"""Real gateways in tests: where one is, its tokens, and raw requests to it."""

from __future__ import annotations

import base64
import json
import os
import socket
import ssl
import struct
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from ctrlhub.gateway.access.roles import Role
from ctrlhub.gateway.token_file import TokenFile
from ctrlhub.wire.places import Profile

PATIENCE = 60.0
"""Seconds after which an answer that has not come never will."""


@dataclass(frozen=True)
class Answer:
    """An answer, as it came.

    Attributes
    ----------
    status
        Its status; 0 if the connection was closed without one.
    head
        The lines of its head.
    body
        What followed, until the end or as long as it said.
    """

    status: int
    head: str
    body: bytes

    @property
    def json(self) -> Any:
        """Return the body's JSON."""
        return json.loads(self.body)

    def __getitem__(self, header: str) -> str:
        for line in self.head.splitlines()[1:]:
            name, _, value = line.partition(":")
            if name.lower() == header.lower():
                return value.strip()
        raise KeyError(header)


@dataclass(frozen=True)
class Site:
    """A gateway that serves.

    Attributes
    ----------
    url
        Its URL.
    profile
        Whose it is.
    """

    url: str
    profile: Profile

    @property
    def tokens(self) -> TokenFile:
        """Its tokens."""
        return TokenFile(self.profile.tokens)

    def secret(self, role: Role = Role.ADMIN) -> str:
        """Return the token of a role."""
        token = self.tokens.now().shown(role)
        assert token is not None
        return token.secret

    @property
    def address(self) -> tuple[str, int]:
        """Where it listens."""
        parts = urlsplit(self.url)
        assert parts.hostname is not None
        assert parts.port is not None
        return parts.hostname, parts.port

    @property
    def log(self) -> str:
        """What it has logged."""
        return (self.profile.logs / "gateway.log").read_text(encoding="utf-8")

    @contextmanager
    def connected(self) -> Iterator[socket.socket]:
        """Open a connection."""
        with socket.create_connection(self.address, PATIENCE) as made:
            if self.url.startswith("https"):
                context = ssl.create_default_context(cafile=str(self.profile.gateway_certificate))
                with context.wrap_socket(made, server_hostname=self.address[0]) as wrapped:
                    yield wrapped
            else:
                yield made

    def head(
        self, method: str, path: str, headers: Mapping[str, str] | None = None, role: Role | None = Role.ADMIN
    ) -> bytes:
        """Return the head of a request."""
        host, port = self.address
        lines = {"Host": f"{host}:{port}"}
        if role is not None:
            lines["Authorization"] = f"Bearer {self.secret(role)}"
        lines |= headers or {}
        said = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
        return f"{method} {path} HTTP/1.1\r\n{said}\r\n".encode("latin1")

    def send(self, data: bytes) -> Answer:
        """Send bytes, and return what is answered before the connection ends, or an answer is complete."""
        with self.connected() as connection:
            connection.sendall(data)
            return read_answer(connection)

    def ask(
        self, method: str, path: str, headers: Mapping[str, str] | None = None, body: bytes = b"",
        role: Role | None = Role.ADMIN,
    ) -> Answer:  # fmt: skip
        """Send a request, and return its answer."""
        more = {"Content-Length": str(len(body))} if body else {}
        return self.send(self.head(method, path, {**more, **(headers or {})}, role) + body)


def read_answer(connection: socket.socket) -> Answer:
    """Read one answer."""
    data = b""
    while b"\r\n\r\n" not in data:
        piece = connection.recv(65536)
        if not piece:
            return Answer(0, data.decode("latin1"), b"")
        data += piece
    head, _, body = data.partition(b"\r\n\r\n")
    text = head.decode("latin1")
    answer = Answer(int(text.split(" ", 2)[1]), text, body)
    try:
        length = int(answer["Content-Length"])
    except KeyError:
        return answer
    while len(body) < length:
        piece = connection.recv(65536)
        if not piece:
            break
        body += piece
    return Answer(answer.status, text, body)


def site_of(status: Mapping[str, Any], profile: Profile) -> Site:
    """Return the gateway that a hub's status names."""
    return Site(status["hub"]["http"]["url"], profile)


def process_of(profile: Profile) -> int:
    """Return the pid of a profile's gateway, as it has written it down; 0 for none."""
    try:
        return int(json.loads(profile.gateway.read_text())["pid"])
    except (FileNotFoundError, ValueError):
        return 0


def descriptors_of(pid: int) -> int:
    """Return how many descriptors a process has open."""
    return len(os.listdir(Path("/proc") / str(pid) / "fd"))


def memory_of(pid: int) -> int:
    """Return how much memory (bytes) a process has."""
    for line in (Path("/proc") / str(pid) / "status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    raise AssertionError("it has ended")


# ---------------------------------------------------------------- WebSockets


def handshake(site: Site, path: str = "/api/v1/events", **headers: str) -> bytes:
    """Return what opens a WebSocket."""
    key = base64.b64encode(os.urandom(16)).decode()
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return site.head("GET", path, {
        "Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Key": key, "Sec-WebSocket-Version": "13", **named,
    })  # fmt: skip


def frame(kind: int, data: bytes, *, fin: bool = True, masked: bool = True) -> bytes:
    """Return a frame of a WebSocket, as clients send it."""
    head = bytes([kind | (0x80 if fin else 0)])
    bit = 0x80 if masked else 0
    head += bytes([bit | len(data)]) if len(data) < 126 else bytes([bit | 127]) + struct.pack("!Q", len(data))
    return head + (b"\x00" * 4 if masked else b"") + data


def close_code(connection: socket.socket) -> int:
    """Read until the WebSocket is closed; return its code, or 0 where it just ended."""
    stream = connection.makefile("rb")
    try:
        while len(head := stream.read(2)) == 2:
            size = head[1] & 0x7F
            if size > 125:
                size = int.from_bytes(stream.read(2 if size == 126 else 8), "big")
            data = stream.read(size)
            if head[0] == 0x88:
                return int.from_bytes(data[:2], "big")
    except ConnectionResetError:
        pass  # an end as well
    return 0

"""The door between a Jupyter server and gateways, at its socket."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from ctrlhub import Cluster
from ctrlhub.controller.http_config import HttpConfig
from tests.support.processes import until
from tests.support.state import own_state


@pytest.fixture(scope="module")
def door(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The socket of a door that runs; it ends when it is told to, and leaves nothing."""
    with own_state(tmp_path_factory.mktemp("state")):
        path = tmp_path_factory.mktemp("d") / "s"
        process = subprocess.Popen([sys.executable, "-P", "-m", "ctrlhub.jupyter", str(path)])
        try:
            until(path.exists, "the door listens")
            yield path
        finally:
            process.send_signal(signal.SIGTERM)
            assert process.wait(60) == 0


def ask(door: Path, data: bytes) -> bytes:
    """Send bytes, and return all that is answered."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(60)
        connection.connect(str(door))
        connection.sendall(data)
        answer = b""
        while piece := connection.recv(65536):
            answer += piece
    return answer


def test_its_socket_is_its_users(door: Path) -> None:
    """Nobody else may connect."""
    assert door.stat().st_mode & 0o077 == 0
    assert door.stat().st_uid == os.getuid()


@pytest.mark.parametrize("http", [HttpConfig(), HttpConfig(tls=True), HttpConfig(prefix="/below/here")])
def test_gateways_of_all_kinds(door: Path, http: HttpConfig) -> None:
    """It reaches a gateway with TLS of its own, or below a path, and one that takes the place of another."""
    with Cluster(0, profile="some", progress=False, http=http) as client:
        answer = ask(door, b"GET /@some/api/v1/session HTTP/1.1\r\nHost: jupyter\r\n\r\n")
        head, _, body = answer.partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200 ")
        assert json.loads(body)["role"] == "admin"
        gateway = client.status()["hub"]["http"]
        os.kill(gateway["pid"], signal.SIGKILL)
        until(lambda: client.status()["hub"]["http"]["pid"] not in (gateway["pid"], None, 0), "another gateway")
        assert ask(door, b"GET /@some/healthz HTTP/1.1\r\nHost: jupyter\r\n\r\n").startswith(b"HTTP/1.1 200 ")


def test_what_is_no_request(door: Path) -> None:
    """Noise and heads without end are refused, and the next request is served."""
    assert ask(door, b"\x16\x03\x01noise\r\n\r\n").startswith(b"HTTP/1.1 400 ")
    assert ask(door, b"GET / HTTP/1.1\r\nX: " + b"x" * 100_000 + b"\r\n\r\n").startswith(b"HTTP/1.1 431 ")
    with socket.socket(socket.AF_UNIX) as early:
        early.connect(str(door))
        early.sendall(b"GET / HT")
    assert ask(door, b"GET /@nobody/ HTTP/1.1\r\n\r\n").startswith(b"HTTP/1.1 503 ")


def test_the_choice_of_clusters(door: Path) -> None:
    """Where the default profile has no cluster, those that run are named and linked."""
    with Cluster(0, profile="other", progress=False), Cluster(0, progress=False) as private:
        page = ask(door, b"GET / HTTP/1.1\r\nHost: jupyter\r\n\r\n").decode()
    assert page.startswith("HTTP/1.1 503 ")
    assert '<a href="@other/">other</a>' in page
    assert f'<a href="@{private.profile}/">' in page
    moved = ask(door, b"GET /@other HTTP/1.1\r\nHost: jupyter\r\n\r\n").decode()
    assert moved.startswith("HTTP/1.1 308 ")
    assert "\r\nLocation: @other/\r\n" in moved

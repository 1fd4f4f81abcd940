"""A client written from PROTOCOL.md alone, with ZeroMQ and msgpack: the document is enough.

Nothing of ctrl-hub is used but the cluster that is spoken to.
"""

from __future__ import annotations

import json
import os
import pickle
import platform
import secrets
from collections.abc import Iterator
from hashlib import blake2b
from pathlib import Path
from typing import Any

import msgpack
import pytest
import zmq

from ctrlhub import Cluster

PROFILE = "foreign"
PATIENCE_MS = 60_000
STREAMS = ("hub", "multiengine", "task", "iopub")
SQRT = b"cmath\nsqrt\n."


class Stranger:
    """A client of few words: it asks and waits for the answer."""

    def __init__(self, addresses: dict[str, str], curve: dict[str, bytes]) -> None:
        self.context = zmq.Context()
        self.addresses = addresses
        self.key = curve.get("curve_publickey", secrets.token_hex(16).encode()).decode()
        self.sockets = {name: self.open(name, curve) for name in STREAMS}
        self.registered: dict[str, Any] = {}

    def open(self, stream: str, curve: dict[str, bytes]) -> zmq.Socket[bytes]:
        """Connect one stream, under a key where there are keys."""
        socket = self.context.socket(zmq.DEALER)
        socket.linger = 0
        for option, value in curve.items():
            setattr(socket, option, value)
        socket.connect(self.addresses[stream])
        return socket

    def close(self) -> None:
        """Close everything."""
        self.context.destroy(linger=0)

    def say(self, stream: str, kind: str, *frames: bytes, **fields: Any) -> None:
        """Send a message."""
        header = msgpack.packb([1, kind, fields])
        self.sockets[stream].send_multipart([header, *frames])

    def hear(self, stream: str, wanted: str) -> tuple[dict[str, Any], list[bytes]]:
        """Return the next message of a kind, and its frames."""
        while self.sockets[stream].poll(PATIENCE_MS):
            header, *frames = self.sockets[stream].recv_multipart()
            major, kind, fields = msgpack.unpackb(header)
            assert major == 1
            assert kind in {wanted, "beat", "welcome", "accepted", "subscribed"}, (kind, fields)
            if kind == wanted:
                return fields, frames
        pytest.fail(f"no {wanted} on {stream}")

    def join(self) -> None:
        """Register, and say hello on the other streams."""
        self.say(
            "hub",
            "register",
            role="client",
            key=self.key,
            incarnation=secrets.token_bytes(8),
            pid=os.getpid(),
            host="elsewhere",
            versions={"protocol": "1", "python": platform.python_version()},
        )
        self.registered, _ = self.hear("hub", "registered")
        for stream in ("multiengine", "task", "iopub"):
            self.say(stream, "hello", token=self.registered["token"])
            self.hear(stream, "welcome")

    def request(self, counter: int) -> int:
        """Make a request id."""
        session: int = self.registered["session"]
        return session << 40 | counter

    def result(self, stream: str, request: int) -> tuple[int, Any]:
        """Return status and value of one request, and say that it came."""
        fields, frames = self.hear(stream, "completed")
        [[number, status, value, *_]] = fields["rows"]
        assert number == request
        self.say(stream, "received", requests=[[request, request]])
        if isinstance(value, list):
            first, count = value
            head, *buffers = frames[first : first + count]
            return status, pickle.loads(head, buffers=buffers)
        return status, msgpack.unpackb(value) if status == 1 else pickle.loads(value)


def _enrol(addresses: dict[str, str], info: dict[str, Any]) -> dict[str, bytes]:
    """Make a key, have the hub accept it; return the options of sockets that use it."""
    public, secret = zmq.curve_keypair()
    server = info["server_key"].encode()
    pair = {name: key.encode() for name, key in info["enrolment"].items()}
    door = Stranger(
        addresses,
        {
            "curve_publickey": pair["public"],
            "curve_secretkey": pair["secret"],
            "curve_serverkey": server,
        },
    )
    door.say("hub", "enrol", public_key=public.decode())
    fields, _ = door.hear("hub", "enrolled")
    assert fields == {"public_key": public.decode()}
    door.close()
    return {"curve_publickey": public, "curve_secretkey": secret, "curve_serverkey": server}


@pytest.fixture(params=["ipc", "tcp"])
def stranger(request: pytest.FixtureRequest, state: Path) -> Iterator[Stranger]:
    """A stranger that has joined a cluster of one engine."""
    with Cluster(n=1, profile=PROFILE, listen="127.0.0.1"):
        file = state / "profiles" / PROFILE / "connection-client.json"
        info = json.loads(file.read_text())
        assert info["format"] == 1
        addresses = info[request.param]
        curve = _enrol(addresses, info) if request.param == "tcp" else {}
        stranger = Stranger(addresses, curve)
        try:
            stranger.join()
            yield stranger
            stranger.say("hub", "goodbye")
        finally:
            stranger.close()


def test_the_document_is_enough(stranger: Stranger) -> None:
    """Joining, a beat, calls, commands, tasks, errors and frames go as the document says."""
    assert [engine["id"] for engine in stranger.registered["engines"]] == [0]

    stranger.say("hub", "beat")
    stranger.hear("hub", "beat")

    stranger.say("hub", "call", id=1, interface="query", method="engines_now", arguments={})
    answer, _ = stranger.hear("hub", "answer")
    assert (answer["id"], answer["code"]) == (1, "")
    assert [engine["id"] for engine in answer["value"]["engines"]] == [0]

    stranger.say("hub", "call", id=2, interface="query", method="nothing", arguments={})
    answer, _ = stranger.hear("hub", "answer")
    assert (answer["id"], answer["code"]) == (2, "unknown_interface")

    pushed = stranger.request(1)
    stranger.say(
        "multiengine",
        "command",
        first=pushed,
        targets=[0],
        action="push",
        payloads=[pickle.dumps({"x": 2.0})],
    )
    digest = blake2b(SQRT, digest_size=16).digest()
    task = stranger.request(2)
    stranger.say(
        "task",
        "submit_tasks",
        templates=[[digest, 0, 3, ""]],
        rows=[[task, 0, pickle.dumps(((2.0,), {}))]],
        functions=[[digest, SQRT]],
        after=pushed,
    )
    assert stranger.result("multiengine", pushed) == (0, None)
    assert stranger.result("task", task) == (0, 2.0**0.5)

    wrong = stranger.request(3)
    stranger.say(
        "task",
        "submit_tasks",
        templates=[[digest, 0, 3, ""]],
        rows=[[wrong, 0, pickle.dumps(((-1.0,), {}))]],
    )
    status, failure = stranger.result("task", wrong)
    assert (status, failure["code"], failure["ename"]) == (1, "remote", "ValueError")
    assert failure["engine_id"] == 0

    large = bytes(range(256)) * 1024
    stored, fetched = stranger.request(4), stranger.request(5)
    stranger.say(
        "multiengine",
        "command",
        pickle.dumps({"large": large}),
        first=stored,
        targets=[0],
        action="push",
        payloads=[[0, 1]],
    )
    assert stranger.result("multiengine", stored) == (0, None)
    stranger.say(
        "multiengine",
        "command",
        first=fetched,
        targets=[0],
        action="pull",
        payloads=[pickle.dumps("large")],
    )
    assert stranger.result("multiengine", fetched) == (0, large)

    nobody = stranger.request(6)
    stranger.say(
        "multiengine", "command", first=nobody, targets=[99], action="clear", payloads=[b""]
    )
    status, failure = stranger.result("multiengine", nobody)
    assert (status, failure["code"]) == (1, "invalid_engine_id")

    stranger.say("hub", "call", id=3, interface="control", method="shutdown", arguments={"targets": [0]})  # fmt: skip
    said = []
    while "unregistered" not in said:  # on a slow machine it may be suspect before
        event, _ = stranger.hear("iopub", "engine_event")
        assert event["engine"]["id"] == 0
        said.append(event["event"])
    assert set(said) - {"suspect", "recovered"} == {"draining", "unregistered"}


WRONG = {
    b"\xc1": "invalid_request",
    msgpack.packb([2, "beat", {}]): "protocol_mismatch",
    msgpack.packb([1, "who knows", {}]): "invalid_request",
    msgpack.packb([1, "beat", {"vouches": 1}]): "invalid_request",
    msgpack.packb([1, "results", {"rows": []}]): "authentication",
    msgpack.packb([1, "register", {}]): "invalid_request",
}


def test_what_is_wrong_gets_the_documented_answer(stranger: Stranger) -> None:
    """Each with its code, and the connection goes on to serve."""
    for header, code in WRONG.items():
        stranger.sockets["hub"].send(header)
        refused, _ = stranger.hear("hub", "refused")
        assert refused["code"] == code, header
    stranger.say("multiengine", "hello", token=b"somebody's")
    stranger.hear("multiengine", "say_hello")
    stranger.say("hub", "beat")
    stranger.hear("hub", "beat")

"""Peers of a gateway that are not ours: in JSON, with nonsense, without reading, from a browser."""

from __future__ import annotations

import json
import pickle
import random
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect
from websockets.typing import Subprotocol

from ctrlhub import Client, Cluster, PermissionDenied
from ctrlhub.gateway.relay.peer import BURST, RATE
from ctrlhub.gateway.token_file import TokenFile
from ctrlhub.wire.closing import FLOOD, MALFORMED, TOO_LARGE
from ctrlhub.wire.codec import decode, encode
from ctrlhub.wire.functions import digest_of
from ctrlhub.wire.limits import MAX_CONTROL_BYTES
from ctrlhub.wire.messages import (
    Answer,
    Call,
    Hello,
    Message,
    Refused,
    Register,
    Registered,
    Stream,
    SubmitTasks,
)  # fmt: skip
from ctrlhub.wire.versions import versions
from ctrlhub.wire.web import (
    JSON,
    MSGPACK,
    WEB_MESSAGE_BYTES,
    pack_message,
    unpack_message,
)
from tests.support.browser import chromium, program
from tests.support.processes import until

PATIENCE = 60.0


class Gateway:
    """The gateway of the module's cluster."""

    def __init__(self, cluster: Cluster, client: Client) -> None:
        self.url = client.gateway()
        assert cluster._claim is not None
        book = TokenFile(cluster._claim.profile.tokens).now()
        self.tokens = {token.name: token.secret for token in book.tokens}
        self.pid: int = client.status()["hub"]["http"]["pid"]

    @contextmanager
    def peer(
        self, subprotocol: str | None = MSGPACK, token: str = "admin", path: str = "/api/v1/connect", **options: Any
    ) -> Iterator[ClientConnection]:
        """A WebSocket of `websockets`' own client."""
        with connect(
            self.url.replace("http", "ws", 1) + path,
            subprotocols=None if subprotocol is None else [Subprotocol(subprotocol)],
            additional_headers={"Authorization": f"Bearer {self.tokens.get(token, token)}"},
            compression=None, max_size=None, open_timeout=PATIENCE, close_timeout=0.5, proxy=None, **options,
        ) as found:  # fmt: skip
            yield found

    def memory(self) -> int:
        """How much memory (bytes) its process has."""
        for line in Path(f"/proc/{self.pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) * 1024
        raise AssertionError("the gateway has ended")


@pytest.fixture
def gateway(cluster: Cluster, client: Client) -> Iterator[Gateway]:
    """The gateway, which serves all the same when the test is over."""
    gateway = Gateway(cluster, client)
    yield gateway
    assert client.status()["hub"]["http"]["pid"] == gateway.pid
    with Client(gateway.url, token=gateway.tokens["admin"]) as good:
        assert good.load_balanced_view().apply_sync(pow, 2, 5) == 32


def role_of(gateway: Gateway) -> str:
    """What the admin's token makes of a peer."""
    import urllib.request

    request = urllib.request.Request(
        f"{gateway.url}/api/v1/connection", headers={"Authorization": f"Bearer {gateway.tokens['admin']}"}
    )
    with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
        role: str = json.load(answer)["role"]
        return role


def say(peer: ClientConnection, stream: Stream, message: Message) -> None:
    """Say something in binary."""
    peer.send(pack_message(stream, encode(message)))


def hear(peer: ClientConnection, kind: type[Message]) -> Any:
    """Wait for a message of a kind."""
    while True:
        said = peer.recv(PATIENCE)
        assert isinstance(said, bytes)
        _, header, frames = unpack_message(said)
        message = decode(header, frames)
        if isinstance(message, kind):
            return message


def closed(peer: ClientConnection) -> tuple[int, str]:
    """Wait until a WebSocket is closed; return the code and the reason."""
    with suppress(ConnectionClosed):
        while True:
            peer.recv(PATIENCE)
    assert peer.close_code is not None
    return peer.close_code, peer.close_reason or ""


def joined(peer: ClientConnection, gateway: Gateway) -> Registered:
    """Register and say hello; return what the hub has answered."""
    said = Register(role_of(gateway), random.randbytes(20).hex(), b"i" * 16, 1, "somewhere", versions())
    say(peer, Stream.HUB, said)
    registered: Registered = hear(peer, Registered)
    for stream in (Stream.MULTIENGINE, Stream.TASK, Stream.IOPUB):
        say(peer, stream, Hello(registered.token))
    return registered


# ---------------------------------------------------------------- exchanges


def test_json_from_a_few_lines(gateway: Gateway) -> None:
    """Register, hello, and a call: all of it in JSON, with nothing of ours."""
    with gateway.peer(JSON) as peer:

        def tell(stream: str, **message: Any) -> None:
            peer.send(json.dumps({"stream": stream, "message": message}))

        def listen(kind: str) -> Any:
            while True:
                heard = json.loads(peer.recv(PATIENCE))
                if heard["message"]["kind"] == kind:
                    return heard

        tell(
            "hub", kind="register", role=role_of(gateway), key="a few lines", incarnation={"$bytes": "aGk="},
            pid=1, host="browser", versions=versions(),
        )  # fmt: skip
        registered = listen("registered")["message"]
        for stream in ("multiengine", "task", "iopub"):
            tell(stream, kind="hello", token=registered["token"])
            assert listen("welcome") == {
                "stream": stream, "message": {"kind": "welcome", "epoch": registered["epoch"]}
            }  # fmt: skip
        tell("hub", kind="call", id=7, interface="query", method="status", arguments={})
        answer = listen("answer")["message"]
        assert (answer["id"], answer["code"]) == (7, "")
        assert {engine["state"] for engine in answer["value"]["engines"]} == {"idle"}
        tell("hub", kind="goodbye")


@pytest.mark.parametrize("role", ["engine", "nanny"])
def test_only_clients_come_this_way(gateway: Gateway, role: str) -> None:
    """A registration as anything else is refused, as the hub would; the peer may try again."""
    with gateway.peer() as peer:
        say(peer, Stream.HUB, Register(role, "k", b"i", 1, "h", versions()))
        _, header, _ = unpack_message(peer.recv(PATIENCE))  # type: ignore[arg-type]
        refused = decode(header)
        assert (refused.kind, refused.code) == ("refused", "authentication")  # type: ignore[attr-defined]
        assert joined(peer, gateway).session > 0


def test_a_name_is_no_key(gateway: Gateway, client: Client) -> None:
    """Who registers with the key of an engine gets a session of its own, and the engine keeps its place."""
    [engine, *_] = client.status()["engines"]
    key = client._connection.engine_uuid(engine["id"])
    with gateway.peer() as peer:
        say(peer, Stream.HUB, Register(role_of(gateway), str(key), b"i", 1, "h", versions()))
        assert hear(peer, Registered).engine_id == -1
    assert client[engine["id"]].apply_sync(pow, 2, 5) == 32


def test_a_client_has_the_role_of_its_token(gateway: Gateway) -> None:
    """The hub holds it to that, as any other client: over HTTP nobody gets more than the token says."""
    for role in ("admin", "submit", "view"):
        with Client(gateway.url, token=gateway.tokens[role]) as client:
            assert client.role == role
            assert len(client.ids) == len(client.status()["engines"])
            if role == "view":
                with pytest.raises(PermissionDenied):
                    client.load_balanced_view().apply_sync(pow, 2, 5)
                with pytest.raises(PermissionDenied):
                    client[0].execute("x = 1", block=True)
            else:
                assert client.load_balanced_view().apply_sync(pow, 2, 5) == 32
            if role != "admin":
                with pytest.raises(PermissionDenied):
                    client.restart(0)


@pytest.mark.parametrize(("token", "role"), [("view", "submit"), ("view", "client"), ("submit", "admin"), ("admin", "view")])
def test_another_role_than_the_tokens(gateway: Gateway, token: str, role: str) -> None:
    """A peer that registers with one is refused, and no session is made."""
    with gateway.peer(token=token) as peer:
        say(peer, Stream.HUB, Register(role, "k", b"i", 1, "h", versions()))
        said = peer.recv(PATIENCE)
        assert isinstance(said, bytes)
        assert decode(unpack_message(said)[1]).code == "authentication"  # type: ignore[attr-defined]


SCRIPT = """async versions => {
    const socket = new WebSocket(location.origin.replace("http", "ws") + "/api/v1/connect", "ctrlhub.v1.json");
    const heard = [], waiting = [];
    socket.onmessage = event => { heard.push(JSON.parse(event.data)); waiting.splice(0).forEach(wake => wake()); };
    const tell = (stream, message) => socket.send(JSON.stringify({stream, message}));
    const listen = async kind => {
        for (;;) {
            const found = heard.findIndex(said => said.message.kind === kind);
            if (found >= 0) return heard.splice(found, 1)[0].message;
            await new Promise(wake => waiting.push(wake));
        }
    };
    await new Promise((open, fail) => { socket.onopen = open; socket.onerror = fail; });
    const {role} = await (await fetch("/api/v1/connection")).json();
    tell("hub", {kind: "register", role, key: crypto.randomUUID(), incarnation: {$bytes: btoa("hello")},
        pid: 1, host: "browser", versions});
    const registered = await listen("registered");
    for (const stream of ["multiengine", "task", "iopub"]) tell(stream, {kind: "hello", token: registered.token});
    const welcome = await listen("welcome");
    tell("hub", {kind: "call", id: 7, interface: "query", method: "status", arguments: {}});
    const answer = await listen("answer");
    tell("hub", {kind: "goodbye"});
    socket.close();
    return {role, same: welcome.epoch === registered.epoch, states: answer.value.engines.map(each => each.state)};
}"""


def test_a_browser(gateway: Gateway, require_system_part: Callable[[str, bool], None]) -> None:
    """A page's script speaks JSON with the cookie of its login: register, hello, a call."""
    require_system_part("chromium", program() is not None)
    with chromium() as browser:
        page = browser.new_page()
        page.goto(f"{gateway.url}/?token={gateway.tokens['view']}", wait_until="commit")
        found = page.evaluate(SCRIPT, versions())
    assert found == {"role": "view", "same": True, "states": ["idle", "idle"]}


# ---------------------------------------------------------------- who is not let in


@pytest.mark.parametrize(
    ("token", "subprotocol", "status"),
    [("wrong", MSGPACK, 401), ("", MSGPACK, 401), ("admin", None, 400), ("admin", "other", 400)],
)
def test_who_is_not_let_in(gateway: Gateway, token: str, subprotocol: str | None, status: int) -> None:
    """No token, a wrong one, or no subprotocol of ours: the handshake is refused."""
    with pytest.raises(InvalidStatus) as caught, gateway.peer(subprotocol, token):
        pass
    assert caught.value.response.status_code == status


def test_a_foreign_origin(gateway: Gateway) -> None:
    """A script of another site is refused, whatever token it has."""
    with (
        pytest.raises(InvalidStatus) as caught,
        gateway.peer(origin="https://evil.example"),  # type: ignore[arg-type]
    ):
        pass
    assert caught.value.response.status_code == 403


# ---------------------------------------------------------------- nonsense


@pytest.mark.parametrize(
    ("subprotocol", "said", "code"),
    [
        (MSGPACK, b"", MALFORMED),
        (MSGPACK, b"\xff" * 100, MALFORMED),
        (MSGPACK, "text", MALFORMED),
        (MSGPACK, pack_message(Stream.HUB, [bytes(MAX_CONTROL_BYTES + 1)]), TOO_LARGE),
        (MSGPACK, bytes(WEB_MESSAGE_BYTES + 1), TOO_LARGE),
        (JSON, b"{}", MALFORMED),
        (JSON, "[" * 1_000_000, MALFORMED),
        (JSON, '{"stream": "task", "message": {"kind": "call", "x": [' + "[]," * 1_900_000 + "[]]}}", MALFORMED),
        (JSON, '{"stream": "hub", "message": {"kind": "beat", "x": ' + "9" * 100_000 + "}}", MALFORMED),
    ],
    ids=["empty", "bytes", "text", "too-large-for-the-stream", "too-large", "binary", "deep", "parts", "digits"],
)
def test_nonsense(gateway: Gateway, subprotocol: str, said: str | bytes, code: int) -> None:
    """The WebSocket is closed with a code and a reason; the gateway goes on."""
    with gateway.peer(subprotocol) as peer:
        with suppress(ConnectionClosed):
            peer.send(said)
        assert closed(peer)[0] == code


@pytest.mark.parametrize(("token", "size"), [("view", 3), ("view", 5), ("admin", 9)])
def test_a_message_that_is_too_large_for_a_role(gateway: Gateway, token: str, size: int) -> None:
    """It ends the connection: with a code and a reason, or if it is larger still without being read."""
    with gateway.peer(token=token) as peer:
        with suppress(ConnectionClosed):
            peer.send(pack_message(Stream.TASK, [bytes((size << 20) - 100_000)]))
        assert closed(peer)[0] in (TOO_LARGE, 1006)


def test_a_message_in_pieces(gateway: Gateway) -> None:
    """However small they are, and however large it is."""
    said = pack_message(Stream.HUB, encode(Call(7, "query", "status", {"no_such": bytes(500_000)})))
    with gateway.peer() as peer:
        joined(peer, gateway)
        peer.send(said[place : place + 5_000] for place in range(0, len(said), 5_000))
        assert hear(peer, Answer).id == 7


def test_any_bytes(gateway: Gateway, client: Client) -> None:
    """On sockets that were let in: neither gateway nor hub minds, and both answer as before."""
    hub = client.status()["hub"]
    rng = random.Random(7)
    good = [pack_message(stream, encode(Call(1, "query", "status", {}))) for stream in Stream]
    for _ in range(40):
        with gateway.peer() as peer, suppress(ConnectionClosed):
            for _ in range(5):
                data = bytearray(rng.choice(good))
                for _ in range(rng.randrange(4)):
                    data[rng.randrange(len(data))] = rng.randrange(256)
                peer.send(bytes(data))
    with gateway.peer() as peer:
        joined(peer, gateway)
        say(peer, Stream.HUB, Call(7, "query", "status", {}))
        answer = hear(peer, Answer)
    assert (answer.id, answer.code) == (7, "")
    now = answer.value["hub"]
    assert (now["pid"], now["http"]["pid"], now["http"]["deaths"]) == (hub["pid"], gateway.pid, hub["http"]["deaths"])


def test_a_message_that_the_hub_cannot_read(gateway: Gateway) -> None:
    """It is the hub's to refuse, as over ZeroMQ; the connection stays."""
    with gateway.peer() as peer:
        joined(peer, gateway)
        peer.send(pack_message(Stream.HUB, [b"\xc1"]))
        assert hear(peer, Refused).code == "invalid_request"
        say(peer, Stream.HUB, Call(1, "query", "status", {}))
        assert hear(peer, Answer).id == 1


def test_a_flood_of_pings(gateway: Gateway) -> None:
    """Each would be answered: the WebSocket is closed, with the reason."""
    with gateway.peer() as peer:
        with suppress(ConnectionClosed):
            for number in range(1000):
                peer.ping(str(number))
        assert closed(peer) == (FLOOD, "too many messages")


def test_a_flood_of_messages(gateway: Gateway) -> None:
    """It is heard only so fast; others are served meanwhile, and each of its calls is answered, in order."""
    count = int(BURST + RATE)
    with gateway.peer() as peer, ThreadPoolExecutor(1) as pool:
        joined(peer, gateway)

        def flood() -> None:
            for number in range(1, count + 1):
                say(peer, Stream.HUB, Call(number, "query", "engine_events", {}))

        flooding = pool.submit(flood)
        with Client(gateway.url, token=gateway.tokens["admin"]) as other:
            assert other.load_balanced_view().map_sync(abs, range(100)) == list(range(100))
        answers = [hear(peer, Answer) for _ in range(count)]
        flooding.result(PATIENCE)
    assert [answer.id for answer in answers] == list(range(1, count + 1))
    assert {answer.code for answer in answers} == {""}


# ---------------------------------------------------------------- who does not read


def test_a_peer_that_does_not_read(gateway: Gateway, client: Client) -> None:
    """What it has asked for does not gather in the gateway: it waits at the hub, under its credit."""
    results, size = 128, 1_000_000
    before, done = gateway.memory(), client.status()["tasks"]["done"]
    with gateway.peer(max_queue=1) as peer:
        registered = joined(peer, gateway)
        say(peer, Stream.TASK, many(registered.session << 40 | registered.first, results, size))
        # `websockets` has a thread that reads until its queue is full; what is more it leaves.
        until(lambda: client.status()["tasks"]["done"] == done + results, "all have run")
        with Client(gateway.url, token=gateway.tokens["admin"]) as other:
            assert other[0].apply_sync(len, np.zeros(1000)) == 1000
        assert gateway.memory() - before < results * size // 3


def many(first: int, count: int, size: int) -> SubmitTasks:
    """Tasks that return so many bytes each."""
    function, arguments = pickle.dumps(bytes), pickle.dumps(((size,), {}))
    digest = digest_of(function)
    rows = tuple((first + number, 0, arguments) for number in range(count))
    return SubmitTasks(((digest, 0, 3, ""),), rows, ((digest, function),), 0)

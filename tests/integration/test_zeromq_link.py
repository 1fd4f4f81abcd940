from __future__ import annotations

import errno
import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal

import pytest
import zmq
from zmq.utils import z85

from ctrlhub.link.base import Arrival, Link
from ctrlhub.link.membership import Membership, Patience, State
from ctrlhub.link.runner import Runner
from ctrlhub.link.zeromq import ZeroMQLink
from ctrlhub.wire.codec import decode, encode
from ctrlhub.wire.connection import ConnectionInfo, Here
from ctrlhub.wire.errors import HubNotFound
from ctrlhub.wire.messages import (
    Beat,
    Enrol,
    Enrolled,
    Goodbye,
    Hello,
    Message,
    Register,
    Registered,
    SayHello,
    Stream,
    Welcome,
)
from ctrlhub.wire.security import KeyPair, Role

DEADLINE = 60.0
"""How long (seconds) anything here may take before it counts as a hang."""

DATA = tuple(Stream)

Address = dict[Stream, str]


class FakeHub:
    """A ROUTER for each stream, driven by the test's thread."""

    def __init__(self, addresses: Address, server: KeyPair | None = None) -> None:
        self.context = zmq.Context()
        self.allowed: set[str] = set()
        self.sockets: dict[Stream, zmq.Socket[bytes]] = {}
        self.addresses: Address = {}
        if server is not None:
            door = self.context.socket(zmq.REP)
            door.bind("inproc://zeromq.zap.01")
            threading.Thread(target=self._guard, args=(door,), daemon=True).start()
        for stream, address in addresses.items():
            socket = self.context.socket(zmq.ROUTER)
            if server is not None:
                socket.curve_server = True
                socket.zap_domain = b"test"
                socket.curve_secretkey = server.secret.encode()
            socket.router_mandatory = True
            socket.linger = 0
            socket.bind(address)
            self.sockets[stream] = socket
            self.addresses[stream] = socket.LAST_ENDPOINT.decode().rstrip("\0")

    def _guard(self, door: zmq.Socket[bytes]) -> None:
        """Say at each handshake whether the key may connect."""
        with door, suppress(zmq.ContextTerminated):
            while True:
                version, request, *_, key = door.recv_multipart()
                status = b"200" if z85.encode(key).decode() in self.allowed else b"400"
                door.send_multipart([version, request, status, b"", b"", b""])

    def receive(self, stream: Stream) -> list[bytes]:
        """Take the next message: the routing id, and the frames."""
        assert self.sockets[stream].poll(DEADLINE * 1000), f"nothing arrived on {stream}"
        return self.sockets[stream].recv_multipart()

    def send(self, stream: Stream, *frames: bytes) -> None:
        """Send frames, the routing id first."""
        self.sockets[stream].send_multipart(frames)

    def close(self) -> None:
        """Close as abruptly as a kill would."""
        for socket in self.sockets.values():
            socket.close(0)
        self.context.term()


@pytest.fixture
def directory() -> Iterator[Path]:
    """A short private directory, since the path of a socket is limited to 107 bytes."""
    made = Path(tempfile.mkdtemp(prefix="ctrlhub-"))
    (made / "run").mkdir(mode=0o700)
    yield made / "run"
    shutil.rmtree(made)


class World:
    """Makes hubs and links, and closes them."""

    def __init__(self, scheme: Literal["ipc", "tcp"], directory: Path) -> None:
        self.scheme = scheme
        self.server = KeyPair.generate()
        self.enrolment = KeyPair.generate()
        self.own = KeyPair.generate()
        self.closing: list[Callable[[], None]] = []
        self.addresses: Address = {
            stream: f"ipc://{directory}/{stream.value}" if scheme == "ipc" else "tcp://127.0.0.1:*"
            for stream in Stream
        }

    def hub(self) -> FakeHub:
        """Bind a hub, at the addresses of the one before."""
        made = FakeHub(self.addresses, self.server if self.scheme == "tcp" else None)
        made.allowed = {self.enrolment.public, self.own.public}
        self.addresses = made.addresses
        self.closing.append(made.close)
        return made

    def info(self, **changes: Any) -> ConnectionInfo:
        """What the connection file of the hub says."""
        here = Here.find()
        told: dict[str, Any] = {
            "boot_id": here.boot_id,
            self.scheme: self.addresses,
            "server_key": self.server.public,
            "enrolment": self.enrolment,
        }
        return ConnectionInfo(
            profile="test",
            role=Role.ENGINE,
            epoch="e",
            hub_pid=1,
            hub_started=0.0,
            uid=here.uid,
            host=here.host,
            python="3.11",
            package="0",
            **(told | changes),
        )

    def link(self, **changes: Any) -> ZeroMQLink:
        """Connect a peer."""
        made = ZeroMQLink(self.info(**changes), self.own, prefer=self.scheme)
        self.closing.append(made.close)
        return made

    def open_link(self) -> ZeroMQLink:
        """Connect a peer whose key was enrolled."""
        made = self.link()
        made.enrolled()
        return made


@pytest.fixture(params=["ipc", "tcp"])
def world(request: pytest.FixtureRequest, directory: Path) -> Iterator[World]:
    """A world over ipc, and one over TCP with CURVE."""
    made = World(request.param, directory)
    yield made
    for close in reversed(made.closing):
        close()


@pytest.fixture
def curve_world(directory: Path) -> Iterator[World]:
    """A world over TCP with CURVE."""
    made = World("tcp", directory)
    yield made
    for close in reversed(made.closing):
        close()


def collect(link: Link, number: int) -> list[Arrival]:
    """Receive until so many messages are there."""
    arrivals: list[Arrival] = []
    end = time.monotonic() + DEADLINE
    while len(arrivals) < number:
        assert time.monotonic() < end, f"{len(arrivals)} of {number} messages arrived"
        arrivals += link.receive(1.0)
    return arrivals


def attend_until(link: ZeroMQLink, condition: Callable[[], bool]) -> None:
    """Let the link do its work until a condition holds."""
    end = time.monotonic() + DEADLINE
    while not condition():
        assert time.monotonic() < end, f"never came true; the link says: {link.failure()}"
        link.receive(0.05)


def greet(hub: FakeHub, link: ZeroMQLink, streams: Sequence[Stream] = DATA) -> dict[Stream, bytes]:
    """Send one message on each stream; return the routing ids they came by."""
    for stream in streams:
        link.send(stream, [b"hello"])
    return {stream: hub.receive(stream)[0] for stream in streams}


# ---------------------------------------------------------------- messages


def test_messages_pass_both_ways_on_every_stream(world: World) -> None:
    """Each stream is a connection of its own: header and frames arrive whole, in both directions."""
    hub, link = world.hub(), world.open_link()
    big = bytes(range(256)) * 1024
    for stream in DATA:
        link.send(stream, [b"header", memoryview(big), b""])
        routing, *frames = hub.receive(stream)
        assert frames == [b"header", big, b""]
        hub.send(stream, routing, b"back", big, b"", b"last")
        [(came_by, header, payload)] = collect(link, 1)
        assert (came_by, header) == (stream, b"back")
        assert type(header) is bytes
        assert [bytes(each) for each in payload] == [big, b"", b"last"]
        assert len(payload[0]) == len(big)
    assert link.failure() is None


def test_everything_arrives_in_order(world: World) -> None:
    """More messages than one receive takes all arrive, each stream's in the order they were sent."""
    hub, link = world.hub(), world.open_link()
    routing = greet(hub, link)
    for number in range(1000):
        for stream in DATA:
            hub.send(stream, routing[stream], str(number).encode())
    arrivals = collect(link, 1000 * len(DATA))
    for stream in DATA:
        numbers = [int(header) for came_by, header, _ in arrivals if came_by is stream]
        assert numbers == list(range(1000))


def test_no_message_is_overlooked(world: World) -> None:
    """Sends between receives cannot hide an arrival: no round trip is answered late."""
    hub, link = world.hub(), world.open_link()
    routing = greet(hub, link)
    attend_until(link, lambda: all(port.connected for port in link._ports))
    for number in range(1000):
        stream = DATA[number % len(DATA)]
        link.send(stream, [b"ping"])
        hub.receive(stream)
        hub.send(stream, routing[stream], b"pong")
        link.send(DATA[(number + 1) % len(DATA)], [b"noise"])  # this may take the news off a descriptor
        hub.receive(DATA[(number + 1) % len(DATA)])
        assert link.receive(DEADLINE) == [(stream, b"pong", [])]


def test_a_flooded_stream_does_not_starve_another(curve_world: World) -> None:
    """While one stream always has messages, those of another still come through."""
    hub, link = curve_world.hub(), curve_world.open_link()
    routing = greet(hub, link)
    for _ in range(900):
        hub.send(Stream.TASK, routing[Stream.TASK], b"task")
    hub.send(Stream.HUB, routing[Stream.HUB], b"control")
    end = time.monotonic() + DEADLINE
    tasks = 0
    while time.monotonic() < end:
        arrivals = link.receive(1.0)
        if any(stream is Stream.HUB for stream, _, _ in arrivals):
            break
        tasks += len(arrivals)
        for _ in arrivals:
            hub.send(Stream.TASK, routing[Stream.TASK], b"task")
    else:
        pytest.fail("the hub stream was starved")
    collect(link, 900 - len(arrivals) + 1)


# ---------------------------------------------------------------- waiting


def test_timeout_gives_nothing(world: World) -> None:
    """A receive whose time is up returns an empty list."""
    world.hub()
    link = world.open_link()
    assert link.receive(0.0) == []
    assert link.receive(0.01) == []


def test_wake_ends_a_wait_without_timeout(world: World) -> None:
    """Another thread makes a waiting receive return; one wake is good for one receive."""
    hub, link = world.hub(), world.open_link()
    greet(hub, link)
    attend_until(link, lambda: all(port.connected for port in link._ports))
    threading.Timer(0.05, link.wake).start()
    assert link.receive(None) == []
    link.wake()
    link.wake()
    assert link.receive(None) == []
    assert not link._poll.poll(0)


# ---------------------------------------------------------------- a hub that goes and comes back


def test_reconnects_to_a_hub_that_was_restarted(world: World) -> None:
    """The hub dies without a word and binds again: the link says so, and connects by itself."""
    hub, link = world.hub(), world.open_link()
    greet(hub, link)
    attend_until(link, lambda: link.failure() is None)
    hub.close()
    attend_until(link, lambda: link.failure() is not None)
    hub = world.hub()
    attend_until(link, lambda: all(port.connected for port in link._ports))
    routing = greet(hub, link)
    for stream in DATA:
        hub.send(stream, routing[stream], b"back")
    assert {stream for stream, _, _ in collect(link, len(DATA))} == set(DATA)
    attend_until(link, lambda: link.failure() is None)


def test_says_that_nobody_listens(world: World) -> None:
    """Where there is no hub, the failure names the stream and the address, hub stream first."""
    world.hub().close()
    link = world.open_link()
    attend_until(link, lambda: all(port.failure for port in link._ports))
    text = link.failure()
    assert text == f"nothing answers for the hub's hub stream at {world.addresses[Stream.HUB]}"


def test_a_socket_that_cannot_be_had_is_tried_again(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """User code may have taken all file descriptors; the link says so, and lives."""
    hub, link = world.hub(), world.open_link()
    greet(hub, link)

    def refuse(context: Any, kind: int) -> Any:
        raise zmq.ZMQError(errno.EMFILE)

    with monkeypatch.context() as patch:
        patch.setattr(zmq.Context, "socket", refuse)
        link.reopen()
        link.send(Stream.HUB, [b"lost"])
        assert link.receive(0.0) == []
        assert "Too many open files" in str(link.failure())

    attend_until(link, lambda: all(port.connected for port in link._ports))
    greet(hub, link)
    assert link.failure() is None


# ---------------------------------------------------------------- keys


def test_enrols_on_the_hub_stream_alone(curve_world: World) -> None:
    """Until the key is enrolled only the hub stream is open; what is sent elsewhere goes nowhere."""
    hub = curve_world.hub()
    hub.allowed = {curve_world.enrolment.public}
    link = curve_world.link()
    assert link.enrolling
    link.send(Stream.TASK, [b"too early"])
    routing = greet(hub, link, [Stream.HUB])[Stream.HUB]
    hub.send(Stream.HUB, routing, b"enrolled")
    assert collect(link, 1) == [(Stream.HUB, b"enrolled", [])]
    hub.allowed.add(curve_world.own.public)
    link.enrolled()
    assert not link.enrolling
    greet(hub, link)
    assert not hub.sockets[Stream.TASK].poll(0)
    link.enrol_again()
    assert link.enrolling
    greet(hub, link, [Stream.HUB])


def test_over_ipc_there_are_no_keys(directory: Path) -> None:
    """Over ipc nothing is enrolled: the link is open from the start, and stays as it is."""
    world = World("ipc", directory)
    hub, link = world.hub(), world.link()
    assert not link.enrolling
    routing = greet(hub, link)
    link.enrol_again()
    link.enrolled()
    assert not link.enrolling
    assert greet(hub, link) == routing
    link.close()
    hub.close()


def test_a_wrong_server_key_is_named(curve_world: World) -> None:
    """A stale connection file: the failure says what to do, and the hub gets no message."""
    hub = curve_world.hub()
    link = curve_world.link(server_key=KeyPair.generate().public)
    link.send(Stream.HUB, [b"hello"])
    attend_until(link, lambda: "broke off" in (link.failure() or ""))
    assert "connection file" in (link.failure() or "")
    assert curve_world.addresses[Stream.HUB] in (link.failure() or "")
    assert not hub.sockets[Stream.HUB].poll(0)


def test_failed_handshakes_are_repeated_ever_more_slowly(curve_world: World) -> None:
    """A hub is not stormed by a peer that it refuses: the pauses between attempts grow."""
    curve_world.hub()
    link = curve_world.link(server_key=KeyPair.generate().public)
    port = link._ports[0]
    pauses = [port.pause]

    def note() -> bool:
        if port.pause != pauses[-1]:
            pauses.append(port.pause)
        return len(pauses) == 4

    attend_until(link, note)
    assert pauses == pytest.approx([pauses[0] * factor for factor in (1, 2, 4, 8)])


def test_a_refused_key_is_named_and_to_be_enrolled_again(curve_world: World) -> None:
    """A hub that forgot our key: the link says so, and asks for a new enrolment."""
    hub = curve_world.hub()
    hub.allowed = {curve_world.enrolment.public}
    link = curve_world.open_link()
    attend_until(link, lambda: link.enrolling)
    assert "refused our key" in (link.failure() or "")
    link.enrol_again()
    greet(hub, link, [Stream.HUB])
    attend_until(link, lambda: link.failure() is None)


def test_a_refused_enrolment_key_is_tried_again(curve_world: World) -> None:
    """ZeroMQ gives up after a refusal; the link does not: it connects once the key is accepted."""
    hub = curve_world.hub()
    hub.allowed = set()
    link = curve_world.link()
    attend_until(link, lambda: "refused our key" in (link.failure() or ""))
    hub.allowed = {curve_world.enrolment.public}
    attend_until(link, lambda: link.failure() is None)
    greet(hub, link, [Stream.HUB])


def test_another_protocol_is_a_failure(curve_world: World) -> None:
    """A plain socket in the hub's place gets nothing, whichever side notices first."""
    plain = FakeHub({Stream.HUB: "tcp://127.0.0.1:*"})
    link = curve_world.link(tcp=plain.addresses)
    link.send(Stream.HUB, [b"secret"])
    attend_until(link, lambda: link.failure() is not None)
    assert any(text in (link.failure() or "") for text in ("does not speak", "broke off"))
    assert not plain.sockets[Stream.HUB].poll(0)
    plain.close()


# ---------------------------------------------------------------- opening and closing


def test_what_was_just_sent_still_leaves(world: World) -> None:
    """A goodbye that is followed by a close arrives."""
    hub, link = world.hub(), world.open_link()
    greet(hub, link)
    attend_until(link, lambda: all(port.connected for port in link._ports))
    link.send(Stream.HUB, [b"goodbye"])
    link.close()
    assert hub.receive(Stream.HUB)[1:] == [b"goodbye"]


def test_closes_twice_and_ignores_late_wakes(world: World) -> None:
    """Closing is final and harmless; a thread that wakes a closed link touches nothing."""
    world.hub().close()
    link = world.open_link()
    link.send(Stream.HUB, [b"to nobody"])
    link.close()
    link.close()
    link.wake()
    link.send(Stream.HUB, [b"too late"])


def test_chooses_by_the_connection_file(directory: Path) -> None:
    """With no preference the link takes ipc where it reaches the hub, else TCP, or says why not."""
    world = World("ipc", directory)
    hub = world.hub()
    link = ZeroMQLink(world.info(), world.own)
    assert not link.enrolling
    greet(hub, link)
    link.close()
    tcp = dict.fromkeys(Stream, "tcp://127.0.0.1:9")
    link = ZeroMQLink(world.info(boot_id="another boot", tcp=tcp), world.own)
    assert link.enrolling
    link.close()
    with pytest.raises(HubNotFound, match="does not listen on tcp"):
        ZeroMQLink(world.info(), world.own, prefer="tcp")
    with pytest.raises(HubNotFound, match="as it was booted then"):
        ZeroMQLink(world.info(boot_id="another boot"), world.own)
    hub.close()


def test_an_address_that_cannot_be_is_an_error(directory: Path) -> None:
    """An address that ZeroMQ does not take is reported by name, and nothing is left open."""
    world = World("ipc", directory)
    world.addresses = {stream: f"ipc:///{'x' * 200}/{stream.value}" for stream in Stream}
    with pytest.raises(HubNotFound, match="cannot connect to the hub's multiengine stream"):
        world.link()


# ---------------------------------------------------------------- with a membership


class Peer(Membership):
    """A client that counts how often it joined."""

    joined = 0

    def on_joined(self, registered: Registered, now: float) -> None:
        """Count it."""
        self.joined += 1


def serve(hub: FakeHub, epoch: str, until: type[Message]) -> list[Message]:
    """Answer as a hub does until a message of a kind arrived; return what was heard."""
    heard: list[Message] = []
    poller = zmq.Poller()
    for stream in DATA:
        poller.register(hub.sockets[stream], zmq.POLLIN)
    streams = {socket: stream for stream, socket in hub.sockets.items()}
    known: set[bytes] = set()
    while not any(isinstance(each, until) for each in heard):
        ready = poller.poll(DEADLINE * 1000)
        assert ready, f"no {until.kind} arrived; heard: {heard}"
        for socket, _ in ready:
            routing, header, *frames = socket.recv_multipart()
            message = decode(header, frames)
            heard.append(message)
            answer = _answer(message, epoch, routing in known)
            if isinstance(answer, Registered):
                known.add(routing)
            if answer is not None:
                with suppress(zmq.ZMQError):  # the peer may have left meanwhile
                    hub.send(streams[socket], routing, *encode(answer))
    return heard


def _answer(message: Message, epoch: str, is_known: bool) -> Message | None:
    match message:
        case Enrol(public_key=key):
            return Enrolled(key)
        case Register():
            return Registered(5, b"token", -1, epoch, False, 0.05, 5.0, 600.0)
        case Hello():
            return Welcome(epoch)
        case Beat():
            return Beat() if is_known else SayHello()
        case _:
            return None


def test_a_member_survives_the_hub(world: World) -> None:
    """A running membership joins, finds the restarted hub, joins that, and says goodbye."""
    hub = world.hub()
    registration = Register("admin", world.own.public, b"i", 1, "here", {})
    peer = Peer(registration, patience=Patience(first=0.05, longest=0.2), seed=1)
    runner = Runner(peer, world.link())
    thread = threading.Thread(target=runner.run)
    thread.start()
    try:
        heard = serve(hub, "one", until=Beat)
        assert any(isinstance(each, Enrol) for each in heard) == (world.scheme == "tcp")
        hub.close()
        hub = world.hub()
        if world.scheme == "tcp":
            hub.allowed = {world.enrolment.public}  # until it is enrolled again
            serve(hub, "two", until=Enrol)
            hub.allowed.add(world.own.public)
        serve(hub, "two", until=Hello)
        serve(hub, "two", until=Beat)
        runner.post(peer.goodbye)
        serve(hub, "two", until=Goodbye)
    finally:
        runner.stop()
        thread.join()
    assert peer.state is State.GONE
    assert peer.joined >= 2  # more often where this machine made the hub look silent
    assert peer.epoch == "two"
    assert runner.malformed == 0

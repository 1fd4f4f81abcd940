"""Who may not, gets nothing and disturbs nobody: a hub that listens on TCP, and whoever tries.

All tests share one cluster whose engines, and a client that goes about its business, are on TCP. After
each, that client has gone on, and the hub has neither sessions nor descriptors that it did not have.
"""

from __future__ import annotations

import os
import resource
import socket
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import psutil
import pytest
import zmq

from ctrlhub import AuthenticationError, Client, Cluster
from ctrlhub.wire import messages as m
from ctrlhub.wire.connection import ConnectionInfo
from ctrlhub.wire.ids import request_id
from ctrlhub.wire.messages import Message, Role, Stream
from ctrlhub.wire.places import Profile
from ctrlhub.wire.security import KeyPair
from tests.support.bystander import Bystander
from tests.support.census import INTERFACES, census_installed
from tests.support.intruder import Caller, Member, curve, dial, until_shut
from tests.support.processes import until
from tests.support.state import own_state

PROFILE = "target"
TIMES = {"beat": 0.5, "suspect": 2.0, "lost": 5.0, "session_ttl": 1.0}
"""Seconds; sessions of whoever just disappears shall end within a test."""

BULK = (Stream.MULTIENGINE, Stream.TASK)


class Target:
    """The hub that is tried, as an attacker on the network and its owner see it."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster
        profile = Profile.named(PROFILE)
        self.for_clients = ConnectionInfo.load(profile.connection_client)
        self.for_engines = ConnectionInfo.load(profile.connection_engine)
        self.hub = psutil.Process(cluster.pids["hub"])

    def info(self, role: Role) -> ConnectionInfo:
        """Return the connection file of a role."""
        return self.for_clients if role is Role.CLIENT else self.for_engines

    def kept(self) -> tuple[Mapping[str, int], int]:
        """Count sessions and descriptors."""
        sessions: Mapping[str, int] = self.cluster.client.interface("census").sessions()
        return sessions, self.hub.num_fds()


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    """A cluster with two engines on TCP."""
    with (
        own_state(tmp_path_factory.mktemp("state")),
        census_installed(tmp_path_factory.mktemp("site")),
    ):
        cluster = Cluster(n=2, profile=PROFILE, prefer="tcp", interfaces=INTERFACES, **TIMES)
        with cluster:
            yield Target(cluster)


@pytest.fixture(scope="module")
def bystander(target: Target) -> Iterator[Bystander]:
    """A client on TCP that is at work all the time."""
    bystander = Bystander(target.cluster.connect_client_sync())
    bystander.goes_on()
    yield bystander
    bystander.close()


@pytest.fixture(scope="module")
def before(target: Target, bystander: Bystander) -> tuple[Mapping[str, int], int]:
    """What the hub keeps when nobody misbehaves."""
    return target.kept()


@pytest.fixture(autouse=True)
def _nobody_is_disturbed(
    target: Target, bystander: Bystander, before: tuple[Mapping[str, int], int]
) -> Iterator[None]:
    """The others are served, during and after; the hub keeps nothing of what was tried."""
    sessions, descriptors = before
    bystander.goes_on(1)
    yield
    bystander.goes_on()

    def nothing_is_left() -> bool:
        now, open_now = target.kept()
        return now == sessions and open_now <= descriptors

    until(nothing_is_left, f"the hub has {sessions} and {descriptors} descriptors again")
    assert target.cluster.client.ids == [0, 1]


@pytest.fixture
def members(target: Target) -> Iterator[Callable[[Role], Member]]:
    """Registered peers of any role, which leave at the end."""
    made: list[Member] = []

    def make(role: Role) -> Member:
        made.append(Member.registered(target.info(role), role))
        return made[-1]

    yield make
    for member in made:
        member.leave()


def refused(answer: Message) -> bool:
    """Say whether an answer is a refusal on the ground of who speaks."""
    return isinstance(answer, m.Refused) and answer.code == AuthenticationError.code


def every_message() -> list[Message]:
    """One of each message that anybody may try to send."""
    number = request_id(1, 1)
    row = (number, 0, 0, b"", 0.0, 0.0, None)
    return [
        m.Register(Role.CLIENT.value, "k" * 40, b"i", 1, "host", {}),
        m.Hello(b"t" * 32),
        m.Beat(("k" * 40,)),
        m.Goodbye("all of you"),
        m.EngineDied("k" * 40, b"i", "killed"),
        m.Call(1, "query", "shutdown_hub", {}),
        m.Command(number, (0,), "execute", (b"",)),
        m.SubmitTasks(((b"f", 0, 0, ""),), ((number, 0, b""),)),
        m.Received(((number, number),)),
        m.Functions(((b"f", b""),)),
        m.Results((row,)),
        m.NeedFunctions((b"f",)),
        m.Shutdown("now"),
        m.Signal("k" * 40, "SIGKILL"),
        m.Interrupt(((number, number),)),
        m.RunCommand(number, "execute", b""),
        m.Stored(((number, number),)),
    ]


# ---------------------------------------------------------------- no key, or a wrong one

NO_KEYS: dict[str, Callable[[Target], dict[str, Any]]] = {
    "plain": lambda target: {},
    "with a password": lambda target: {"plain_username": b"me", "plain_password": b"please"},
    "as a server": lambda target: {"plain_server": 1},
    "for another hub": lambda target: curve(KeyPair.generate().public, KeyPair.generate()),
    "an enrolment key, for another hub": lambda target: curve(
        KeyPair.generate().public, _enrolment(target, Role.CLIENT)
    ),
    "a key that was never enrolled": lambda target: curve(
        target.for_clients.server_key, KeyPair.generate()
    ),
    "the hub's own public key": lambda target: curve(
        target.for_clients.server_key,
        KeyPair(target.for_clients.server_key, KeyPair.generate().secret),
    ),
}


def _enrolment(target: Target, role: Role) -> KeyPair:
    pair = target.info(role).enrolment
    assert pair is not None
    return pair


@pytest.mark.parametrize("who", NO_KEYS)
def test_without_a_good_key_nothing_opens(target: Target, who: str) -> None:
    """On no stream does the handshake succeed, and not a byte of an answer comes."""
    options = NO_KEYS[who](target)
    for stream in Stream:
        kind = zmq.SUB if stream is Stream.IOPUB else zmq.DEALER
        with Caller(target.for_clients.tcp[stream], options, kind) as caller:
            if kind == zmq.DEALER:
                for message in every_message():
                    caller.send(message)
            assert not caller.is_let_in()
            assert caller.heard() == []


GREETING = b"\xff" + bytes(8) + b"\x7f\x03\x00"
"""The beginning of a ZMTP 3.0 peer's greeting."""

NOISE = {
    "silence": b"",
    "a browser": b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\n\r\n",
    "zeros": bytes(1_000_000),
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(500),
    "ZMTP 1.0": b"\x01\x00\x05\x00beat!",
    "ZMTP 2.0": b"\xff" + bytes(8) + b"\x7f\x01\x05\x00\x00",
    "half a greeting": GREETING[:5],
    "no mechanism": GREETING + bytes(52),
    "a server": GREETING + b"CURVE".ljust(20, b"\0") + b"\x01" + bytes(31) + bytes(200),
    "CURVE without its keys": GREETING + b"CURVE".ljust(20, b"\0") + bytes(32) + b"\x04\xc8HELLO"
    + bytes(195),
    "a frame of 2**63 bytes": GREETING + b"CURVE".ljust(20, b"\0") + bytes(32) + b"\x06\x7f"
    + b"\xff" * 7,
}  # fmt: skip


def test_noise_is_hung_up_on(target: Target, bystander: Bystander) -> None:
    """Silence, and whatever is no handshake of ours: soon shut, while the others are served."""
    lines = []
    for stream in Stream:
        for noise in NOISE.values():
            line = dial(target.for_clients.tcp[stream])
            lines.append(line)
            line.setblocking(False)
            try:
                line.send(noise)
            except ConnectionError:
                continue  # it was shut before everything was said
    bystander.goes_on()
    for line in lines:
        until_shut(line)
        line.close()


def test_a_handshake_that_drips_is_given_up(target: Target) -> None:
    """A byte now and then does not keep a connection open: the deadline is for the whole of it."""
    line = dial(target.for_clients.tcp[Stream.HUB])
    hello = GREETING + b"CURVE".ljust(20, b"\0") + bytes(32)
    began = time.monotonic()
    line.settimeout(0.2)
    shut = False
    for byte in hello:
        try:
            line.send(bytes([byte]))
            shut = line.recv(4096) == b""
        except TimeoutError:
            continue
        except ConnectionError:
            shut = True
        if shut:
            break
    line.close()
    assert shut, f"it is open after {time.monotonic() - began:.1f} s"


CROWD = 260


@pytest.fixture
def few_descriptors(target: Target) -> Iterator[None]:
    """Let the hub have no more than a hundred descriptors besides those it has."""
    former = resource.prlimit(target.hub.pid, resource.RLIMIT_NOFILE)
    few = (target.hub.num_fds() + 100, former[1])
    resource.prlimit(target.hub.pid, resource.RLIMIT_NOFILE, few)
    yield
    resource.prlimit(target.hub.pid, resource.RLIMIT_NOFILE, former)


def crowd(address: str) -> list[socket.socket]:
    """Connect very often, and stay silent."""
    return [dial(address) for _ in range(CROWD)]


def test_a_silent_crowd_does_not_keep_others_out(target: Target, bystander: Bystander) -> None:
    """Who is here is served, who comes is let in; the crowd is gone a few seconds later."""
    lines = crowd(target.for_clients.tcp[Stream.HUB])
    bystander.goes_on()
    with target.cluster.connect_client_sync() as client:
        assert client[0].apply_sync(int, "7") == 7
    for line in lines:
        until_shut(line)
        line.close()


@pytest.mark.usefixtures("few_descriptors")
def test_a_crowd_that_takes_all_descriptors_is_got_rid_of(
    target: Target, bystander: Bystander
) -> None:
    """When there are none left, who is here is served, and who comes is let in soon."""
    lines = crowd(target.for_clients.tcp[Stream.HUB])
    bystander.goes_on()
    with target.cluster.connect_client_sync(timeout=20.0) as client:
        assert client[0].apply_sync(int, "7") == 7
    for line in lines:
        line.close()


# ---------------------------------------------------------------- the enrolment key


@pytest.mark.parametrize("role", [Role.CLIENT, Role.ENGINE])
def test_an_enrolment_key_opens_the_hub_stream_alone(target: Target, role: Role) -> None:
    """Where commands, tasks and events travel it is as good as no key."""
    for stream in (*BULK, Stream.IOPUB):
        with Member(target.info(role)).at_door(stream) as caller:
            assert not caller.is_let_in()
            assert caller.heard() == []


@pytest.mark.parametrize("role", [Role.CLIENT, Role.ENGINE])
def test_an_enrolment_key_enrols_and_does_nothing_else(target: Target, role: Role) -> None:
    """Whatever else is said under it is refused, to register as its role included."""
    member = Member(target.info(role))
    with member.at_door() as door:
        enrolment = _enrolment(target, role)
        for message in (
            *every_message(),
            member.registration(role),
            member.registration(role, key=enrolment.public),
        ):
            assert refused(door.ask(message)), message


def test_only_a_key_of_ones_own_is_enrolled(
    target: Target, members: Callable[[Role], Member]
) -> None:
    """Not what is no key, not one of the hub's, not that of a peer of another role."""
    engine = target.cluster.client.interface("query").engines_now()["engines"][0]["key"]
    with Member(target.for_clients).at_door() as door:
        for key in (
            "",
            "~" * 40,
            target.for_clients.server_key,
            _enrolment(target, Role.CLIENT).public,
            _enrolment(target, Role.ENGINE).public,
            engine,
        ):
            assert refused(door.ask(m.Enrol(key))), key
    client = members(Role.CLIENT)
    with client.another(Stream.HUB) as inside:
        assert refused(inside.ask(m.Enrol(KeyPair.generate().public)))


# ---------------------------------------------------------------- the wrong role, somebody else's name

CLIENTS_OWN: dict[Stream, list[Message]] = {
    Stream.HUB: [m.Call(1, "query", "shutdown_hub", {}), m.Call(2, "query", "status", {})],
    Stream.MULTIENGINE: [
        m.Command(request_id(1, 1), (0,), "execute", (b"",)),
        m.Received(((1, 1),)),
        m.Functions(()),
    ],
    Stream.TASK: [
        m.SubmitTasks(((b"f", 0, 0, ""),), ((request_id(1, 1), 0, b""),), ((b"f", b""),)),
        m.Received(((1, 1),)),
        m.Functions(()),
    ],
}
"""What only clients say."""

ENGINES_OWN: dict[Stream, list[Message]] = {
    Stream.HUB: [],
    **{stream: [m.Results(()), m.NeedFunctions((b"f",))] for stream in BULK},
}
"""What only engines say."""

HUBS_OWN: list[Message] = [
    m.Shutdown("now"),
    m.Interrupt(((1, 1),)),
    m.Stored(((1, 1),)),
    m.Completed(()),
    m.Accepted(()),
]
"""What only the hub says."""


def each_is_refused(member: Member, said: Mapping[Stream, list[Message]]) -> None:
    """Say it all, each on its stream."""
    for stream, messages in said.items():
        for message in messages:
            assert refused(member.on(stream).ask(message)), (stream, message)


def test_an_engine_cannot_speak_as_a_client(members: Callable[[Role], Member]) -> None:
    """It runs what it is given; it gives nothing to run, and asks for nothing."""
    each_is_refused(members(Role.ENGINE), CLIENTS_OWN)


def test_a_client_cannot_speak_as_an_engine(members: Callable[[Role], Member]) -> None:
    """Nor as a nanny, nor as the hub."""
    client = members(Role.CLIENT)
    engine = client.session
    assert engine is not None
    key = engine.engines[0]["key"]
    each_is_refused(client, ENGINES_OWN)
    each_is_refused(client, dict.fromkeys((Stream.HUB, *BULK), HUBS_OWN))
    each_is_refused(client, {Stream.HUB: [m.EngineDied(key, b"", "killed", running=1)]})
    client.on(Stream.HUB).send(m.Beat((key,)))
    assert client.on(Stream.HUB).hear() == m.Beat()


def test_a_nanny_says_what_nannies_say(members: Callable[[Role], Member]) -> None:
    """Its key is one of engines; it is not told from which node a death is, but of which life."""
    nanny = members(Role.NANNY)
    each_is_refused(nanny, {Stream.HUB: CLIENTS_OWN[Stream.HUB]})
    for stream in BULK:
        assert nanny.session is not None
        assert isinstance(nanny.on(stream).ask(m.Hello(nanny.session.token)), m.SayHello)


@pytest.mark.parametrize(
    ("key", "claimed"),
    [(Role.CLIENT, Role.ENGINE), (Role.CLIENT, Role.NANNY), (Role.ENGINE, Role.CLIENT)],
)
def test_a_key_registers_for_its_own_role(target: Target, key: Role, claimed: Role) -> None:
    """What a peer says of itself counts less than the key it says it with."""
    member = Member.enrolled(target.info(key))
    hub = member.on(Stream.HUB)
    assert refused(hub.ask(member.registration(claimed)))
    assert refused(hub.ask(member.registration(claimed))), "the key was dropped, with the wish"
    member.leave()


def test_nobody_speaks_for_another_key(
    target: Target, members: Callable[[Role], Member]
) -> None:
    """Whoever knows another peer's key and even its token gets nowhere with a key of his own."""
    victim, thief = members(Role.CLIENT), members(Role.CLIENT)
    stolen = victim.session
    assert stolen is not None
    hub = thief.on(Stream.HUB)
    key = {"key": victim.keys.public}
    assert refused(hub.ask(thief.registration(Role.CLIENT, **key)))
    assert refused(hub.ask(thief.registration(Role.CLIENT, token=stolen.token, **key)))
    answer = hub.ask(thief.registration(Role.CLIENT, token=stolen.token))
    assert isinstance(answer, m.Refused)
    assert answer.code == "unknown_session"
    engine = {"key": stolen.engines[0]["key"]}
    assert refused(hub.ask(thief.registration(Role.CLIENT, **engine)))
    for stream in BULK:
        with thief.another(stream) as caller:
            assert isinstance(caller.ask(m.Hello(stolen.token)), m.SayHello)
            assert isinstance(caller.ask(CLIENTS_OWN[stream][0]), m.SayHello)
        # What the victim says is heard, and answered to the victim.
        assert isinstance(victim.on(stream).ask(m.Hello(stolen.token)), m.Welcome)
    assert victim.on(Stream.HUB).ask(m.Beat()) == m.Beat()


def test_an_engine_cannot_take_anothers_place(
    target: Target, members: Callable[[Role], Member]
) -> None:
    """Neither its name, nor the results of what it runs."""
    real = target.cluster.client.interface("query").engines_now()["engines"][0]
    false = members(Role.ENGINE)
    taken = {"key": real["key"], "engine_id": real["id"]}
    assert refused(false.on(Stream.HUB).ask(false.registration(Role.ENGINE, **taken)))

    held = target.cluster.client[0].apply_async(time.sleep, 0.3)
    number = held._numbers()[0]
    row = (number, 0, int(m.Status.OK), b"forged", 0.0, 0.0, None)
    for stream in BULK:
        false.on(stream).send(m.Results((row,)))
    assert held.get(20) is None


def test_nothing_is_heard_before_hello(
    target: Target, members: Callable[[Role], Member]
) -> None:
    """A connection without it is asked for it, and has no effect; a guessed token is none."""
    client = members(Role.CLIENT)
    assert client.session is not None
    number = request_id(client.session.session, 1)
    kill = m.Command(number, (0, 1), "execute", (b"",))
    for stream in BULK:
        with client.another(stream) as caller:
            assert isinstance(caller.ask(kill), m.SayHello)
            for token in (b"", b"guess", os.urandom(32), client.session.subscription):
                assert isinstance(caller.ask(m.Hello(token)), m.SayHello)
    stranger = Member.enrolled(target.for_clients)
    for message in (m.Beat(), m.Call(1, "query", "status", {}), m.Goodbye()):
        assert isinstance(stranger.on(Stream.HUB).ask(message), m.SayHello)
    # Its key is registered and has no session, so there is nothing that ends with it.
    stranger.leave()


# ---------------------------------------------------------------- revocation


def test_a_revoked_client_is_out(target: Target) -> None:
    """Each message of a connection that stands is refused, each new handshake, each enrolment."""
    revoked = Member.registered(target.for_clients, Role.CLIENT)
    query = target.cluster.client.interface("query")
    assert query.revoke(key=revoked.keys.public) is True
    assert query.revoke(key=revoked.keys.public) is False

    for stream in (Stream.HUB, *BULK):
        assert refused(revoked.on(stream).ask(CLIENTS_OWN[stream][0]))
        assert refused(revoked.on(stream).ask(m.Hello(b"")))
    for stream in Stream:
        with revoked.another(stream) as caller:
            assert not caller.is_let_in()
            assert caller.heard() == []
    with revoked.at_door() as door:
        assert refused(door.ask(m.Enrol(revoked.keys.public)))
    revoked.session = None
    revoked.leave()


def test_a_revoked_client_is_told_so(target: Target) -> None:
    """What it waits for fails with the reason instead of never."""
    with target.cluster.connect_client_sync() as client:
        held = client[0].apply_async(time.sleep, 60)
        until(lambda: client.queue_status(0)[0]["queue"] > 0, "the command is there")
        key = client._connection._session.registration.key
        assert target.cluster.client.interface("query").revoke(key=key)
        with pytest.raises(AuthenticationError, match="revoked"):
            held.get(20)
        with pytest.raises(AuthenticationError, match="revoked"):
            client.status()


def test_a_revoked_engine_is_out(target: Target) -> None:
    """It is no longer among the engines, and no longer told what to run."""
    engine = Member.registered(target.for_engines, Role.ENGINE)
    assert engine.session is not None
    assert engine.session.engine_id == 2
    until(lambda: target.cluster.client.ids == [0, 1, 2], "the engine is known")
    assert target.cluster.client.interface("query").revoke(key=engine.keys.public)

    until(lambda: target.cluster.client.ids == [0, 1], "the engine is gone")
    for stream in BULK:
        assert refused(engine.on(stream).ask(m.Results(())))
    assert refused(engine.on(Stream.HUB).ask(m.Beat()))
    engine.session = None
    engine.leave()


# ---------------------------------------------------------------- iopub


def test_a_subscription_is_to_ones_own_topic(
    target: Target, members: Callable[[Role], Member]
) -> None:
    """Not to everything, not to a prefix, and not to another's, even to one who knows it."""
    curious, other, engine = members(Role.CLIENT), members(Role.CLIENT), Role.ENGINE
    assert curious.session is not None
    assert other.session is not None
    own, secret = curious.session.subscription, other.session.subscription
    events = curious.on(Stream.IOPUB).socket
    for topic in (b"", *(secret[:n] for n in range(1, 33)), own[:1], own[:31], own + b"more"):
        events.subscribe(topic)
    # They are heard in their order: when this one works, the others have been refused.
    events.subscribe(own)
    heard = []

    def something_came() -> bool:
        come_and_go = Member.registered(target.info(engine), engine)
        come_and_go.leave()
        while events.poll(50):
            heard.append(events.recv_multipart()[0])
        return own in heard

    until(something_came, "an event under the own topic")
    assert set(heard) == {own}


# ---------------------------------------------------------------- names of connections


@pytest.mark.parametrize("name", [b"the same", b"x" * 255, b"\x01\x00\n\x1b[31m"])
def test_a_connection_of_the_same_name_takes_nothing(
    members: Callable[[Role], Member], name: bytes
) -> None:
    """Names that peers give their connections mean nothing; the first that came is served."""
    client = members(Role.CLIENT)
    with client.another(Stream.HUB, routing_id=name) as first:
        assert isinstance(first.ask(m.Beat()), m.SayHello)
        with client.another(Stream.HUB, routing_id=name) as second:
            second.send(m.Beat())
            assert isinstance(first.ask(m.Beat()), m.SayHello)
            assert second.heard() == []
    assert client.on(Stream.HUB).ask(m.Beat()) == m.Beat()


def test_a_new_client_is_let_in_after_all_that(target: Target) -> None:
    """The ordinary way still works."""
    with Client(target.for_clients) as client:
        assert client[:].apply_sync(int, "7") == [7, 7]

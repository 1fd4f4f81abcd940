"""A good key opens what its peer's role allows, for that peer: enrolment, roles, names, revocation."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from ctrlhub import AuthenticationError, Client
from ctrlhub.wire import messages as m
from ctrlhub.wire.ids import request_id
from ctrlhub.wire.messages import Role, Stream
from ctrlhub.wire.security import KeyPair
from tests.support.intruder import Member
from tests.support.processes import until
from tests.support.target import (
    BULK,
    CLIENTS_OWN,
    ENGINES_OWN,
    HUBS_OWN,
    Target,
    each_is_refused,
    every_message,
    refused,
)
from tests.support.work import Work

pytestmark = pytest.mark.usefixtures("undisturbed")


@pytest.mark.parametrize("role", [Role.ADMIN, Role.SUBMIT, Role.VIEW, Role.ENGINE])
def test_an_enrolment_key_opens_the_hub_stream_alone(target: Target, role: Role) -> None:
    """Where commands, tasks and events travel it is as good as no key."""
    for stream in (*BULK, Stream.IOPUB):
        with Member(target.info(role)).at_door(stream) as caller:
            assert not caller.is_let_in()
            assert caller.heard() == []


@pytest.mark.parametrize("role", [Role.ADMIN, Role.SUBMIT, Role.VIEW, Role.ENGINE])
def test_an_enrolment_key_enrols_and_does_nothing_else(target: Target, role: Role) -> None:
    """Whatever else is said under it is refused, to register as its role included."""
    member = Member(target.info(role))
    with member.at_door() as door:
        enrolment = target.enrolment(role)
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
    engine = target.engine_key()
    with Member(target.for_clients).at_door() as door:
        for key in (
            "",
            "~" * 40,
            target.for_clients.server_key,
            target.enrolment(Role.ADMIN).public,
            target.enrolment(Role.ENGINE).public,
            engine,
        ):
            assert refused(door.ask(m.Enrol(key))), key
    client = members(Role.ADMIN)
    with client.another(Stream.HUB) as inside:
        assert refused(inside.ask(m.Enrol(KeyPair.generate().public)))


# ---------------------------------------------------------------- the wrong role, somebody else's name


def test_an_engine_cannot_speak_as_a_client(members: Callable[[Role], Member]) -> None:
    """It runs what it is given; it gives nothing to run, and asks for nothing."""
    each_is_refused(members(Role.ENGINE), CLIENTS_OWN)


def test_a_client_cannot_speak_as_an_engine(members: Callable[[Role], Member]) -> None:
    """Nor as a nanny, nor as the hub."""
    client = members(Role.ADMIN)
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
    [(Role.ADMIN, Role.ENGINE), (Role.ADMIN, Role.NANNY), (Role.ENGINE, Role.ADMIN)],
)
def test_a_key_registers_for_its_own_role(target: Target, key: Role, claimed: Role) -> None:
    """What a peer says of itself counts less than the key it says it with."""
    member = Member.enrolled(target.info(key))
    hub = member.on(Stream.HUB)
    assert refused(hub.ask(member.registration(claimed)))
    assert refused(hub.ask(member.registration(claimed))), "the key was dropped, with the wish"
    member.leave()


def test_nobody_speaks_for_another_key(target: Target, members: Callable[[Role], Member]) -> None:
    """Whoever knows another peer's key and even its token gets nowhere with a key of his own."""
    victim, thief = members(Role.ADMIN), members(Role.ADMIN)
    stolen = victim.session
    assert stolen is not None
    hub = thief.on(Stream.HUB)
    key = {"key": victim.keys.public}
    assert refused(hub.ask(thief.registration(Role.ADMIN, **key)))
    assert refused(hub.ask(thief.registration(Role.ADMIN, token=stolen.token, **key)))
    answer = hub.ask(thief.registration(Role.ADMIN, token=stolen.token))
    assert isinstance(answer, m.Refused)
    assert answer.code == "unknown_session"
    engine = {"key": stolen.engines[0]["key"]}
    assert refused(hub.ask(thief.registration(Role.ADMIN, **engine)))
    for stream in BULK:
        with thief.another(stream) as caller:
            assert isinstance(caller.ask(m.Hello(stolen.token)), m.SayHello)
            assert isinstance(caller.ask(CLIENTS_OWN[stream][0]), m.SayHello)
        # What the victim says is heard, and answered to the victim.
        assert isinstance(victim.on(stream).ask(m.Hello(stolen.token)), m.Welcome)
    assert victim.on(Stream.HUB).ask(m.Beat()) == m.Beat()


def test_an_engine_cannot_take_anothers_place(
    target: Target, members: Callable[[Role], Member], tmp_path: Path
) -> None:
    """Neither its name, nor the results of what it runs."""
    real = target.owner.interface("query").engines_now()["engines"][0]
    false = members(Role.ENGINE)
    taken = {"key": real["key"], "engine_id": real["id"]}
    assert refused(false.on(Stream.HUB).ask(false.registration(Role.ENGINE, **taken)))

    work = Work(tmp_path)
    held = target.owner[0].apply_async(work.held())
    work.begun("held")
    number = held._numbers()[0]
    assert false.session is not None
    row = (number, 0, int(m.Status.OK), b"forged", 0.0, 0.0, None)
    for stream in BULK:
        false.on(stream).send(m.Results((row,)))
        # What it says next is answered when that has been heard.
        false.on(stream).send(m.Hello(false.session.token))
        while not isinstance(false.on(stream).hear(), m.Welcome):
            continue
    work.release()
    assert held.get(60) == "held"


def test_nothing_is_heard_before_hello(target: Target, members: Callable[[Role], Member]) -> None:
    """A connection without it is asked for it, and has no effect; a guessed token is none."""
    client = members(Role.ADMIN)
    assert client.session is not None
    number = request_id(client.session.session, 1)
    kill = m.Command(number, (0, 1), "execute", (b"",))
    for stream in BULK:
        with client.another(stream) as caller:
            assert isinstance(caller.ask(kill), m.SayHello)
            for token in (b"", b"guess", os.urandom(32)):
                assert isinstance(caller.ask(m.Hello(token)), m.SayHello)
    stranger = Member.enrolled(target.for_clients)
    for message in (m.Beat(), m.Call(1, "query", "status", {}), m.Goodbye()):
        assert isinstance(stranger.on(Stream.HUB).ask(message), m.SayHello)
    # Its key is registered and has no session, so there is nothing that ends with it.
    stranger.leave()


# ---------------------------------------------------------------- revocation


def test_a_revoked_client_is_out(target: Target, members: Callable[[Role], Member]) -> None:
    """Each message of a connection that stands is refused, each new handshake, each enrolment."""
    revoked = members(Role.ADMIN)
    assert target.revoke(revoked.keys.public) is True
    assert target.revoke(revoked.keys.public) is False

    for stream in (Stream.HUB, *BULK):
        assert refused(revoked.on(stream).ask(CLIENTS_OWN[stream][0]))
        assert refused(revoked.on(stream).ask(m.Hello(b"")))
    for stream in Stream:
        with revoked.another(stream) as caller:
            assert not caller.is_let_in()
            assert caller.heard() == []
    with revoked.at_door() as door:
        assert refused(door.ask(m.Enrol(revoked.keys.public)))


def test_a_revoked_client_is_told_so(target: Target) -> None:
    """What it waits for fails with the reason instead of never."""
    with target.cluster.connect_client_sync() as client:
        held = client[0].apply_async(time.sleep, 60)
        until(lambda: client.queue_status(0)[0]["queue"] > 0, "the command is there")
        assert target.revoke(client._connection._session.registration.key)
        with pytest.raises(AuthenticationError, match="revoked"):
            held.get(60)
        with pytest.raises(AuthenticationError, match="revoked"):
            client.status()


def test_a_revoked_engine_is_out(target: Target, members: Callable[[Role], Member]) -> None:
    """It is no longer among the engines, and no longer told what to run."""
    engine = members(Role.ENGINE)
    assert engine.session is not None
    until(lambda: target.owner.ids == [0, 1, engine.session.engine_id], "the engine is known")
    assert target.revoke(engine.keys.public)

    until(lambda: target.owner.ids == [0, 1], "the engine is gone")
    for stream in BULK:
        assert refused(engine.on(stream).ask(m.Results(())))
    assert refused(engine.on(Stream.HUB).ask(m.Beat()))


# ---------------------------------------------------------------- iopub


def test_what_a_client_is_told_is_for_its_own_connection(
    target: Target, members: Callable[[Role], Member]
) -> None:
    """Not for another client's who knows its token, nor for an engine's; nor is anything else heard."""
    client, curious, engine = members(Role.ADMIN), members(Role.ADMIN), members(Role.ENGINE)
    assert client.session is not None
    assert curious.session is not None
    assert engine.session is not None
    for thief, token in (
        (curious, client.session.token),
        (curious, b"\x01" + client.session.token),
        (engine, client.session.token),
        (engine, engine.session.token),
    ):
        assert isinstance(thief.on(Stream.IOPUB).ask(m.Hello(token)), m.SayHello)
    for message in (m.Output(request_id(client.session.session, 1), 1, ()), m.LogRecords(())):
        assert isinstance(engine.on(Stream.IOPUB).ask(message), m.SayHello)

    for member in (curious, client):
        assert isinstance(member.on(Stream.IOPUB).ask(m.Hello(member.session.token)), m.Welcome)
        assert isinstance(member.on(Stream.IOPUB).hear(), m.Subscribed)
        assert refused(member.on(Stream.IOPUB).ask(m.Beat()))
    for member in (curious, client):
        Member.registered(target.info(Role.ENGINE), Role.ENGINE).leave()
        while not isinstance(member.on(Stream.IOPUB).hear(), m.EngineEvent):
            continue
    assert engine.on(Stream.IOPUB).heard() == []


# ---------------------------------------------------------------- names of connections


@pytest.mark.parametrize("name", [b"the same", b"x" * 255, b"\x01\x00\n\x1b[31m"])
def test_a_connection_of_the_same_name_takes_nothing(
    members: Callable[[Role], Member], name: bytes
) -> None:
    """Names that peers give their connections mean nothing; the first that came is served."""
    client = members(Role.ADMIN)
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

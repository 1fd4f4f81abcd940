"""Without a good key nothing opens: no key, a wrong one, noise, silence."""

from __future__ import annotations

import resource
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from ctrlhub.wire.messages import Role, Stream
from ctrlhub.wire.security import KeyPair
from tests.support.bystander import Bystander
from tests.support.intruder import GREETING, Caller, crowd, curve, dial, until_shut
from tests.support.target import Target, every_message

pytestmark = pytest.mark.usefixtures("undisturbed")


NO_KEYS: dict[str, Callable[[Target], dict[str, Any]]] = {
    "plain": lambda target: {},
    "with a password": lambda target: {"plain_username": b"me", "plain_password": b"please"},
    "as a server": lambda target: {"plain_server": 1},
    "for another hub": lambda target: curve(KeyPair.generate().public, KeyPair.generate()),
    "an enrolment key, for another hub": lambda target: curve(
        KeyPair.generate().public, target.enrolment(Role.ADMIN)
    ),
    "a key that was never enrolled": lambda target: curve(
        target.for_clients.server_key, KeyPair.generate()
    ),
    "the hub's own public key": lambda target: curve(
        target.for_clients.server_key,
        KeyPair(target.for_clients.server_key, KeyPair.generate().secret),
    ),
}


@pytest.mark.parametrize("who", NO_KEYS)
def test_without_a_good_key_nothing_opens(target: Target, who: str) -> None:
    """On no stream does the handshake succeed, and not a byte of an answer comes."""
    options = NO_KEYS[who](target)
    for stream in Stream:
        with Caller(target.for_clients.tcp[stream], options) as caller:
            for message in every_message():
                caller.send(message)
            assert not caller.is_let_in()
            assert caller.heard() == []


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


@pytest.fixture
def few_descriptors(target: Target) -> Iterator[None]:
    """Let the hub have no more than a hundred descriptors besides those it has."""
    former = resource.prlimit(target.hub.pid, resource.RLIMIT_NOFILE)
    few = (target.hub.num_fds() + 100, former[1])
    resource.prlimit(target.hub.pid, resource.RLIMIT_NOFILE, few)
    yield
    resource.prlimit(target.hub.pid, resource.RLIMIT_NOFILE, former)


def test_a_silent_crowd_does_not_keep_others_out(target: Target, bystander: Bystander) -> None:
    """Who is here is served, who comes is let in; the crowd is gone a few seconds later."""
    with crowd(target.for_clients.tcp[Stream.HUB]) as lines:
        bystander.goes_on()
        with target.cluster.connect_client_sync() as client:
            assert client[0].apply_sync(int, "7") == 7
        for line in lines:
            until_shut(line)


@pytest.mark.usefixtures("few_descriptors")
def test_a_crowd_that_takes_all_descriptors_is_got_rid_of(
    target: Target, bystander: Bystander
) -> None:
    """When there are none left, who is here is served, and who comes is let in soon."""
    with crowd(target.for_clients.tcp[Stream.HUB]):
        bystander.goes_on()
        with target.cluster.connect_client_sync(timeout=60.0) as client:
            assert client[0].apply_sync(int, "7") == 7

"""The switchboard: any bytes from anyone leave the hub serving."""

from __future__ import annotations

import itertools
import string
from typing import Any

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ctrlhub.wire import messages as m
from ctrlhub.wire.codec import encode
from ctrlhub.wire.limits import MAX_SESSION
from tests.support.exchange import Exchange, Line
from tests.support.peerage import (
    CLIENT,
    HUB,
    SPOKEN,
    a_peer,
    every_message,
    exchange,
    refused,
)

__all__ = ["exchange"]


@pytest.fixture(scope="module")
def busy() -> tuple[Exchange, list[Line]]:
    """A hub at work, and a peer of each role, and one of none."""
    exchange = Exchange()
    lines = [a_peer(exchange, r.value, r) for r in m.Role] + [Line(exchange, "nobody")]
    client = next(line for line in lines if line.address == b"admin")
    client.submit(1, 2, 3)
    client.command(4, 0)
    return exchange, lines


DEEP = b"\x91" * 5000
NASTY = [
    b"", b"\x00", b"\xc1", b"\xff" * 100, b"GET / HTTP/1.1\r\n\r\n", DEEP, DEEP[:511], DEEP[:1023],
    b"\xdd\xff\xff\xff\xff", b"\xdf\xff\xff\xff\xff", b"\xdb\xff\xff\xff\xff",
    b"\xc6\xff\xff\xff\xff", b"\xc9\xff\xff\xff\xff\x01", b"\xdd\x00\x0f\xff\xff" * 400,
    msgpack.packb(None), msgpack.packb([]), msgpack.packb({}), msgpack.packb([1]),
    msgpack.packb([1, "beat"]), msgpack.packb([1, "beat", None]), msgpack.packb([1, "beat", []]),
    msgpack.packb([1, None, {}]), msgpack.packb([True, "beat", {}]), msgpack.packb([1, "x", {}]),
    msgpack.packb([2**64 - 1, "beat", {}]), msgpack.packb([1, "beat", {1: 2}]),
    msgpack.packb([1, "beat", {"vouches": [1]}]), msgpack.packb([1, "beat", {"vouches": "k"}]),
    b"\x93\x01\x91" + DEEP[:900] + b"\x80", msgpack.packb([1, "x" * 10**6, {}]),
    msgpack.packb([1, "\x1b[31m\n\x00", {}]), b"\x93\x01\xa4\xff\xfe\xfd\xfc\x80",
    msgpack.packb([1, "hello", {"token": b"", "held": [[0, 2**64 - 1]]}]),
    msgpack.packb([1, "received", {"requests": [[0, 2**63 - 1]] * 1000}]),
    msgpack.packb([1, "results", {"rows": [[1, 0, 0, [0, 1], 0.0, 0.0, None]]}]),
    msgpack.packb([1, "results", {"rows": [[1, 0, 0, b"", float("nan"), float("inf"), None]]}]),
]  # fmt: skip


@pytest.mark.parametrize("header", NASTY, ids=range(len(NASTY)))
def test_no_bytes_raise(busy: tuple[Exchange, list[Line]], header: bytes) -> None:
    """From anyone, on any stream, with and without frames: answered, and nothing has changed."""
    exchange, lines = busy
    before = exchange.tasks.summary()
    for line, stream, frames in itertools.product(lines, SPOKEN, ((), (b"",), (b"x",) * 9)):
        answers = line.say_bytes(stream, header, frames)
        known = m.Refused | m.SayHello | m.Welcome | m.Beat | m.Stored
        assert all(isinstance(answer, known) for answer in answers)
        for answer in answers:
            if isinstance(answer, m.Refused):
                assert len(answer.message) <= 4096
    assert exchange.tasks.summary() == before


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats() | st.binary()
    | st.text(string.printable) | st.sampled_from([b"token 1", b"token 3", "engine", "client"]),
    lambda inner: st.lists(inner, max_size=4)
    | st.dictionaries(st.text(string.ascii_letters, max_size=8), inner, max_size=4),
    max_leaves=12,
)  # fmt: skip


@given(
    kind=st.sampled_from(sorted(m.KINDS)),
    field=st.integers(0, 20),
    value=VALUES,
    who=st.integers(0, 3),
    stream=st.sampled_from(SPOKEN),
)
def test_no_field_raises(kind: str, field: int, value: Any, who: int, stream: m.Stream) -> None:
    """Real messages with one field replaced by anything: the hub goes on and stays consistent."""
    exchange = Exchange()
    lines = [a_peer(exchange, r.value, r) for r in m.Role] + [Line(exchange, "nobody")]
    client = next(line for line in lines if line.address == b"admin")
    client.submit(1)
    line = lines[who]
    message = every_message(line if line.registered else client)[m.KINDS[kind]]
    major, name, body = msgpack.unpackb(encode(message)[0])
    if body:
        body[sorted(body)[field % len(body)]] = value
    line.say_bytes(stream, msgpack.packb((major, name, body)))
    for answer in line.heard(m.Refused):
        assert isinstance(answer, m.Refused)
        assert answer.code != "internal", answer.message
    assert isinstance(a_peer(exchange, "late", CLIENT).call("query", "status").value, dict)


def test_a_bug_in_a_handler_ends_nothing(
    exchange: Exchange, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The peer is told, the log says why, and the next message is heard."""
    client = a_peer(exchange, "client", CLIENT)
    monkeypatch.setattr(exchange.tasks._functions, "learn", lambda *_: 1 / 0)
    answers = client.submit(1)
    assert refused(answers) == "internal"
    assert "ZeroDivisionError" in caplog.text
    assert client.say(HUB, m.Beat())[0] == m.Beat()


def test_refusals_do_not_flood_the_log(
    exchange: Exchange, caplog: pytest.LogCaptureFixture
) -> None:
    """A thousand bad messages are counted; a few are told."""
    line = Line(exchange, "x")
    for _ in range(1000):
        line.say_bytes(HUB, b"\xff" * 50)
    assert exchange.switchboard.refused == 1000
    assert len([r for r in caplog.records if r.levelname == "WARNING"]) <= 21


def test_session_numbers_fit_into_request_ids(exchange: Exchange) -> None:
    """Also those that are wished for."""
    for wish in (MAX_SESSION, MAX_SESSION + 1, 2**62):
        line = Line(exchange, f"{wish}")
        assert 0 < line.register(CLIENT, session=wish).session <= MAX_SESSION
        assert any(isinstance(each, m.Accepted) for each in line.submit(1))

"""Who may come in by a WebSocket."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ctrlhub.gateway.relay.doorman import MOST_REGISTER, Doorman
from ctrlhub.wire.codec import decode, encode
from ctrlhub.wire.errors import AuthenticationError
from ctrlhub.wire.messages import Beat, Message, Register, Role, Stream

ROLE = Role.ADMIN
REGISTER = Register(
    role=ROLE.value, key="k" * 40, incarnation=b"i" * 16, pid=1, host="h", versions={},
    segment=(3, 4, 5), node="n", bulk=True,
)  # fmt: skip


def passed(doorman: Doorman, message: Message, stream: Stream = Stream.HUB) -> Message:
    """What the hub gets of a message."""
    return decode(doorman.look_at(stream, bytes(encode(message)[0])))


def test_a_registration_gets_another_name() -> None:
    """No other kind of peer can have it; nothing of this machine's memory is shown, and parts are taken."""
    expected = replace(
        REGISTER, key=f"web-{ROLE.value}:{'k' * 40}", segment=(), node="", bulk=False, parts=True
    )
    assert passed(Doorman(ROLE), REGISTER) == expected


@pytest.mark.parametrize("role", ["engine", "nanny", "view", "", "x" * 100])
def test_another_role_than_the_tokens(role: str) -> None:
    """Is refused."""
    with pytest.raises(AuthenticationError, match="for clients of role"):
        passed(Doorman(ROLE), replace(REGISTER, role=role))


def test_one_peer_for_each() -> None:
    """The same one may come again, with its token for instance; another one needs another WebSocket."""
    doorman = Doorman(ROLE)
    passed(doorman, REGISTER)
    assert passed(doorman, replace(REGISTER, token=b"t")).token == b"t"  # type: ignore[attr-defined]
    for other in (replace(REGISTER, key="other"), replace(REGISTER, incarnation=b"other")):
        with pytest.raises(AuthenticationError, match="one peer's"):
            passed(doorman, other)


def test_what_else_is_said() -> None:
    """It is handed on as it is, also what cannot be read: the hub judges that."""
    doorman = Doorman(ROLE)
    for stream, header in ((Stream.HUB, b"\xc1"), (Stream.HUB, b""), (Stream.TASK, bytes(encode(REGISTER)[0]))):
        assert doorman.look_at(stream, header) is header
    assert passed(doorman, Beat()) == Beat()


@pytest.mark.parametrize("kind", [b"\xa8register", b"\xd9\x08register", b"\xda\x00\x08register", b"\xdb\x00\x00\x00\x08register"])
@pytest.mark.parametrize("major", [b"\x01", b"\xcc\x01", b"\xd3" + b"\x00" * 7 + b"\x01"])
@pytest.mark.parametrize("envelope", [b"\x93", b"\xdc\x00\x03", b"\xdd\x00\x00\x00\x03"])
def test_a_registration_that_is_written_in_another_way(envelope: bytes, major: bytes, kind: bytes) -> None:
    """It is one all the same: as the hub reads it."""
    usual = bytes(encode(REGISTER)[0])
    head = b"\x93\x01\xa8register"
    assert usual.startswith(head)
    header = envelope + major + kind + usual[len(head) :]
    assert decode(header) == REGISTER
    assert decode(Doorman(ROLE).look_at(Stream.HUB, header)).key.startswith("web-")  # type: ignore[attr-defined]


def test_a_large_registration() -> None:
    """It is refused, and not read."""
    with pytest.raises(AuthenticationError, match=f"at most {MOST_REGISTER} bytes"):
        passed(Doorman(ROLE), replace(REGISTER, versions={"a" * MOST_REGISTER: "1"}))

"""Permissions: every message, from every role, on every stream."""

from __future__ import annotations

import itertools

import pytest

from ctrlhub.controller.permissions import NOWHERE, PERMITTED
from ctrlhub.wire import messages as m
from tests.support.exchange import Exchange
from tests.support.peerage import (
    CLIENT,
    ENGINE,
    HUB,
    NANNY,
    SPOKEN,
    a_peer,
    every_message,
    exchange,
)

__all__ = ["exchange"]


def test_there_is_an_example_of_every_message() -> None:
    """A new message enters the matrix below."""
    line = a_peer(Exchange(), "x", CLIENT)
    assert set(every_message(line)) == set(m.KINDS.values())


JOINING = (m.Enrol, m.Register, m.Hello)
MATRIX = [*itertools.product(sorted(m.KINDS), m.Role, SPOKEN)]


@pytest.mark.parametrize(("kind", "role", "stream"), MATRIX)
def test_who_may_say_what_where(kind: str, role: m.Role, stream: m.Stream) -> None:
    """Every message, from every role, on every stream: heard where the table says, else refused;
    and a refusal changes nothing.
    """
    exchange = Exchange()
    line = a_peer(exchange, "peer", role)
    cls = m.KINDS[kind]
    message = every_message(line)[cls]
    if (role is NANNY and stream is not HUB) or (role is ENGINE and stream is m.Stream.IOPUB):
        expected = "refused" if cls in (m.Enrol, m.Register) else "hello"
    elif cls in JOINING:
        expected = {m.Enrol: "refused", m.Register: "registered", m.Hello: "welcome"}[cls]
        if (cls is m.Register) != (stream is HUB):
            expected = {m.Register: "refused", m.Hello: "hello"}.get(cls, expected)
        if cls is m.Hello and stream is not HUB:
            expected = "welcome"
    else:
        streams, roles = PERMITTED.get(cls, (frozenset(), frozenset()))
        expected = "heard" if stream in streams and role in roles else "refused"
    answers = line.say(stream, message)
    kinds = {type(answer) for answer in answers}
    if expected == "heard":
        assert not kinds & {m.Refused, m.SayHello}
        assert exchange.switchboard.refused == 0
    else:
        assert kinds == {
            "refused": {m.Refused}, "hello": {m.SayHello}, "welcome": {m.Welcome},
            "registered": {m.Registered},
        }[expected]  # fmt: skip
    if expected == "refused":
        assert exchange.switchboard.refused == 1
        assert isinstance(answers[0], m.Refused)
        lacks_role = stream in PERMITTED.get(cls, NOWHERE)[0] and cls not in JOINING
        denied = role.is_client and lacks_role and CLIENT in PERMITTED[cls][1]
        assert answers[0].code == ("permission_denied" if denied else "authentication")
        assert line.registered is not None
        assert exchange.switchboard.sessions.of_number(line.registered.session) is not None

"""Peers that have joined, by hand; a well-formed message of every kind; a hub over TCP."""

from __future__ import annotations

from typing import Any

import pytest

from ctrlhub.controller.config import HubConfig
from ctrlhub.wire import messages as m
from ctrlhub.wire.security import HubKeys, KeyPair, KeyRegistry
from tests.support.exchange import Exchange, Line
from tests.support.peers import registration

HUB, TASK, MULTIENGINE = m.Stream.HUB, m.Stream.TASK, m.Stream.MULTIENGINE
ENGINE, CLIENT, NANNY = m.Role.ENGINE, m.Role.ADMIN, m.Role.NANNY
SPOKEN = tuple(m.Stream)


@pytest.fixture
def exchange() -> Exchange:
    """A hub with nobody there."""
    return Exchange()


def a_peer(exchange: Exchange, name: str, role: m.Role, **fields: Any) -> Line:
    """Return a peer that has joined."""
    line = Line(exchange, name)
    line.register(role, **fields)
    line.heard()
    return line


def refused(messages: list[m.Message]) -> str:
    """Return the code of the only answer, a refusal."""
    [message] = messages
    assert isinstance(message, m.Refused), message
    return message.code


def every_message(line: Line) -> dict[type[m.Message], m.Message]:
    """Return a well-formed message of each kind, as this peer would send it."""
    first = line.id(1)
    key, ranges = "k" * 40, ((first, first),)
    made: tuple[m.Message, ...] = (
        m.Enrol(key), m.Enrolled(key), registration(CLIENT, "another"),
        m.Registered(1, b"t", 0, "e", False, 1.0, 3.0, 9.0), m.Refused("error", "x"),
        m.Hello(line.registered.token if line.registered else b""), m.Welcome("e"), m.SayHello(),
        m.Beat(), m.EngineDied("nobody", b"1", "x"), m.DeathNoted(b"1"), m.Goodbye(), m.Call(1, "query", "status", {}),
        m.Answer(1), m.Interrupt(ranges), m.Signal(key, "SIGINT"), m.Restart(key, b"1"),
        m.StartEngines(1),
        m.Shutdown(), m.Retire(key, b"1"), m.Drain((key,), "why", 1.0),
        m.EngineEvent(1, "registered", {}), m.Command(first, (0,), "push", (b"",)),
        m.StartHook(first, "name", "push", b""), m.ForwardLogs({}), m.LogRecords(()),
        m.RunCommand(first, "push", b""), m.Lent(first, ()), m.SubmitTasks((), ()), m.RunTasks((), ()),
        m.GiveBack(1), m.GaveBack(ranges),
        m.HooksGone(ranges), m.Accepted(ranges), m.Results(()), m.Stored(ranges), m.Completed(()), m.Received(ranges),
        m.NeedFunctions((b"d",)), m.Functions(()), m.Output(first, 1, ()),
        m.OutputReceived(first, 1, 0), m.WatchedOutput((), 1), m.Subscribed(1), m.Part(1, 0, (9, 9), frames=(b"x",)),
        m.PartsTaken(1, 1),
    )  # fmt: skip
    return {type(message): message for message in made}


class Listening(Exchange):
    """A hub that listens with CURVE: every message comes with the key that was proved."""

    def __init__(self, config: HubConfig | None = None) -> None:
        self.hub_keys = HubKeys.generate()
        self.keys = KeyRegistry(self.hub_keys)
        super().__init__(config, self.keys)

    def enrolment(self, role: m.Role) -> str:
        """Return the enrolment key of a role."""
        return self.hub_keys.enrolment[role].public

    def peer(self, role: m.Role, name: str = "peer") -> Line:
        """Return a peer whose key is enrolled, and let in."""
        key = KeyPair.generate().public
        line = Line(self, name, self.enrolment(ENGINE if role is NANNY else role))
        assert line.say(HUB, m.Enrol(key)) == [m.Enrolled(key)]
        line = Line(self, name, key)
        for stream in m.Stream:
            assert self.keys.allows(stream, key)
        return line

"""Interfaces of somebody else's: they hear what they say they hear, and break nobody's hub."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest

from ctrlhub.controller.config import HubConfig
from ctrlhub.controller.core.effects import Commit, Connection
from ctrlhub.controller.exposed import TICK_AGAIN
from ctrlhub.controller.interfaces.base import Interface
from ctrlhub.controller.interfaces.multiengine import MultiEngine
from ctrlhub.controller.interfaces.taskqueue import TaskQueue
from ctrlhub.controller.switchboard import Origin, Switchboard
from ctrlhub.wire import messages as m
from ctrlhub.wire.codec import encode
from ctrlhub.wire.ids import request_id
from tests.support.exchange import VERSIONS, Exchange
from tests.support.peerage import CLIENT, MULTIENGINE, TASK, a_peer


class Broken(Interface):
    """Fails whenever it is called."""

    name = "broken"
    ticks = 0

    def flush(self, now: float) -> None:
        """Fail."""
        raise ZeroDivisionError

    def tick(self, now: float) -> None:
        """Count, and fail."""
        self.ticks += 1
        raise ZeroDivisionError

    def next_deadline(self) -> float | None:
        """Want to be called."""
        return 0.0


class Hopeless(Broken):
    """Fails at everything that the hub asks of it."""

    name = "hopeless"

    def next_deadline(self) -> float | None:
        """Fail."""
        raise ZeroDivisionError

    def bound(self, *of_what: Any) -> None:
        """Fail."""
        raise ZeroDivisionError

    def session_ended(self, *of_what: Any) -> None:
        """Fail."""
        raise ZeroDivisionError


class Punctual(Interface):
    """Counts how often it is called."""

    name = "punctual"
    ticks = 0

    def tick(self, now: float) -> None:
        """Count."""
        self.ticks += 1

    def next_deadline(self) -> float | None:
        """Want to be called."""
        return 100.0


class Listener(Interface):
    """Hears commands."""

    name = "listener"
    handlers = {m.Command: "take"}  # noqa: RUF012 - a constant; the base class types it
    streams = frozenset({MULTIENGINE})

    def take(self, session: Any, message: m.Command, stream: m.Stream, now: float) -> None:
        """Keep it."""
        self.taken = message.action, stream


class Deaf(Listener):
    """Has handlers, and does not say where."""

    name = "deaf"
    streams = frozenset()


def exposing(*interfaces: type[Interface]) -> Exchange:
    """Return a hub with these interfaces."""
    exchange = Exchange()
    exchange.switchboard = Switchboard(
        HubConfig(),
        interfaces,
        epoch="epoch",
        new_token=lambda: b"token",
        versions=VERSIONS,
        random=Random(1),
    )
    return exchange


def test_a_broken_interface_does_not_keep_others_from_their_turn(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """What was submitted to another one is acknowledged; the log names the broken one."""
    switchboard = exposing(Broken, TaskQueue).switchboard
    for message, stream in (
        (m.Register("admin", "k", b"i", 1, "host", VERSIONS), m.Stream.HUB),
        (m.Hello(b"token"), TASK),
        (m.SubmitTasks((), ()), TASK),
    ):
        header, *frames = encode(message)
        connection = Connection(0, stream, b"client")
        switchboard.receive(Origin(connection), bytes(header), frames, 100.0)

    effects = [effect for some in switchboard.turn(100.0) for effect in some]

    commits = [each for each in effects if isinstance(each, Commit)]
    assert [each.kind for commit in commits for each in commit.then] == [m.Accepted]
    assert "flush of interface 'broken' failed" in caplog.text
    assert "ZeroDivisionError" in caplog.text


def test_a_tick_that_fails_is_not_repeated_at_once(caplog: pytest.LogCaptureFixture) -> None:
    """The others have theirs, and the hub does not spin."""
    switchboard = exposing(Broken, Punctual).switchboard
    broken, punctual = switchboard.interfaces["broken"], switchboard.interfaces["punctual"]
    assert isinstance(broken, Broken)
    assert isinstance(punctual, Punctual)
    for passed, ticks in ((0.0, 1), (TICK_AGAIN / 2, 1), (TICK_AGAIN, 2)):
        switchboard.tick(100.0 + passed)
        assert broken.ticks == ticks
    assert punctual.ticks == 3
    assert "tick of interface 'broken' failed" in caplog.text


def test_one_that_does_not_know_its_time_stops_no_clock(caplog: pytest.LogCaptureFixture) -> None:
    """Those of the others count, and are kept."""
    switchboard = exposing(Hopeless, Punctual).switchboard
    punctual = switchboard.interfaces["punctual"]
    assert isinstance(punctual, Punctual)
    assert switchboard.next_deadline() == 100.0
    switchboard.tick(100.0)
    assert punctual.ticks == 1
    assert "next_deadline of interface 'hopeless' failed" in caplog.text


def test_comings_and_goings_are_told_to_those_behind_one_that_fails() -> None:
    """The task of a client that is gone does not stay in the queue."""
    switchboard = exposing(Hopeless, TaskQueue).switchboard

    def say(stream: m.Stream, message: m.Message) -> None:
        connection = Connection(0, stream, b"client")
        switchboard.receive(Origin(connection), encode(message)[0], (), 100.0)
        list(switchboard.turn(100.0))

    say(m.Stream.HUB, m.Register("admin", "k", b"i", 1, "host", VERSIONS))
    say(TASK, m.Hello(b"token"))
    [session] = switchboard.sessions
    row = (request_id(session.number, 1), 0, b"")
    say(TASK, m.SubmitTasks(((b"f", 0, 0, ""),), (row,), ((b"f", b"code"),)))
    assert switchboard.interfaces["tasks"].summary()["queued"] == 1
    say(m.Stream.HUB, m.Goodbye())

    assert switchboard.interfaces["tasks"].summary()["queued"] == 0
    assert switchboard.failures >= 2


def test_handlers_hear_on_the_streams_of_their_interface() -> None:
    """Those of an interface that is not built in, too."""
    exchange = exposing(Listener)
    a_peer(exchange, "client", CLIENT).command(1, 0)
    listener = exchange.switchboard.interfaces["listener"]
    assert isinstance(listener, Listener)
    assert listener.taken == ("push", MULTIENGINE)


@pytest.mark.parametrize(
    ("interfaces", "complaint"),
    [
        ((Deaf,), "'deaf' has handlers and no streams"),
        ((MultiEngine, Listener), "'listener' hears 'command' on stream 'multiengine'"),
    ],
)
def test_routes_that_cannot_be_are_refused(
    interfaces: tuple[type[Interface], ...], complaint: str
) -> None:
    """When the hub is made, by name."""
    with pytest.raises(ValueError, match=complaint):
        exposing(*interfaces)

"""The hub's loop: descriptors, timers, calls from elsewhere."""

from __future__ import annotations

import os
import signal
import socket
import threading
from collections.abc import Iterator

import pytest

from ctrlhub.controller.loop import HubLoop


class Clock:
    """A clock that is put forward by hand."""

    now = 100.0

    def __call__(self) -> float:
        """Tell the time."""
        return self.now


@pytest.fixture
def clock() -> Clock:
    """A clock."""
    return Clock()


@pytest.fixture
def loop(clock: Clock) -> Iterator[HubLoop]:
    """A loop on that clock."""
    made = HubLoop(clock)
    yield made
    made.close()


def test_calls_keep_their_order(loop: HubLoop) -> None:
    """What is given while they are made comes after them."""
    made: list[int] = []
    loop.soon(lambda: (made.append(1), loop.soon(lambda: made.append(3))))
    loop.soon(lambda: made.append(2))
    loop.soon(lambda: loop.soon(loop.stop))
    loop.run()
    assert made == [1, 2, 3]


def test_a_call_from_another_thread_wakes_it(loop: HubLoop) -> None:
    """Without a timer, it sleeps for as long as nothing happens."""
    thread = threading.Timer(0.05, loop.stop)
    thread.start()
    loop.run()
    thread.join()


def test_a_signal_wakes_it(loop: HubLoop) -> None:
    """A handler may say that it is to end."""
    former = signal.signal(signal.SIGUSR1, lambda number, frame: loop.stop())
    thread = threading.Timer(0.05, os.kill, (os.getpid(), signal.SIGUSR1))
    try:
        thread.start()
        loop.run()
        thread.join()
    finally:
        signal.signal(signal.SIGUSR1, former)


def test_timers_are_called_in_the_order_of_their_times(loop: HubLoop, clock: Clock) -> None:
    """Those of one time in the order of their making; none before its time."""
    made: list[str] = []
    for seconds, name in ((3.0, "late"), (1.0, "first"), (1.0, "second"), (9.0, "never")):
        loop.later(seconds, lambda name=name: made.append(name))  # type: ignore[misc]

    def forward() -> None:
        clock.now += 1.0
        if clock.now < 105.0:
            loop.soon(forward)
        else:
            loop.stop()

    loop.soon(forward)
    loop.run()
    assert made == ["first", "second", "late"]


def test_a_descriptor_is_read_until_it_is_not_watched(loop: HubLoop) -> None:
    """One that another call has given up meanwhile is not called any more."""
    ours, theirs = socket.socketpair()
    heard: list[bytes] = []

    def ready() -> None:
        heard.append(ours.recv(1))
        if len(heard) == 2:
            loop.unwatch(ours.fileno())
            loop.stop()

    with ours, theirs:
        loop.watch(ours.fileno(), ready)
        theirs.send(b"abc")
        loop.run()
    assert heard == [b"a", b"b"]


def test_what_fails_is_logged_and_stops_nothing(
    loop: HubLoop, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    """A call, a timer, a descriptor."""
    ours, theirs = socket.socketpair()
    left: list[str] = []

    def fail(what: str) -> None:
        left.append(what)
        if len(left) == 3:
            loop.stop()
        raise ZeroDivisionError

    def ready() -> None:
        ours.recv(1)
        fail("descriptor")

    with ours, theirs:
        loop.watch(ours.fileno(), ready)
        theirs.send(b"a")
        loop.soon(lambda: fail("call"))
        loop.later(0.0, lambda: fail("timer"))
        loop.run()
        loop.unwatch(ours.fileno())
    assert sorted(left) == ["call", "descriptor", "timer"]
    assert len(caplog.records) == 3

"""The transport inside one process: messages in order, wake-ups, peers that leave."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from ctrlhub.controller.core.effects import Connection
from ctrlhub.controller.transports.base import LARGE
from ctrlhub.controller.transports.memory import MemoryLink, MemoryTransport
from ctrlhub.wire.messages import Stream

HUB, TASK, IOPUB = Stream.HUB, Stream.TASK, Stream.IOPUB


class HandLoop:
    """A loop that runs nothing by itself."""

    def __init__(self) -> None:
        self.calls: list[Callable[[], None]] = []

    def watch(self, descriptor: int, ready: Callable[[], None]) -> None:
        """Refuse: there are no descriptors here."""
        raise AssertionError("a memory transport has no descriptors")

    def unwatch(self, descriptor: int) -> None:
        """Refuse."""
        raise AssertionError("a memory transport has no descriptors")

    def soon(self, call: Callable[[], None]) -> None:
        """Keep the call."""
        self.calls.append(call)

    def later(self, seconds: float, call: Callable[[], None]) -> None:
        """Refuse: nothing here is due at a time."""
        raise AssertionError("a memory transport has no clock")


class Bench:
    """A started transport, what it passes on, and the calls of its loop."""

    def __init__(self) -> None:
        self.loop = HandLoop()
        self.transport = MemoryTransport()
        self.ready_calls = 0
        self.transport.start(3, self.loop, self.ready)
        self.loop.calls.clear()
        self.arrived: list[tuple[Connection, str | None, Any, Sequence[Any]]] = []

    def ready(self) -> None:
        """Count."""
        self.ready_calls += 1

    def receive(self, budget: int = 100) -> int:
        """Take what waits."""
        return self.transport.receive(lambda *got: self.arrived.append(got), budget)

    def headers(self) -> list[bytes]:
        """Take the headers of what arrived."""
        headers = [got[2] for got in self.arrived]
        self.arrived.clear()
        return headers


@pytest.fixture
def bench() -> Bench:
    """A started transport."""
    return Bench()


def test_starting_asks_for_a_first_turn() -> None:
    """Peers may have sent something before."""
    loop, transport = HandLoop(), MemoryTransport()
    transport.start(0, loop, lambda: None)
    assert len(loop.calls) == 1


def test_messages_arrive_in_order_with_their_origin(bench: Bench) -> None:
    """The connection names transport, stream and peer; nobody's key is proved."""
    one, two = bench.transport.connect(), bench.transport.connect()
    one.send(TASK, [b"first", b"frame"])
    two.send(TASK, [b"second"])
    one.send(TASK, [memoryview(b"third")])
    assert bench.receive() == 3
    connection, user, header, frames = bench.arrived[0]
    assert connection == Connection(3, TASK, one.address)
    assert (user, header, list(frames)) == (None, b"first", [b"frame"])
    assert one.address != two.address
    assert bench.headers() == [b"first", b"second", b"third"]
    assert bench.receive() == 0


def test_a_budget_lets_every_stream_have_its_turn(bench: Bench) -> None:
    """What is left comes with the next call."""
    link = bench.transport.connect()
    for n in range(5):
        link.send(TASK, [b"task %d" % n])
    link.send(HUB, [b"beat"])
    assert bench.receive(2) == 3
    assert sorted(bench.headers()) == [b"beat", b"task 0", b"task 1"]
    assert bench.receive(2) == 2
    assert bench.receive(2) == 1
    assert bench.headers() == [b"task 2", b"task 3", b"task 4"]


def test_the_hub_is_woken_once_until_it_looks(bench: Bench) -> None:
    """A thousand messages in a row cost one wake-up; the first after a look wakes again."""
    link = bench.transport.connect()
    for _ in range(1000):
        link.send(TASK, [b"x"])
    assert len(bench.loop.calls) == 1
    bench.receive()
    link.send(TASK, [b"y"])
    assert len(bench.loop.calls) == 2
    bench.loop.calls[-1]()
    assert bench.ready_calls == 1


def test_answers_reach_the_peer(bench: Bench) -> None:
    """On the stream of the connection, in order."""
    link, other = bench.transport.connect(), bench.transport.connect()
    for n in range(3):
        assert bench.transport.send(Connection(3, TASK, link.address), [b"%d" % n, b"frame"])
    assert link.receive(0.0) == [(TASK, b"%d" % n, [b"frame"]) for n in range(3)]
    assert link.receive(0.0) == []
    assert other.receive(0.0) == []


def test_a_peer_that_left_cannot_be_sent_to(bench: Bench) -> None:
    """The hub is told; leaving twice is harmless."""
    link = bench.transport.connect()
    link.close()
    link.close()
    assert bench.transport.send(Connection(3, TASK, link.address), [b"x"]) is False
    assert bench.transport.send(Connection(3, TASK, b"nobody"), [b"x"]) is False


def test_waking_ends_a_wait(bench: Bench) -> None:
    """Also one that begins after the wake-up; each counts once."""
    link = bench.transport.connect()
    link.wake()
    assert link.receive(None) == []
    waited: list[Any] = []
    thread = threading.Thread(target=lambda: waited.append(in_thread(link)))
    thread.start()
    link.wake()
    thread.join(30)
    assert waited == [[]]


def in_thread(link: MemoryLink) -> list[Any]:
    """Wait without end, as the thread to which the link belongs."""
    return link.receive(None)


def test_a_message_ends_a_wait(bench: Bench) -> None:
    """From another thread."""
    link, got = bench.transport.connect(), []
    thread = threading.Thread(target=lambda: got.extend(link.receive(None)))
    thread.start()
    bench.transport.send(Connection(3, HUB, link.address), [b"x"])
    thread.join(30)
    assert got == [(HUB, b"x", [])]


def test_nothing_is_lost_between_threads(bench: Bench) -> None:
    """Many peers send while the hub takes: everything arrives, in each peer's order."""
    links = [bench.transport.connect() for _ in range(4)]

    def send(link: MemoryLink) -> None:
        for n in range(2000):
            link.send(TASK, [b"%d" % n])

    threads = [threading.Thread(target=send, args=(link,)) for link in links]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        bench.receive(7)
    while bench.receive():
        pass
    for link in links:
        mine = [got[2] for got in bench.arrived if got[0].address == link.address]
        assert mine == [b"%d" % n for n in range(2000)]
    assert 1 <= len(bench.loop.calls) <= 8000


def test_keys_mean_nothing_here(bench: Bench) -> None:
    """A link has all methods of one over sockets."""
    link = bench.transport.connect()
    assert link.enrolling is False
    link.enrolled()
    link.enrol_again()
    assert link.failure() is None
    assert bench.transport.addresses() == {}
    bench.transport.close()
    assert bench.transport.send(Connection(3, HUB, link.address), [b"x"]) is False


def test_large_messages_are_passed_on_one_by_one(bench: Bench) -> None:
    """Each takes long: others have their turn in between. Other streams are not held up."""
    link = bench.transport.connect()
    for _ in range(3):
        link.send(TASK, [bytes(LARGE)])
        link.send(HUB, [b"small"])
    assert [bench.receive() for _ in range(4)] == [4, 1, 1, 0]

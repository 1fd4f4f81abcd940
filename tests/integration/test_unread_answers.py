"""A peer that asks and never reads costs a bounded number of messages, and nobody else anything."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import zmq

from ctrlhub.controller.core.effects import Connection
from ctrlhub.controller.loop import HubLoop
from ctrlhub.controller.transports import zeromq
from ctrlhub.controller.transports.zeromq import ZeroMQTransport
from ctrlhub.wire.messages import Stream

PATIENCE_MS = 60_000
ANSWER = [bytes(10_000)]


@pytest.fixture
def context() -> Iterator[zmq.Context[zmq.Socket[bytes]]]:
    """A ZeroMQ context."""
    made: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    yield made
    made.destroy(linger=0)


@pytest.mark.parametrize("stream", [Stream.TASK, Stream.IOPUB])
def test_it_is_taken_for_gone(
    context: zmq.Context[zmq.Socket[bytes]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    stream: Stream,
) -> None:
    """`send` says so in the end, and goes on serving another one; on iopub it loses messages, no more."""
    monkeypatch.setattr(zeromq, "MOST_UNREAD", 100)
    transport = ZeroMQTransport(context, {s: f"ipc://{tmp_path}/{s.value[0]}" for s in Stream})
    loop = HubLoop()
    heard: list[Connection] = []

    def listen() -> None:
        while transport.receive(lambda connection, *_: heard.append(connection), 8):
            continue
        if len(heard) == 2:
            loop.stop()

    transport.start(0, loop, listen)
    peers = []
    for _ in range(2):
        peer = context.socket(zmq.DEALER)
        peer.setsockopt(zmq.RCVHWM, 10)
        peer.connect(f"ipc://{tmp_path}/{stream.value[0]}")
        peer.send(b"hello")
        peers.append(peer)
    loop.run()

    silent, other = heard
    if stream is Stream.IOPUB:
        assert all(transport.send(silent, ANSWER) for _ in range(10_000))
    else:
        assert any(not transport.send(silent, ANSWER) for _ in range(100_000))
    assert transport.send(other, ANSWER)
    arrived = [peer for peer in peers if peer.poll(PATIENCE_MS)]
    assert arrived == peers
    read = 0
    while peers[0].poll(100):
        peers[0].recv()
        read += 1
    assert read < 10_000
    for peer in peers:
        peer.close(0)
    transport.close()
    loop.close()


def test_what_cannot_be_sent_spoils_nothing(
    context: zmq.Context[zmq.Socket[bytes]], tmp_path: Path
) -> None:
    """What breaks off in the middle of a message, or of taking some, leaves the others as they were."""
    transport = ZeroMQTransport(context, {s: f"ipc://{tmp_path}/{s.value[0]}" for s in Stream})
    loop = HubLoop()
    heard: list[Connection] = []
    broken = [True]

    def take(connection: Connection, *_: object) -> None:
        if broken:
            broken.clear()
            raise MemoryError
        heard.append(connection)

    def listen() -> None:
        try:
            while transport.receive(take, 8):
                continue
        except MemoryError:
            loop.soon(listen)
        if len(heard) == 2:
            loop.stop()

    peers = [context.socket(zmq.DEALER) for _ in range(3)]
    for peer, stream in zip(peers, (Stream.HUB, Stream.TASK, Stream.MULTIENGINE), strict=True):
        peer.connect(f"ipc://{tmp_path}/{stream.value[0]}")
        peer.send(b"hello")
    transport.start(0, loop, lambda: None)
    deadline = time.monotonic() + PATIENCE_MS / 1000
    while not all(s.get(zmq.EVENTS) & zmq.POLLIN for s in list(transport._sockets.values())[:3]):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    loop.soon(listen)
    loop.run()  # the message that broke off is lost, and no other

    first, second = heard
    with pytest.raises(TypeError):
        transport.send(first, [b"header", object()])  # type: ignore[list-item]
    assert transport.send(first, [b"whole"])
    assert transport.send(second, [b"other"])
    answers = {}
    for peer in peers:
        while peer.poll(500):
            answers.setdefault(peer, []).append(peer.recv_multipart())
    assert sorted(answers.values()) == [[[b"header", b""], [b"whole"]], [[b"other"]]]
    for peer in peers:
        peer.close(0)
    transport.close()
    loop.close()

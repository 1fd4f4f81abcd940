"""Traffic: what a real client, engine and nanny say to a hub, as it leaves their sockets."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np
import pytest

from ctrlhub import Client, Cluster
from ctrlhub.link.port import Port
from ctrlhub.link.zeromq import ZeroMQLink
from ctrlhub.wire import messages as m
from ctrlhub.wire.codec import encode
from ctrlhub.wire.connection import ConnectionInfo
from ctrlhub.wire.messages import Buffer, Stream
from ctrlhub.wire.security import KeyPair
from tests.support.target import every_message
from tests.support.thread_engine import ThreadEngine, routed_output

MOST = 400
"""Messages that are kept of a recording: more of them say the same."""

PATIENCE = 60.0


@dataclass(frozen=True, slots=True)
class Recorded:
    """One message on its way to a hub."""

    stream: Stream
    frames: tuple[bytes, ...]


@dataclass(slots=True)
class Corpus:
    """What is changed and said again.

    Attributes
    ----------
    sessions
        The sessions of those who said it: the ids of requests begin with them.
    """

    messages: list[Recorded] = field(default_factory=list)
    sessions: set[int] = field(default_factory=set)


@contextmanager
def _recording(corpus: Corpus) -> Iterator[None]:
    send = Port.send

    def recorded(port: Port, frames: Sequence[Buffer]) -> None:
        if len(corpus.messages) < MOST:
            corpus.messages.append(Recorded(port.stream, tuple(map(bytes, frames))))
        send(port, frames)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Port, "send", recorded)
        yield


def _square(number: int) -> int:
    return number * number


def _fails(number: int) -> int:
    print("about to fail")
    raise ValueError(number)


def record(cluster: Cluster, info: ConnectionInfo, for_engines: ConnectionInfo) -> Corpus:
    """Have a client and an engine of this process do all that they can do, and keep what they say."""
    corpus = Corpus()
    with routed_output(), _recording(corpus):
        there = cluster.client.ids
        engine = ThreadEngine(ZeroMQLink(for_engines, KeyPair.generate()))
        try:
            with Client(info, timeout=PATIENCE) as client:
                client.wait_for_engines(len(there) + 1, timeout=PATIENCE)
                _work(client, max(client.ids))
                corpus.sessions.add(client._connection.session)
        finally:
            engine.stop()
    corpus.messages += [Recorded(stream, _frames(each)) for stream, each in _scripted()]
    return corpus


def _work(client: Client, engine: int) -> None:
    view = client[engine]
    view.push({"theirs": 1, "array": np.arange(1000)}, block=True)
    view.pull("theirs", block=True)
    view.apply(_square, 3).get(PATIENCE)
    view.execute("x = 1", block=True)
    view.execute("print('said')", block=True)
    view.apply(_fails, 3).wait(PATIENCE)
    balanced = client.load_balanced_view([engine])
    balanced.map(_square, range(40)).get(PATIENCE)
    first = balanced.apply(_square, 5)
    with balanced.temp_flags(after=[first], retries=1):
        balanced.apply(_fails, 5).wait(PATIENCE)
    with balanced.temp_flags(timeout=30.0):
        balanced.apply(_square, np.arange(100_000)).get(PATIENCE)
    client.status()
    client.queue_status(verbose=True)
    client.db_query({"status": "ok"})
    client.get_result(list(first.msg_ids)).get(PATIENCE)
    view.apply_async(_square, 1).cancel()
    balanced.apply_async(_square, 1).cancel()


def _scripted() -> Iterator[tuple[Stream, m.Message]]:
    """Yield one of each message, and what nannies say: they are processes of their own."""
    for stream in Stream:
        for message in every_message():
            if not isinstance(message, m.Call | m.Shutdown):
                yield stream, message
    yield Stream.HUB, m.EngineDied("k" * 40, b"i", "killed", log="last words", running=7)
    yield Stream.HUB, m.Beat(tuple(f"key {n}" for n in range(50)))


def _frames(message: m.Message) -> tuple[bytes, ...]:
    return tuple(map(bytes, encode(message)))

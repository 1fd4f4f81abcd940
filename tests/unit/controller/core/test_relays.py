"""Relays: what goes to several engines of another host crosses the network once."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from ctrlhub.wire import messages as m
from ctrlhub.wire import segments
from ctrlhub.wire.codec import decode, encode
from ctrlhub.wire.messages import Buffer
from ctrlhub.wire.segments import Carried, Keep, Segment, SegmentRef, share
from tests.support.exchange import Exchange, Line
from tests.support.peerage import CLIENT, ENGINE, MULTIENGINE, a_peer

pytestmark = pytest.mark.skipif(not segments.AVAILABLE, reason="this system has no memory files")

DATA = b"0123456789abcdef" * 20_000
WHERE = (1, 17, 99, len(DATA))
"""Where a carrier says that the second frame stands: descriptor 17, stamp 99."""


class Telling(Exchange):
    """A hub that puts what goes to several engines into segments, as `Borrowing` has it."""

    def __init__(self) -> None:
        from ctrlhub.controller.borrowing import Borrowing

        super().__init__(borrowing=Borrowing())


@pytest.fixture
def exchange() -> Telling:
    """A hub."""
    return Telling()


@pytest.fixture
def far(exchange: Telling) -> list[Line]:
    """Engines 0, 1 and 2, on another host."""
    return [a_peer(exchange, f"far {n}", ENGINE, node="there") for n in range(3)]


@pytest.fixture
def client(exchange: Telling, far: list[Line]) -> Line:
    """A client, elsewhere."""
    return a_peer(exchange, "client", CLIENT)


def push(client: Line, counter: int, *targets: int) -> None:
    """Give large data to engines."""
    command = m.Command(
        client.id(counter), targets, "push", ((0, 2),), frames=(b"pickle", DATA)
    )
    client.say(MULTIENGINE, command)


def how(line: Line) -> Iterator[str]:
    """How the data of each command came: as bytes, as bytes to be kept, or by reference."""
    for run in line.heard(m.RunCommand):
        assert isinstance(run, m.RunCommand)
        yield kind_of(run.frames[1])


def kind_of(frame: Buffer) -> str:
    """What a frame is."""
    if type(frame) is Keep:
        return "keep" if frame.buffer == DATA else "?"
    if type(frame) is SegmentRef:
        return f"{frame.pid}: {frame.descriptor} {frame.stamp} {frame.nbytes}"
    return "bytes" if frame == DATA else "?"


LENT = f"4711: 17 99 {len(DATA)}"


def test_the_data_is_sent_once(client: Line, far: list[Line]) -> None:
    """To the first; to its neighbours where they find it, once it has told; all end."""
    push(client, 1, 0, 1, 2)
    assert [list(how(line)) for line in far] == [["keep"], [], []]
    far[0].say(MULTIENGINE, m.Lent(client.id(1), WHERE))
    assert [list(how(line)) for line in far] == [[], [LENT], [LENT]]
    for n, line in enumerate(far):
        line.results((client.id(1 + n), 0), stream=MULTIENGINE)
    done = [row for each in client.heard(m.Completed) for row in each.rows]  # type: ignore[attr-defined]
    assert sorted(row[0] for row in done) == [client.id(1), client.id(2), client.id(3)]
    assert not far[0].exchange.commands._relays


def test_a_carrier_that_is_done_lends_no_more(client: Line, far: list[Line]) -> None:
    """Who was busy until then is the next carrier."""
    for n in (1, 2):
        client.command(10 + n, n)
        far[n].heard()
    push(client, 1, 0, 1, 2)
    assert list(how(far[0])) == ["keep"]
    far[0].say(MULTIENGINE, m.Lent(client.id(1), WHERE))
    far[0].results((client.id(1), 0), stream=MULTIENGINE)
    for n in (1, 2):
        far[n].results((client.id(10 + n), 0), stream=MULTIENGINE)
    assert [list(how(line)) for line in far] == [[], ["keep"], []]


@pytest.mark.parametrize("end", ["goodbye", "hello", "result", "no room", "nonsense"])
def test_a_carrier_that_does_not_lend(client: Line, far: list[Line], end: str) -> None:
    """It has gone, has come back, is done, has no room, or errs: another takes its place."""
    push(client, 1, 0, 1, 2)
    assert list(how(far[0])) == ["keep"]
    assert far[0].registered is not None
    said: dict[str, tuple[m.Stream, m.Message]] = {
        "goodbye": (m.Stream.HUB, m.Goodbye()),
        "hello": (MULTIENGINE, m.Hello(far[0].registered.token)),
        "no room": (MULTIENGINE, m.Lent(client.id(1), ())),
        "nonsense": (MULTIENGINE, m.Lent(client.id(1), (0, 1, 2, 3))),
    }
    if end == "result":
        far[0].results((client.id(1), 0), stream=MULTIENGINE)
    else:
        far[0].say(*said[end])
    came = [list(how(line)) for line in far]
    assert sorted(each for line in came for each in line).count("keep") == 1
    carrier = next(n for n, line in enumerate(came) if line == ["keep"])
    far[carrier].say(MULTIENGINE, m.Lent(client.id(1 + carrier), WHERE))
    came = [a + list(how(line)) for a, line in zip(came, far, strict=True)]
    assert came[1], came
    assert came[2], came


def test_who_cannot_open_it_gets_bytes(client: Line, far: list[Line]) -> None:
    """It says hello again; from then on it is not sent to others."""
    push(client, 1, 0, 1)
    far[0].say(MULTIENGINE, m.Lent(client.id(1), WHERE))
    assert [list(how(line)) for line in far[:2]] == [["keep"], [LENT]]
    assert far[1].registered is not None
    far[1].say(MULTIENGINE, m.Hello(far[1].registered.token))
    assert list(how(far[1])) == ["bytes"]
    for n in (0, 1):
        far[n].results((client.id(1 + n), 0), stream=MULTIENGINE)
    push(client, 10, 1, 0, 2)
    assert [list(how(line)) for line in far] == [["keep"], ["bytes"], []]


def test_who_waits_and_goes(client: Line, far: list[Line]) -> None:
    """Nothing is sent to nobody, and its command fails as any other would."""
    push(client, 1, 0, 1, 2)
    far[1].say(m.Stream.HUB, m.Goodbye())
    far[0].say(MULTIENGINE, m.Lent(client.id(1), WHERE))
    assert [list(how(line)) for line in far] == [["keep"], [], [LENT]]


@pytest.mark.parametrize("node", ["", "elsewhere"])
def test_an_engine_alone_on_its_node(exchange: Telling, node: str) -> None:
    """There is nobody to lend to: it gets bytes."""
    here = a_peer(exchange, "here", ENGINE, node=node)
    a_peer(exchange, "there", ENGINE, node="there")
    push(a_peer(exchange, "client", CLIENT), 1, 0, 1)
    assert list(how(here)) == ["bytes"]


def test_small_data(client: Line, far: list[Line]) -> None:
    """It is quicker sent than lent."""
    client.command(1, 0, 1)
    for line in far[:2]:
        assert [run.payload for run in line.heard(m.RunCommand)] == [b"data"]  # type: ignore[attr-defined]


def test_a_stranger_s_word(client: Line, far: list[Line]) -> None:
    """Only the carrier, and only of its request, is heard."""
    push(client, 1, 0, 1)
    far[1].say(MULTIENGINE, m.Lent(client.id(1), WHERE))
    far[0].say(MULTIENGINE, m.Lent(client.id(2), WHERE))
    assert [list(how(line)) for line in far[:2]] == [["keep"], []]


def test_frames_on_the_wire() -> None:
    """What is to be kept travels as bytes, what another lends as a reference with its process."""
    segment = share(memoryview(DATA))
    assert isinstance(segment, Segment)
    ref = SegmentRef(1, 2, 3, 4)
    header, *frames = encode(m.RunCommand(1, "push", (0, 3), frames=(b"x", Carried(segment), ref)))
    got = decode(header, frames)
    assert isinstance(got, m.RunCommand)
    assert [kind_of(frame) for frame in got.frames[1:]] == ["keep", "4: 1 2 3"]

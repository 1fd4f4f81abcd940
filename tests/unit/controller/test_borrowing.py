"""What the hub does with segments: it borrows from those who have proven to be here, and lends on."""

from __future__ import annotations

import gc
import os
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import msgpack
import pytest

from ctrlhub.controller.borrowing import Borrowing
from ctrlhub.wire import messages as m
from ctrlhub.wire import segments
from ctrlhub.wire.codec import encode
from ctrlhub.wire.segments import Segment, SegmentRef, borrow, count_held, read_proof, share
from tests.support.exchange import BULK, Exchange, Line
from tests.support.peerage import CLIENT, ENGINE, HUB, MULTIENGINE, TASK, refused
from tests.support.peers import registration

pytestmark = pytest.mark.skipif(not segments.AVAILABLE, reason="this system has no memory files")

DATA = b"0123456789abcdef" * 20_000
"""More than the hub remembers of a request that has ended."""


def made(data: bytes = DATA) -> Segment:
    """A segment with this content."""
    segment = share(memoryview(data))
    assert segment is not None
    return segment


class Lender(Line):
    """A peer on the hub's host: this process."""

    def join(self, role: m.Role, content: bytes = b"", proof: bytes = b"") -> m.Registered:
        """Register, showing a segment with the right content or another; say hello."""
        said = replace(registration(role, self.address.decode()), pid=os.getpid())
        self.shown = made(content or said.incarnation)
        ref = self.shown.ref
        said = replace(said, segment=(ref.descriptor, ref.stamp, ref.nbytes))
        [registered] = self.say(HUB, said)
        assert isinstance(registered, m.Registered)
        self.registered = registered
        if registered.segment and not proof:
            pid, *numbers = registered.segment
            proof = read_proof(pid, SegmentRef.of(numbers))
        for stream in BULK:
            self.say(stream, m.Hello(registered.token, (), proof))
        self.heard()
        return registered

    def lend(self, stream: m.Stream, message: m.Message) -> list[m.Message]:
        """Say something that refers to segments."""
        frames = [bytes(frame) for frame in encode(message, shares=True)]
        return self.say_bytes(stream, frames[0], frames[1:])


@pytest.fixture
def exchange() -> Exchange:
    """A hub that can borrow."""
    return Exchange(borrowing=Borrowing())


@pytest.fixture
def engine(exchange: Exchange) -> Lender:
    """Engine 0."""
    engine = Lender(exchange, "engine")
    engine.join(ENGINE)
    return engine


@pytest.fixture
def client(exchange: Exchange) -> Lender:
    """A client."""
    client = Lender(exchange, "client")
    client.join(CLIENT)
    return client


def push(client: Line, counter: int, *targets: int, data: Any) -> m.Command:
    """A command whose data stands in the second of its frames."""
    return m.Command(client.id(counter), targets, "push", ((0, 2),), frames=(b"pickle", data))


def data_of(frames: Sequence[Any]) -> bytes:
    """What the hub lends with a message: its own segment, borrowed from it."""
    [ref] = [frame for frame in frames if type(frame) is SegmentRef]
    return bytes(borrow(os.getpid(), ref).view())


def test_a_segment_is_lent_on(engine: Lender, client: Lender) -> None:
    """The hub has it open for itself: its maker may let it go once the message has come."""
    segment = made()
    client.lend(MULTIENGINE, push(client, 1, 0, data=segment))
    del segment
    run = engine.one(m.RunCommand)
    assert run.payload == (0, 2)
    assert data_of(run.frames) == DATA


def test_it_is_kept_as_long_as_it_is_needed(engine: Lender, client: Lender) -> None:
    """Until the request has ended on every engine; a result, until its client has it."""
    other = Lender(engine.exchange, "other")
    other.join(ENGINE)
    gc.collect()  # what other tests have left in cycles
    before = count_held()
    client.lend(MULTIENGINE, push(client, 1, 0, 1, data=made()))
    assert count_held() == before + 1
    first, second = engine.one(m.RunCommand), other.one(m.RunCommand)
    assert first.frames == second.frames
    engine.results((first.id, 0), stream=MULTIENGINE)
    assert count_held() == before + 1
    row = (second.id, 0, 0, (0, 2), 0.0, 0.1, None)
    large = DATA[::-1] * 30  # more than it remembers of a result
    other.lend(MULTIENGINE, m.Results((row,), (b"pickle", made(large))))
    assert count_held() == before + 1  # the request's is gone, the result's is here
    [done] = [each for each in client.heard(m.Completed) if each.frames]
    assert data_of(done.frames) == large
    del done
    client.say(MULTIENGINE, m.Received(((first.id, second.id),)))
    engine.exchange.operations.clear()  # what this test's store was given
    assert count_held() == before


def test_who_cannot_open_it_gets_bytes(exchange: Exchange, client: Lender) -> None:
    """An engine elsewhere, or one that has said so."""
    far = Line(exchange, "far")
    far.register(ENGINE)
    far.heard()
    client.lend(MULTIENGINE, push(client, 1, 0, data=made()))
    assert far.one(m.RunCommand).frames == (b"pickle", DATA)


@pytest.mark.parametrize("engines", [1, 2])
def test_bytes_for_several_engines(exchange: Exchange, engine: Lender, engines: int) -> None:
    """From a client elsewhere: of two who can open it, both are lent one segment of the hub's."""
    other, far = Lender(exchange, "other"), Line(exchange, "far")
    other.join(ENGINE)
    far.register(CLIENT)
    far.say(MULTIENGINE, push(far, 1, *range(engines), data=DATA))
    first = engine.one(m.RunCommand)
    if engines == 1:
        assert first.frames == (b"pickle", DATA)
    else:
        assert first.frames == other.one(m.RunCommand).frames
        assert data_of(first.frames) == DATA


def test_a_hello_without_proof(engine: Lender, client: Lender) -> None:
    """What was lent and not answered is sent again as bytes; the hub still borrows."""
    client.lend(MULTIENGINE, push(client, 1, 0, data=made()))
    run = engine.one(m.RunCommand)
    assert engine.registered is not None
    engine.say(MULTIENGINE, m.Hello(engine.registered.token))
    assert engine.one(m.RunCommand).frames == (b"pickle", DATA)
    row = (run.id, 0, 0, (0, 1), 0.0, 0.1, None)
    engine.lend(MULTIENGINE, m.Results((row,), (made(),)))
    assert data_of(client.one(m.Completed).frames) == DATA


def test_results_that_are_not_to_be_had(engine: Lender, client: Lender) -> None:
    """The message is refused as a whole, and counts for nothing."""
    client.submit(1)
    lost = SegmentRef(1_000_000, 1, 10)
    row = (client.id(1), 0, 0, (0, 1), 0.0, 0.1, None)
    header = encode(m.Results((row,), (b"",)))[0]
    answers = engine.say_bytes(TASK, refer(header, 0, lost), [b""])
    assert refused(answers) == "segment_lost"
    assert client.heard(m.Completed) == []
    engine.results((client.id(1), 0))
    assert [row[2] for row in client.one(m.Completed).rows] == [b"value"]


def refer(header: Any, frame: int, ref: SegmentRef) -> bytes:
    """A header that refers to a segment."""
    segment = [frame, ref.descriptor, ref.stamp, ref.nbytes]
    return bytes(msgpack.packb([*msgpack.unpackb(header, strict_map_key=False), [segment]]))


def test_a_request_that_is_known(engine: Lender, client: Lender) -> None:
    """Sent again by a client that has let its data go meanwhile: nothing is missing."""
    segment, other = made(), made(b"y" * 100)
    client.lend(MULTIENGINE, push(client, 1, 0, data=segment))
    template = ((b"f", 0, 3, ""),)
    client.lend(TASK, m.SubmitTasks(
        template, ((client.id(2), 0, (0, 1)),), ((b"f", b"code"),), frames=(other,)
    ))  # fmt: skip
    again = encode(m.SubmitTasks(
        template, ((client.id(2), 0, (0, 1)), (client.id(3), 0, b"")), frames=(other,)
    ), shares=True)[0]  # fmt: skip
    del other
    client.say_bytes(TASK, bytes(again), [b""])
    assert client.heard(m.Refused) == []
    ran = []
    while run := engine.heard(m.RunCommand, m.RunTasks):
        for each in run:
            if isinstance(each, m.RunCommand):
                engine.results((each.id, 0), stream=MULTIENGINE)
            else:
                ran += [row[0] for row in each.rows]
                engine.results(*[(row[0], 0) for row in each.rows])
    assert ran == [client.id(2), client.id(3)]


def test_a_command_that_is_known(engine: Lender, client: Lender) -> None:
    """On some of its targets, or as a start hook: sent again without its data, it is accepted."""
    other = Lender(engine.exchange, "other")
    other.join(ENGINE)
    segment = made()
    command = push(client, 1, 0, 1, data=segment)
    [header, *frames] = [bytes(frame) for frame in encode(command, shares=True)]
    hook = m.StartHook(client.id(3), "name", "push", (0, 2), frames=(b"pickle", segment))
    [hook_header, *_] = [bytes(frame) for frame in encode(hook, shares=True)]
    client.say_bytes(MULTIENGINE, header, frames)
    client.say_bytes(MULTIENGINE, hook_header, frames)
    assert client.heard(m.Refused) == []
    del command, hook, segment
    lost = SegmentRef(1_000_000, 1, len(DATA))
    for message in (push(client, 1, 0, 1, data=b""), m.StartHook(
        client.id(3), "name", "push", (0, 2), frames=(b"pickle", b"")
    )):  # fmt: skip
        client.say_bytes(MULTIENGINE, refer(encode(message)[0], 1, lost), [b"pickle", b""])
    assert client.heard(m.Refused) == []
    assert data_of(engine.one(m.RunCommand).frames) == DATA


@pytest.mark.parametrize("said", ["unknown", "known", "not permitted"])
def test_nothing_is_copied_for_who_may_not_speak(
    monkeypatch: pytest.MonkeyPatch, exchange: Exchange, engine: Lender, said: str
) -> None:
    """Nor for a request that is here already."""
    other, far = Lender(exchange, "other"), Line(exchange, "far")
    other.join(ENGINE)
    far.register(CLIENT)
    command = push(far, 1, 0, 1, data=DATA)
    if said == "known":
        far.say(MULTIENGINE, command)
    gc.collect()
    before = count_held()
    sharings: list[Any] = []
    monkeypatch.setattr("ctrlhub.controller.borrowing.share", lambda *a: sharings.append(a))
    stranger = {"unknown": Line(exchange, "stranger"), "known": far, "not permitted": other}[said]
    stranger.say(MULTIENGINE, command)

    assert (sharings, count_held()) == ([], before)


def test_a_request_that_is_not_known(engine: Lender, client: Lender) -> None:
    """It is refused, by name: it cannot be run."""
    ref = made().ref
    header = encode(push(client, 1, 0, data=b""))[0]
    [answer] = client.say_bytes(MULTIENGINE, refer(header, 1, ref), [b"pickle", b""])
    assert isinstance(answer, m.Refused)
    assert (answer.code, answer.requests) == ("segment_lost", ((client.id(1), client.id(1)),))
    assert engine.heard() == []


class TestProof:
    """Who may refer to memory."""

    def test_a_peer_whose_segment_holds_something_else(self, exchange: Exchange) -> None:
        """It may have named anybody's: nothing is offered to it."""
        peer = Lender(exchange, "client")
        assert peer.join(CLIENT, content=b"something else!!").segment == ()

    def test_a_peer_that_shows_nothing(self, exchange: Exchange) -> None:
        """It sends bytes."""
        assert Line(exchange, "client").register(CLIENT).segment == ()

    @pytest.mark.parametrize("proof", [b"", b"0123456789abcdef", b"x"])
    def test_a_peer_without_the_proof(
        self, exchange: Exchange, engine: Lender, proof: bytes
    ) -> None:
        """What it refers to is refused, and it is lent nothing."""
        client = Lender(exchange, "client")
        client.join(CLIENT, proof=proof or b"-")
        answers = client.lend(MULTIENGINE, push(client, 1, 0, data=made()))
        assert refused(answers) == "invalid_request"
        assert engine.heard() == []

    def test_a_hub_that_shares_nothing(self) -> None:
        """Nor does it with those who ask for it."""
        client = Lender(Exchange(), "client")
        assert client.join(CLIENT).segment == ()
        assert refused(client.lend(MULTIENGINE, push(client, 1, 0, data=made())))

    def test_a_new_process_proves_itself_anew(self, exchange: Exchange) -> None:
        """In a session that it takes over from another one of the same key."""
        engine = Lender(exchange, "engine")
        engine.join(ENGINE)
        engine.register(ENGINE)
        client = Lender(exchange, "client")
        client.join(CLIENT)
        engine.heard()
        client.lend(MULTIENGINE, push(client, 1, 0, data=made()))
        assert engine.one(m.RunCommand).frames == (b"pickle", DATA)

    def test_a_silence_changes_nothing(self, engine: Lender, client: Lender) -> None:
        """What was on its way while a peer registered again is still taken."""
        assert client.registered is not None
        pid, (ref, said) = os.getpid(), (client.shown.ref, client.registered)
        again = replace(
            registration(CLIENT, "client"),
            pid=pid, token=said.token, segment=(ref.descriptor, ref.stamp, ref.nbytes),
            incarnation=bytes(client.shown.view()),
        )  # fmt: skip
        [answer] = client.say(HUB, again)
        assert isinstance(answer, m.Registered)
        assert answer.resumed
        client.lend(MULTIENGINE, push(client, 1, 0, data=made()))
        assert data_of(engine.one(m.RunCommand).frames) == DATA


def test_more_than_the_hub_can_keep_open(
    monkeypatch: pytest.MonkeyPatch, engine: Lender, client: Lender
) -> None:
    """It takes in the bytes instead, and nobody else notices."""
    borrowing = engine.exchange.switchboard.joining._borrowing
    monkeypatch.setattr(borrowing, "_most", count_held())
    client.lend(MULTIENGINE, push(client, 1, 0, data=made()))
    assert engine.one(m.RunCommand).frames == (b"pickle", DATA)


@pytest.mark.parametrize(
    "references",
    [7, "x", [7], [[]], [[0, 1, 2]], [[-1, 1, 2, 3]], [[2, 1, 2, 3]], [[0, -1, 2, 3]],
     [[0, 1, 2, 0]], [[0, 1, 2, 2**62]], [[True, 1, 2, 3]], [[0, 1, 2, 3, 4]], {"a": 1}],
)  # fmt: skip
def test_malformed_references(client: Lender, references: Any) -> None:
    """Refused before anything is opened."""
    header = encode(push(client, 1, 0, data=b""))[0]
    body = [*msgpack.unpackb(header, strict_map_key=False), references]
    answers = client.say_bytes(MULTIENGINE, msgpack.packb(body), [b"pickle", b""])
    assert refused(answers) == "invalid_request"

"""Bulk connections: what one end seals the other opens, in order; anything else ends them."""

from __future__ import annotations

from collections import deque

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ctrlhub.wire import bulk, sealed
from ctrlhub.wire.bulk import (
    DRAWN_BYTES,
    HEAD,
    HELLO_BYTES,
    MAGIC,
    TICKET_BYTES,
    Arrived,
    Channel,
    HubEnd,
    Pass,
    PeerEnd,
    Rooms,
)
from ctrlhub.wire.errors import AuthenticationError, InvalidRequest
from ctrlhub.wire.limits import BULK_PART_BYTES
from ctrlhub.wire.messages import Part, Stream
from ctrlhub.wire.sealed import SECRET_BYTES, TAG_BYTES, Keys, Seal
from ctrlhub.wire.segments import AVAILABLE, share
from ctrlhub.wire.transfers import Piece

TICKET, SECRET = b"t" * TICKET_BYTES, b"s" * SECRET_BYTES
PASS = Pass(TICKET, SECRET)
BROKEN = (AuthenticationError, InvalidRequest)


def secret_of(ticket: bytes) -> bytes | None:
    """Know one session."""
    return SECRET if ticket == TICKET else None


class Wire:
    """A peer's end and the hub's, and the bytes between them."""

    def __init__(self, let_in: Pass = PASS, drawn: bytes = b"1" * DRAWN_BYTES) -> None:
        self.peer = PeerEnd(let_in, drawn, Rooms())
        self.hub = HubEnd(secret_of, drawn[::-1].replace(b"1", b"2"), Rooms())
        self.sent: dict[Channel, bytearray] = {self.peer: bytearray(), self.hub: bytearray()}
        self.heard: dict[Channel, list[tuple[Stream, int, int, bytes]]] = {self.peer: [], self.hub: []}

    def collect(self, end: Channel) -> None:
        """Let what an end has to say leave."""
        while end.unsent:
            self.sent[end] += end.unsent.popleft()
        end.rest()

    def deliver(self, end: Channel) -> None:
        """Let what was sent to an end arrive."""
        data = self.sent[self.other(end)]
        while end.wants <= len(data):
            wants = end.wants
            arrived = end.take(bytes(data[:wants]))
            del data[:wants]
            if arrived is not None:
                self.heard[end].append(plain(arrived))
        self.collect(end)

    def other(self, end: Channel) -> Channel:
        """Return the end that an end speaks with."""
        return self.hub if end is self.peer else self.peer

    def greet(self) -> None:
        """Exchange what comes first."""
        self.collect(self.peer)
        for end in (self.hub, self.peer, self.hub, self.peer):
            self.deliver(end)

    def say(self, end: Channel, number: int, offset: int, chunk: bytes, stream: Stream = Stream.TASK) -> None:
        """Let a part leave."""
        end.seal(stream, Part(number, offset, (), True, [chunk]))
        self.collect(end)


def plain(arrived: Arrived) -> tuple[Stream, int, int, bytes]:
    """Return what a part brought, which has to be copied at once."""
    part = arrived.part
    return arrived.stream, part.transfer, part.offset, bytes(part.frames[0])


def test_parts_travel_both_ways() -> None:
    """When both have shown that they have the keys, each hears what the other says."""
    wire = Wire()
    assert not wire.peer.is_ready
    wire.greet()
    assert wire.peer.is_ready
    assert wire.hub.is_ready
    wire.say(wire.peer, 3, 65536, b"up", Stream.MULTIENGINE)
    wire.say(wire.hub, 4, 1 << 40, b"down")
    wire.deliver(wire.hub)
    wire.deliver(wire.peer)
    assert wire.heard[wire.hub] == [(Stream.MULTIENGINE, 3, 65536, b"up")]
    assert wire.heard[wire.peer] == [(Stream.TASK, 4, 1 << 40, b"down")]


def test_nothing_of_it_can_be_read() -> None:
    """Neither the secret, nor what the parts carry."""
    wire = Wire()
    wire.collect(wire.peer)
    said = bytes(wire.sent[wire.peer])
    wire.greet()
    wire.say(wire.peer, 1, 1, b"what nobody is to read")
    said += bytes(wire.sent[wire.peer])
    assert len(said) > HELLO_BYTES
    assert SECRET not in said
    assert b"nobody" not in said


def test_a_segment_is_read_when_it_is_sealed() -> None:
    """Into a buffer that is used again."""
    if not AVAILABLE:
        pytest.skip("this system has no memory files")
    segment = share(memoryview(bytes(range(256)) * 4096))
    assert segment is not None
    wire = Wire()
    wire.greet()
    for offset in (0, 500):
        part = Part(1, offset + 1, (), True, [Piece(segment, offset, 300)])
        wire.peer.seal(Stream.TASK, part)
        wire.collect(wire.peer)
    wire.deliver(wire.hub)
    data = bytes(segment.view())
    assert [each[3] for each in wire.heard[wire.hub]] == [data[:300], data[500:800]]


def test_what_has_come_stays_while_others_leave() -> None:
    """A part is not overwritten by one that its end seals before it was taken on."""
    if not AVAILABLE:
        pytest.skip("this system has no memory files")
    segment = share(memoryview(bytes(BULK_PART_BYTES)))
    assert segment is not None
    wire = Wire()
    wire.greet()
    chunk = bytes(range(1, 256)) * 2000
    wire.say(wire.hub, 1, 1, chunk)
    data = wire.sent[wire.hub]
    assert wire.peer.take(bytes(data[: wire.peer.wants])) is None
    arrived = wire.peer.take(bytes(data[HEAD.size :]))
    assert arrived is not None
    wire.peer.seal(Stream.TASK, Part(2, 1, (), True, [Piece(segment, 0, BULK_PART_BYTES)]))
    assert plain(arrived) == (Stream.TASK, 1, 1, chunk)


@pytest.mark.parametrize("writes_into", [True, False])
def test_with_a_library_that_cannot_write_into_buffers(
    writes_into: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It gives new ones, which hold the same."""
    wire = Wire()
    wire.greet()
    for end in (wire.peer, wire.hub):
        for seal in (end._in, end._out):
            assert seal is not None
            seal._writes_into = seal._writes_into and writes_into
    chunk = bytes(range(256)) * (BULK_PART_BYTES // 256)
    wire.say(wire.peer, 1, 1, chunk)
    wire.deliver(wire.hub)
    assert wire.heard[wire.hub] == [(Stream.TASK, 1, 1, chunk)]


def test_keys_are_a_connections_own() -> None:
    """Another connection of the same session has others, and each direction its own."""
    one, same = Keys(SECRET, b"a"), Keys(SECRET, b"a")
    other, others = Keys(SECRET, b"b"), Keys(b"z" * SECRET_BYTES, b"a")
    assert (one.to_hub, one.to_peer) == (same.to_hub, same.to_peer)
    assert len({each for k in (one, other, others) for each in (k.to_hub, k.to_peer)}) == 6


def test_keys_are_those_of_the_document() -> None:
    """HKDF-SHA256 as a library has it."""
    from cryptography.hazmat.primitives.hashes import SHA256
    from cryptography.hazmat.primitives.kdf.hkdf import HKDF

    keys = Keys(SECRET, b"drawn")
    for purpose, key in ((b"to hub", keys.to_hub), (b"to peer", keys.to_peer)):
        theirs = HKDF(SHA256(), 32, salt=b"drawn", info=b"ctrl-hub bulk 1 " + purpose)
        assert theirs.derive(SECRET) == key


def test_a_used_up_key_seals_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    """A nonce is never used twice: the connection says that it has to end."""
    monkeypatch.setattr(sealed, "MOST_RECORDS", 2)
    wire = Wire()
    wire.greet()  # takes one
    wire.say(wire.peer, 1, 1, b"x")
    assert wire.peer.is_used_up
    with pytest.raises(AuthenticationError, match="make another"):
        wire.say(wire.peer, 1, 2, b"y")


# ---------------------------------------------------------------- strangers


def test_a_stranger_without_a_ticket() -> None:
    """It gets no answer at all."""
    wire = Wire(Pass(b"x" * TICKET_BYTES, SECRET))
    wire.collect(wire.peer)
    with pytest.raises(AuthenticationError, match="no session"):
        wire.deliver(wire.hub)
    assert not wire.hub.unsent


def test_a_stranger_that_has_seen_a_ticket() -> None:
    """It cannot go on: nothing that it says under other keys opens."""
    wire = Wire(Pass(TICKET, b"guess" + SECRET[5:]))
    wire.collect(wire.peer)
    wire.deliver(wire.hub)
    wire.deliver(wire.peer)
    with pytest.raises(AuthenticationError, match="not authentic"):
        wire.deliver(wire.hub)
    assert not wire.hub.is_ready


def test_a_recorded_connection_cannot_be_played_again() -> None:
    """The hub has drawn something else."""
    wire = Wire()
    wire.collect(wire.peer)
    recorded = bytearray(wire.sent[wire.peer])
    wire.deliver(wire.hub)
    wire.deliver(wire.peer)
    recorded += wire.sent[wire.peer]
    hub = HubEnd(secret_of, b"3" * DRAWN_BYTES, Rooms())
    hub.take(bytes(recorded[:HELLO_BYTES]))
    with pytest.raises(AuthenticationError):
        hub.take(bytes(recorded[HELLO_BYTES:]))
    assert not hub.is_ready


def test_a_false_hub() -> None:
    """A peer does not take it for ready, and so sends it nothing."""
    peer = PeerEnd(PASS, b"1" * DRAWN_BYTES, Rooms())
    peer.take(b"4" * DRAWN_BYTES)
    with pytest.raises(BROKEN):
        peer.take(b"5" * (HEAD.size + TAG_BYTES))
    assert not peer.is_ready


@pytest.mark.parametrize("hello", [b"GET / HTTP/1.1\r\n".ljust(HELLO_BYTES), b"\x16\x03\x01" + bytes(77 - 16)])
def test_another_protocol(hello: bytes) -> None:
    """It is recognised by its first bytes."""
    hub = HubEnd(secret_of, b"2" * DRAWN_BYTES, Rooms())
    with pytest.raises(AuthenticationError, match="no bulk connection"):
        hub.take(hello.ljust(HELLO_BYTES, b"\0"))
    assert hello[: len(MAGIC)] != MAGIC


def test_nothing_large_is_wanted_of_a_stranger() -> None:
    """What a head says is believed only up to a part, and of a stranger nothing is."""
    hub = HubEnd(secret_of, b"2" * DRAWN_BYTES, Rooms())
    assert hub.wants == HELLO_BYTES
    hub.take(MAGIC + TICKET + b"1" * DRAWN_BYTES)
    assert hub.wants == HEAD.size + TAG_BYTES
    wire = Wire()
    wire.greet()
    for head in (
        HEAD.pack((1 << 32) - 1, 1, 1, 1),
        HEAD.pack(BULK_PART_BYTES + TAG_BYTES + 1, 1, 1, 1),
        HEAD.pack(TAG_BYTES, 1, 1, 1),
        HEAD.pack(100, 3, 1, 1),
    ):
        with pytest.raises(InvalidRequest):
            wire.hub.take(head)
        assert wire.hub.wants == HEAD.size


@pytest.mark.parametrize("text", [b"", b"x", bytes(47), bytes(49)])
def test_a_pass_has_its_size(text: bytes) -> None:
    """Another one is none."""
    with pytest.raises(ValueError, match="pass"):
        Pass.of(text)


# ---------------------------------------------------------------- anything


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_whatever_is_done_to_the_bytes(data: st.DataObject) -> None:
    """What is heard is what was said, in order, up to where it was changed; and then no more, ever."""
    wire = Wire()
    wire.greet()
    said = []
    records = []
    for number in range(data.draw(st.integers(1, 6))):
        chunk = data.draw(st.binary(min_size=1, max_size=40))
        stream = data.draw(st.sampled_from([Stream.TASK, Stream.MULTIENGINE]))
        wire.say(wire.peer, number, number * 7, chunk, stream)
        said.append((stream, number, number * 7, chunk))
        records.append(bytes(wire.sent[wire.peer]))
        wire.sent[wire.peer].clear()
    spoilt = data.draw(st.sampled_from(["bit", "drop", "repeat", "swap", "insert", "none"]))
    at = data.draw(st.integers(0, len(records) - 1))
    if spoilt == "bit":
        place = data.draw(st.integers(0, len(records[at]) * 8 - 1))
        changed = bytearray(records[at])
        changed[place // 8] ^= 1 << place % 8
        records[at] = bytes(changed)
    elif spoilt == "drop":
        del records[at]
    elif spoilt == "repeat":
        records.insert(at + 1, records[at])
        at += 1
    elif spoilt == "swap":
        other = data.draw(st.integers(0, len(records) - 1))
        records[at], records[other] = records[other], records[at]
        at = min(at, other) if at != other else len(records)
    elif spoilt == "insert":
        records.insert(at, data.draw(st.binary(min_size=HEAD.size + TAG_BYTES + 1, max_size=90)))
    whole = at if spoilt != "none" else len(said)
    wire.sent[wire.peer] += b"".join(records)
    try:
        wire.deliver(wire.hub)
    except BROKEN:
        assert spoilt != "none"
    assert wire.heard[wire.hub] == said[:whole]


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=400))
def test_any_bytes_to_the_hub(bytes_of_a_stranger: bytes) -> None:
    """They end the connection or are waited for, and are never heard."""
    hub = HubEnd(secret_of, b"2" * DRAWN_BYTES, Rooms())
    left: deque[int] = deque(bytes_of_a_stranger)
    try:
        while hub.wants <= len(left):
            assert hub.take(bytes(left.popleft() for _ in range(hub.wants))) is None
    except BROKEN:
        pass
    assert not hub.is_ready


def test_a_seal_is_for_one_direction() -> None:
    """What one end has sealed does not open as its own."""
    keys = Keys(SECRET, b"drawn")
    body = Seal(keys.to_hub).close(b"head", b"body")
    assert bytes(Seal(keys.to_hub).open(b"head", body)) == b"body"
    for key, head in ((keys.to_peer, b"head"), (keys.to_hub, b"Head")):
        with pytest.raises(AuthenticationError):
            Seal(key).open(head, body)


def test_few_buffers_are_kept() -> None:
    """Of many that were in use at a time."""
    rooms = Rooms()
    taken = [rooms.take() for _ in range(20)]
    for room in taken:
        rooms.give_back(room)
    assert len(rooms._free) == bulk._KEPT_ROOMS

"""Messages over WebSocket, as bytes."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ctrlhub.gateway.relay.peer import BURST, MOST_UNTAKEN, RATE, STALLED
from ctrlhub.gateway.relay.relays import MOST_PEERS
from ctrlhub.gateway.relay.unfinished import FRAME_BURST, FRAME_RATE
from ctrlhub.wire.closing import CODES, FAILED, NO_ROOM
from ctrlhub.wire.errors import InvalidRequest
from ctrlhub.wire.messages import Stream
from ctrlhub.wire.web import (
    ALIGNMENT,
    JSON,
    MSGPACK,
    STREAMS,
    WEB_MESSAGE_BYTES,
    pack_message,
    unpack_message,
)

FRAMES = st.lists(st.binary(max_size=100), min_size=1, max_size=8)


@given(st.sampled_from(STREAMS), FRAMES)
def test_what_is_packed_is_unpacked(stream: Stream, frames: list[bytes]) -> None:
    """Stream, header and frames arrive as they were."""
    found, header, rest = unpack_message(pack_message(stream, frames))
    assert (found, [header, *map(bytes, rest)]) == (stream, frames)


def test_its_bytes() -> None:
    """They are those that PROTOCOL.md shows."""
    assert pack_message(Stream.TASK, [b"abc"]) == bytes.fromhex(
        "00000002 00000001 00000003 00000000 616263"
    )
    assert pack_message(Stream.HUB, [b"abc", b"", b"d"]) == bytes.fromhex(
        "00000000 00000003 00000003 00000000 00000001 000000000000000000000000"
        "616263 00000000000000000000000000 64"
    )


@given(FRAMES)
def test_frames_are_aligned(frames: list[bytes]) -> None:
    """Each begins at a multiple, so that arrays can be used where they are."""
    marked = [bytes([200 + index]) * 3 for index in range(len(frames))]
    packed = pack_message(Stream.TASK, marked)
    assert all(packed.index(frame) % ALIGNMENT == 0 for frame in marked)


def test_the_document() -> None:
    """PROTOCOL.md shows these bytes, and says with which codes a WebSocket ends, and how large a message may be."""
    root = Path(__file__).parents[3]
    text = (root / "PROTOCOL.md").read_text(encoding="utf-8")
    section = text.split("## WebSocket")[1].split("\n## ")[0]
    shown = [pack_message(Stream.TASK, [b"abc"]), pack_message(Stream.HUB, [b"abc", b"", b"d"])]
    rows = [bytes.fromhex(line) for line in section.splitlines() if re.fullmatch(r" {4}[0-9a-f ]+", line)]
    assert rows == shown
    assert {int(code) for code in re.findall(r"^\| ([0-9]{4}) \|", section, re.M)} == CODES - {FAILED, NO_ROOM}
    gateway = (root / "docs/gateway.md").read_text(encoding="utf-8")
    assert {int(code) for code in re.findall(r"^\| ([0-9]{4}) \|", gateway, re.M)} == CODES
    assert f"larger than {WEB_MESSAGE_BYTES >> 20} MiB" in section
    for limit in (f"{RATE:,.0f} messages", f"{BURST:,.0f} at once", f"{STALLED:.0f} s", f"{MOST_PEERS} peers"):
        assert limit in section
    assert f"pieces of one) {FRAME_RATE:.0f} are read in a second, and {FRAME_BURST:,.0f} at once" in section
    assert f"{MOST_UNTAKEN >> 20} MiB for a peer" in section
    for name in (MSGPACK, JSON):
        assert f"### `{name}`" in section


def test_views_are_sent_as_their_bytes() -> None:
    """Whatever the items of a buffer are, its bytes travel."""
    numbers = memoryview(b"\x01\x00\x02\x00").cast("H")
    assert bytes(unpack_message(pack_message(Stream.TASK, [b"h", numbers]))[2][0]) == b"\x01\x00\x02\x00"


@given(st.binary(max_size=200))
def test_any_bytes(data: bytes) -> None:
    """Are a message, or refused as none."""
    try:
        stream, header, frames = unpack_message(data)
    except InvalidRequest:
        return
    assert unpack_message(pack_message(stream, [header, *frames])) == (stream, header, frames)


@pytest.mark.parametrize(
    "data",
    [
        "",
        "00000002",
        "00000004 00000001 00000000 00000000",
        "00000000 00000000",
        "00000000 ffffffff 00000000",
        "00000000 00000001 00000002 00000000 61",
        "00000000 00000001 00000001 00000000 6161",
        "00000000 00000002 00000001 00000001 61 61",
    ],
)
def test_what_is_none(data: str) -> None:
    """No head, no such stream, no frames, too many, or sizes that are not its own."""
    with pytest.raises(InvalidRequest):
        unpack_message(bytes.fromhex(data))

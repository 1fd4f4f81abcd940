"""Messages over WebSocket, as JSON."""

from __future__ import annotations

import json
import math
from typing import Any

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ctrlhub.wire.codec import decode, encode
from ctrlhub.wire.errors import InvalidRequest
from ctrlhub.wire.ids import to_ranges
from ctrlhub.wire.messages import Accepted, Call, Completed, Message, Stream
from ctrlhub.wire.web_json import MOST_PARTS, from_json, to_json

SCALARS = st.one_of(
    st.none(), st.booleans(), st.integers(-(2**63), 2**63 - 1), st.floats(allow_nan=False),
    st.text(max_size=10), st.binary(max_size=10), st.sampled_from(["$bytes", "$$", "$int"]),
)  # fmt: skip
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4)
    | st.dictionaries(st.text(max_size=6) | st.sampled_from(["$bytes", "$", "$$int"]), inner, max_size=4),
    max_leaves=12,
)


def said(message: Message) -> dict[str, Any]:
    """What a peer hears of a message of the hub's."""
    heard: dict[str, Any] = json.loads(to_json(Stream.HUB, encode(message)))
    return heard


@given(VALUES)
def test_any_value(value: Any) -> None:
    """What msgpack carries, JSON carries to the peer and back."""
    header = msgpack.packb([1, "call", {"arguments": value}])
    stream, again, frames = from_json(to_json(Stream.TASK, [header, b"\x00\xff"]))
    assert (stream, frames) == (Stream.TASK, [b"\x00\xff"])
    assert msgpack.unpackb(again) == [1, "call", {"arguments": value}]


def test_a_call() -> None:
    """As a few lines of JavaScript would write it."""
    text = (
        '{"stream": "hub", "message": {"kind": "call", "id": 1, "interface": "query",'
        ' "method": "status", "arguments": {}}}'
    )
    stream, header, frames = from_json(text)
    assert (stream, decode(header), frames) == (Stream.HUB, Call(1, "query", "status", {}), [])


def test_what_json_lacks() -> None:
    """Bytes and large integers are maps with one key, infinities as well."""
    requests = to_ranges([600_000 << 40 | 1])
    assert said(Accepted(requests))["message"] == {
        "kind": "accepted", "requests": [[{"$int": "659706976665600001"}] * 2],
    }  # fmt: skip
    assert to_json(Stream.HUB, [msgpack.packb([1, "x", {"a": math.inf, "b": b"hi", "$c": 1}])]) == (
        '{"stream":"hub","message":{"kind":"x","a":{"$float":"inf"},"b":{"$bytes":"aGk="},"$$c":1}}'
    )


def test_frames_are_base64() -> None:
    """In order, behind the message."""
    row = (1, 0, (0, 2), 0, 0.0, 0.0, None)
    heard = said(Completed((row,), 0, frames=(b"one", memoryview(b"two"))))
    assert heard["frames"] == ["b25l", "dHdv"]


@given(st.text(max_size=60) | st.binary(max_size=60))
def test_any_text(text: str | bytes) -> None:
    """Is a message, or refused as none."""
    with pytest.raises(InvalidRequest):
        from_json(text)


@pytest.mark.parametrize(
    "text",
    [
        "[1]",
        '{"stream": "hub"}',
        '{"stream": ["hub"], "message": {"kind": "beat"}}',
        '{"stream": "nub", "message": {"kind": "beat"}}',
        '{"stream": "hub", "message": {"kind": 1}}',
        '{"stream": "hub", "message": {"kind": "beat"}, "more": 1}',
        '{"stream": "hub", "message": {"kind": "beat"}, "frames": 1}',
        '{"stream": "hub", "message": {"kind": "beat"}, "frames": ["*"]}',
        '{"stream": "hub", "message": {"kind": "beat", "$x": 1, "y": 2}}',
        '{"stream": "hub", "message": {"kind": "beat", "x": {"$bytes": 1}}}',
        '{"stream": "hub", "message": {"kind": "beat", "x": {"$int": "1_0e5"}}}',
        '{"stream": "hub", "message": {"kind": "beat", "x": {"$int": "99999999999999999999"}}}',
        '{"stream": "hub", "message": {"kind": "beat", "x": {"$float": "1"}}}',
        '{"stream": "hub", "message": {"kind": "beat", "x": NaN}}',
        '{"stream": "hub", "message": {"kind": "beat", "x": ' + "9" * 5000 + "}}",
        '{"stream": "hub", "message": {"kind": "beat", "x": ' + "[" * 100_000 + "]" * 100_000 + "}}",
        '{"stream": "hub", "message": {"kind": "beat", "x": ' + "[" * 200 + "]" * 200 + "}}",
    ],
)
def test_what_is_none(text: str) -> None:
    """Not a map of ours, no stream, no kind, or values that have no meaning; however deep or long."""
    with pytest.raises(InvalidRequest):
        from_json(text)


def test_what_has_too_many_parts() -> None:
    """It is refused before it is unfolded; what a text has in it is no part."""
    value = '{"stream": "task", "message": {"kind": "call", "x": %s}}'
    with pytest.raises(InvalidRequest, match=f"more than {MOST_PARTS} parts"):
        from_json(value % ("[" + "[]," * MOST_PARTS + "[]]"))
    stream, _, _ = from_json(value % json.dumps("[]," * MOST_PARTS))
    assert stream is Stream.TASK

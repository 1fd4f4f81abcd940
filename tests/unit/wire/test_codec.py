"""Messages to frames and back, and what bad bytes get."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, fields, replace
from typing import Any

import msgpack
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ctrlhub.wire.codec import FrameList, decode, encode, resolve, size_of, size_of_extras
from ctrlhub.wire.errors import CtrlHubError, InvalidRequest, ProtocolMismatch
from ctrlhub.wire.limits import (
    BATCH_BYTES,
    INLINE_BYTES,
    MAX_CONTAINERS,
    MAX_DEPTH,
    MAX_FRAMES,
    MAX_HEADER_BYTES,
    MAX_ITEMS,
    MAX_TEXT,
    OUTPUT_DISPLAY_BYTES,
    PROTOCOL_MAJOR,
)
from ctrlhub.wire.messages import (
    KINDS,
    Accepted,
    Answer,
    Beat,
    Call,
    Command,
    Completed,
    Hello,
    Message,
    Output,
    Received,
    Register,
    Results,
    RunTasks,
    Status,
    SubmitTasks,
)

FRAMES = 3
"""So many frames stand behind the headers made here, where the kind has any."""

# ---------------------------------------------------------------- every message there can be

integers = st.integers(-1, (1 << 63) - 1)
requests = st.integers(0, (1 << 63) - 1)
statuses = st.sampled_from([int(status) for status in Status])
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
floats = st.floats(allow_nan=False)
blobs = st.binary(max_size=20)
references = st.integers(0, FRAMES - 1).flatmap(
    lambda first: st.tuples(st.just(first), st.integers(1, FRAMES - first))
)
anything = st.recursive(
    st.none() | st.booleans() | st.integers(-(1 << 63), (1 << 64) - 1) | floats | texts | blobs,
    lambda inner: (
        st.lists(inner, max_size=3).map(tuple) | st.dictionaries(texts, inner, max_size=3)
    ),
    max_leaves=8,
)
maps = st.dictionaries(texts, anything, max_size=4)
payloads = blobs | references
pairs = st.tuples(st.integers(0, (1 << 63) - 1), st.integers(0, (1 << 63) - 1)).map(
    lambda pair: (min(pair), max(pair))
)


def _several(item: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.lists(item, max_size=4).map(tuple)


extras = st.none() | maps
output_items = _several(
    st.tuples(st.sampled_from(["stdout", "stderr"]), requests, texts)
    | st.tuples(st.sampled_from(["display", "data"]), requests, maps)
)
OF_TYPE: Mapping[str, st.SearchStrategy[Any]] = {
    "int": integers,
    "str": texts,
    "bytes": blobs,
    "bool": st.booleans(),
    "float": floats,
    "Any": anything,
    "Ranges": _several(pairs),
    "PayloadRef": payloads,
    "Mapping[str, str]": st.dictionaries(texts, texts, max_size=4),
    "Mapping[str, Any]": maps,
    "Sequence[str]": _several(texts),
    "Sequence[int]": _several(integers),
    "Sequence[bytes]": _several(blobs),
    "Sequence[PayloadRef]": _several(payloads),
    "Sequence[Mapping[str, Any]]": _several(maps),
    "Sequence[FunctionRow]": _several(st.tuples(blobs, payloads)),
    "Sequence[TemplateRow]": _several(
        st.tuples(blobs, integers, integers, texts)
        | st.tuples(blobs, integers, integers, texts, maps)
    ),
    "Sequence[ValueRow]": _several(st.tuples(requests, payloads)),
    "Sequence[ResourceRow]": _several(st.tuples(texts, floats)),
    "Sequence[UsageRow]": _several(st.tuples(texts, floats, st.integers(-1, 2**62))),
    "Sequence[SubmitRow]": _several(st.tuples(requests, integers, payloads)),
    "Sequence[RunRow]": _several(st.tuples(requests, integers, integers, payloads)),
    "Sequence[ResultRow]": _several(
        st.tuples(requests, integers, statuses, payloads, floats, floats, extras)
    ),
    "Sequence[CompletedRow]": _several(
        st.tuples(requests, statuses, payloads, integers, floats, floats, extras)
    ),
    "Sequence[OutputItem]": output_items,
    "Sequence[WatchedRow]": _several(st.tuples(requests, integers, integers, output_items)),
    "Sequence[Buffer]": st.tuples(*[blobs] * FRAMES),
}
"""What a field of each annotation may hold."""


def _messages(cls: type[Message]) -> st.SearchStrategy[Message]:
    return st.builds(cls, **{each.name: OF_TYPE[str(each.type)] for each in fields(cls)})


messages = st.sampled_from(sorted(KINDS)).flatmap(lambda kind: _messages(KINDS[kind]))


def _body(message: Message) -> dict[str, Any]:
    body: dict[str, Any] = msgpack.unpackb(encode(message)[0], use_list=False)[2]
    return body


def _header(kind: object, body: object, major: object = PROTOCOL_MAJOR) -> bytes:
    packed: bytes = msgpack.packb([major, kind, body])
    return packed


def _decode_or_refuse(header: Any, frames: list[bytes]) -> Message | None:
    """Return the message, or None where the bytes are refused; anything else fails the test."""
    try:
        return decode(header, frames)
    except CtrlHubError:
        return None


def _survives(found: Message | None) -> None:
    """Assert that what was decoded from odd bytes, if it was, encodes to an equal message."""
    if found is not None:
        header, *frames = encode(found)
        again = decode(header, frames)
        # Compared as they travel: nan is not equal to itself.
        assert type(again) is type(found)
        assert [bytes(frame) for frame in encode(again)] == [bytes(header), *map(bytes, frames)]


# ---------------------------------------------------------------- there and back


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_every_message_comes_back_as_it_was(kind: str) -> None:
    """Encoding and decoding give an equal message, for every kind and any content."""

    @settings(max_examples=40)
    @given(_messages(KINDS[kind]))
    def comes_back(message: Message) -> None:
        header, *frames = encode(message)
        assert decode(header, frames) == message

    comes_back()


@given(messages)
def test_a_header_may_be_any_buffer(message: Message) -> None:
    """A received frame is a view, not bytes: it decodes all the same."""
    header, *frames = encode(message)
    assert decode(memoryview(header), frames) == message


@given(messages)
def test_unknown_fields_are_ignored(message: Message) -> None:
    """A peer of the same major version may add fields."""
    body = _body(message) | {"a field of tomorrow": [1, {"x": None}]}
    assert decode(_header(message.kind, body), encode(message)[1:]) == message


@given(messages, st.lists(anything, min_size=1, max_size=3))
def test_further_items_of_the_envelope_are_ignored(message: Message, more: list[Any]) -> None:
    """A peer of the same major version may add to the envelope, behind its segments."""
    header = msgpack.packb([PROTOCOL_MAJOR, message.kind, _body(message), [], *more])
    assert decode(header, encode(message)[1:]) == message


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_a_field_with_a_default_may_be_missing(kind: str) -> None:
    """A peer of an older minor version does not send what was added since."""

    @settings(max_examples=20)
    @given(_messages(KINDS[kind]))
    def may_be_missing(message: Message) -> None:
        optional = [each for each in fields(message) if each.default is not MISSING]
        body = _body(message)
        for each in optional:
            body.pop(each.name, None)
        expected = replace(
            message, **{each.name: each.default for each in optional if each.name != "frames"}
        )
        assert decode(_header(kind, body), encode(message)[1:]) == expected

    may_be_missing()


def test_large_payloads_travel_in_frames_as_they_are() -> None:
    """A buffer behind the header is not copied into it."""
    frames = FrameList()
    large = bytearray(INLINE_BYTES + 1)
    reference = frames.add((large,))
    encoded = encode(SubmitTasks(templates=[], rows=[(1, 0, reference)], frames=frames.frames))
    assert encoded[1] is large
    assert len(encoded[0]) < 200


# ---------------------------------------------------------------- payloads


def test_sizes() -> None:
    """Bytes of any buffers."""
    assert size_of(b"abc") == 3
    assert size_of((b"abc", memoryview(bytes(8)).cast("Q"))) == 11


def test_a_payload_of_the_limit_stays_inline() -> None:
    """Up to the limit, bytes stand in the row."""
    frames = FrameList()
    assert frames.add(bytes(INLINE_BYTES)) == bytes(INLINE_BYTES)
    assert frames.frames == []


def test_a_payload_above_the_limit_gets_a_frame() -> None:
    """Above the limit, the row refers to a frame."""
    frames = FrameList()
    frames.add((b"first", b"second"))
    assert frames.add(bytes(INLINE_BYTES + 1)) == (2, 1)


def test_a_header_holds_only_so_much() -> None:
    """However many small payloads there are: what has no room any more travels in frames."""
    frames = FrameList()
    payloads = [bytes(50_000)] * 512

    references = [frames.add(payload) for payload in payloads]

    inline = [each for each in references if type(each) is bytes]
    assert BATCH_BYTES - 50_000 < sum(map(len, inline)) <= BATCH_BYTES
    assert b"".join(b"".join(resolve(r, frames.frames)) for r in references[len(inline) :]) == bytes(
        50_000 * (512 - len(inline))
    )


@given(st.lists(st.lists(blobs, min_size=1, max_size=4).map(tuple), max_size=5))
def test_each_reference_resolves_to_its_own_buffers(payloads: list[tuple[bytes, ...]]) -> None:
    """Several payloads share the frames of a message and stay apart."""
    frames = FrameList()
    references = [frames.add(payload) for payload in payloads]
    assert [resolve(reference, frames.frames) for reference in references] == payloads


@given(blobs)
def test_an_inline_payload_resolves_to_itself(payload: bytes) -> None:
    """What stands in the row is the payload."""
    assert resolve(FrameList().add(payload), ()) == payload


@pytest.mark.parametrize(
    "reference",
    [(-1, 1), (0, 0), (0, -1), (0, 3), (1, 2), (2, 1), (1 << 62, 1), (0, 1 << 63), (0,), (0, 1, 0)],
)
def test_a_reference_outside_the_frames_is_refused(reference: tuple[int, ...]) -> None:
    """Nobody behind the codec has to check whether a frame exists."""
    bodies: list[tuple[str, dict[str, Any]]] = [
        ("submit_tasks", {"templates": [], "rows": [[1, 0, reference]]}),
        ("submit_tasks", {"templates": [], "rows": [], "functions": [[b"digest", reference]]}),
        ("command", {"first": 1, "targets": [0], "action": "push", "payloads": [reference]}),
        ("results", {"rows": [[1, 0, 0, reference, 0.0, 0.0, None]]}),
    ]
    for kind, body in bodies:
        with pytest.raises(InvalidRequest, match=f"{kind}: malformed"):
            decode(_header(kind, body), [b"one", b"two"])


# ---------------------------------------------------------------- what is refused


@given(st.binary(max_size=200), st.lists(blobs, max_size=3))
def test_any_bytes_are_a_message_or_refused(header: bytes, frames: list[bytes]) -> None:
    """No bytes whatever raise anything but an error of ours; what is a message encodes again."""
    _survives(_decode_or_refuse(header, frames))


@given(anything)
def test_any_msgpack_is_a_message_or_refused(value: Any) -> None:
    """Nor does any msgpack value."""
    _survives(_decode_or_refuse(msgpack.packb(value), []))


@given(messages, st.data())
def test_a_damaged_header_is_a_message_or_refused(message: Message, data: st.DataObject) -> None:
    """Nor does a header that was cut off, or in which a byte was changed."""
    header, *frames = encode(message)
    position = data.draw(st.integers(0, len(header) - 1))
    changed = bytearray(header)
    changed[position] = data.draw(st.integers(0, 255))
    _decode_or_refuse(bytes(changed), frames)
    assert _decode_or_refuse(header[:position], frames) is None


@given(messages, anything, st.data())
def test_a_wrong_field_is_refused_or_usable(
    message: Message, value: Any, data: st.DataObject
) -> None:
    """Whatever stands in a field, it is refused, or else the message is sound: it encodes again."""
    body = _body(message)
    if not body:
        return
    name = data.draw(st.sampled_from(sorted(body)))
    found = _decode_or_refuse(_header(message.kind, body | {name: value}), encode(message)[1:])
    _survives(found)


@given(messages, st.integers(0, FRAMES))
def test_missing_frames_are_refused_or_not_referred_to(message: Message, kept: int) -> None:
    """A message that lost frames on its way has no reference to them, or is refused."""
    header, *frames = encode(message)
    found = _decode_or_refuse(header, frames[:kept])
    _survives(found)


@given(messages, st.integers(-(1 << 63), (1 << 63) - 1).filter(lambda n: n != PROTOCOL_MAJOR))
def test_another_major_version_is_refused_by_name(message: Message, major: int) -> None:
    """The refusal names both versions and says what to do, whatever else the message is."""
    with pytest.raises(ProtocolMismatch, match=rf"protocol {major}, this side {PROTOCOL_MAJOR}"):
        decode(_header(message.kind, _body(message), major), [])
    with pytest.raises(ProtocolMismatch):
        decode(_header("a kind of tomorrow", None, major), [])


@given(anything.filter(lambda kind: kind not in KINDS if isinstance(kind, str) else True))
def test_an_unknown_kind_is_refused(kind: Any) -> None:
    """A word that is no kind, and what is no word."""
    with pytest.raises(InvalidRequest, match="unknown kind"):
        decode(_header(kind, {}))


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_a_missing_field_is_refused_by_name(kind: str) -> None:
    """The refusal names what is missing."""
    required = [
        each.name
        for each in fields(KINDS[kind])
        if each.default is MISSING and each.name != "frames"
    ]
    if not required:
        assert decode(_header(kind, {})) == KINDS[kind]()
        return
    with pytest.raises(InvalidRequest, match=rf"{kind}: no .*{min(required)}"):
        decode(_header(kind, {}))


@pytest.mark.parametrize(
    "header",
    [
        b"",
        b"\xc1",
        b"\x91" * 511 + b"\x01",
        b"\x91" * 512 + b"\x01",
        b"\x91" * 1024 + b"\x01",
        b"\x91" * 100_000 + b"\x01",
        b"\xdd\xff\xff\xff\xff",
        b"\xdf\xff\xff\xff\xff",
        b"\xdb\xff\xff\xff\xff",
        b"\xc6\xff\xff\xff\xff",
        b"\xc9\xff\xff\xff\xff\x00",
        b"\xdd\x00\x01\x00\x00" * 400,
        b"\xa2\xff\xff",
        b"\x81\x93\x01\x02\x03\x01",
        _header("beat", {}) + b"\x00",
        msgpack.packb({1: 2}),
        msgpack.packb([PROTOCOL_MAJOR, "beat"]),
        msgpack.packb([str(PROTOCOL_MAJOR), "beat", {}]),
        msgpack.packb([True, "beat", {}]),
        msgpack.packb([None, "beat", {}]),
        msgpack.packb([PROTOCOL_MAJOR, "beat", [[]]]),
        msgpack.packb([PROTOCOL_MAJOR, b"beat", {}]),
        msgpack.packb([PROTOCOL_MAJOR, "beat", {1: 2}]),
        msgpack.packb([PROTOCOL_MAJOR, "beat", None]),
    ],
    ids=range(24),
)
def test_a_header_that_is_none_is_refused(header: bytes) -> None:
    """Empty, not msgpack, nested without end, lying about its size, or not an envelope."""
    with pytest.raises(InvalidRequest):
        decode(header)


def test_a_header_above_the_limit_is_not_parsed() -> None:
    """The size is looked at first."""
    header = bytes(MAX_HEADER_BYTES + 1)
    with pytest.raises(InvalidRequest, match=str(MAX_HEADER_BYTES + 1)):
        decode(header)


def test_more_frames_than_the_limit_are_refused() -> None:
    """Also on a message that has no use for them."""
    header = encode(Beat())[0]
    with pytest.raises(InvalidRequest, match=str(MAX_FRAMES + 1)):
        decode(header, [b""] * (MAX_FRAMES + 1))


def test_frames_on_a_message_without_payloads_are_dropped() -> None:
    """They mean nothing there."""
    assert decode(encode(Beat())[0], [b"what is this"]) == Beat()


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("accepted", {"requests": [[2, 1]]}),
        ("accepted", {"requests": [[-1, 1]]}),
        ("accepted", {"requests": [[0, 1 << 63]]}),
        ("accepted", {"requests": [[1]]}),
        ("accepted", {"requests": [[1, 2, 3]]}),
        ("accepted", {"requests": [[1.0, 2.0]]}),
        ("accepted", {"requests": [[True, True]]}),
        ("accepted", {"requests": {"1": 2}}),
        ("hello", {"token": "text"}),
        ("hello", {"token": b"", "held": [1, 2]}),
        ("call", {"id": -2, "interface": "query", "method": "status", "arguments": {}}),
        ("call", {"id": 1 << 63, "interface": "query", "method": "status", "arguments": {}}),
        ("call", {"id": True, "interface": "query", "method": "status", "arguments": {}}),
        ("call", {"id": 1, "interface": "query", "method": "status", "arguments": []}),
        ("call", {"id": 1, "interface": "query", "method": b"status", "arguments": {}}),
        ("submit_tasks", {"templates": [[b"d", 0, 3]], "rows": []}),
        ("submit_tasks", {"templates": [[b"d", 0, 3, "x" * (MAX_TEXT + 1)]], "rows": []}),
        ("submit_tasks", {"templates": [["d", 0, 3, ""]], "rows": []}),
        ("submit_tasks", {"templates": [], "rows": [[1, 0, "text"]]}),
        ("submit_tasks", {"templates": [], "rows": [[1, 0, b"", 0]]}),
        ("submit_tasks", {"templates": [], "rows": [[1, b""]]}),
        ("submit_tasks", {"templates": [], "rows": [None]}),
        ("run_tasks", {"templates": [], "rows": [[1, 0, 0, None]]}),
        ("results", {"rows": [[1, 0, 0, b"", 0.0, 0.0]]}),
        ("results", {"rows": [[1, 0, 0, b"", "now", 0.0, None]]}),
        ("results", {"rows": [[1, 0, 0, b"", 0.0, 0.0, []]]}),
        ("results", {"rows": [[1, 0, 0, b"", 0.0, 0.0, {b"stdout": ""}]]}),
        ("results", {"rows": [[1, 0.0, 0, b"", 0.0, 0.0, None]]}),
        ("results", {"rows": [[-1, 0, 0, b"", 0.0, 0.0, None]]}),
        ("results", {"rows": [[1, 0, 5, b"", 0.0, 0.0, None]]}),
        ("completed", {"rows": [[1, 0, b"", None, 0.0, 0.0, None]]}),
        ("completed", {"rows": [[1, -1, b"", 0, 0.0, 0.0, None]]}),
        ("command", {"first": 1, "targets": [0.5], "action": "push", "payloads": [b""]}),
        ("command", {"first": 1, "targets": [0], "action": "push", "payloads": b""}),
        ("need_functions", {"digests": ["text"]}),
    ],
)
def test_a_field_of_the_wrong_form_is_refused_by_name(kind: str, body: dict[str, Any]) -> None:
    """Types, widths and bounds are checked here, once, and the refusal names the field."""
    with pytest.raises(InvalidRequest, match=rf"{kind}: malformed ({'|'.join(body)})"):
        decode(_header(kind, body))


def test_a_version_longer_than_the_limit_is_refused() -> None:
    """What a peer says of itself ends up in tables and logs."""
    message = Register("admin", "key", b"", 1, "host", {"python": "3" * (MAX_TEXT + 1)})
    with pytest.raises(InvalidRequest, match="malformed versions"):
        decode(encode(message)[0])


@given(texts)
def test_a_refusal_is_short_whatever_was_sent(kind: str) -> None:
    """A sender cannot fill logs through the error's text."""
    with pytest.raises(InvalidRequest) as refused:
        decode(_header((kind + "x") * 10_000, {}))
    assert len(str(refused.value)) < 600


def test_rows_are_plain_tuples() -> None:
    """Rows of hot messages cost no object of their own."""
    message = decode(encode(Results(rows=[(1, 0, 0, b"", 1.5, 0.5, None)]))[0])
    assert isinstance(message, Results)
    assert message.rows == ((1, 0, 0, b"", 1.5, 0.5, None),)


def test_messages_of_the_same_content_are_equal_whatever_holds_it() -> None:
    """A message made with lists decodes to one with tuples."""
    decoded = decode(encode(Accepted(((1, 2),)))[0])
    assert decoded == Accepted(((1, 2),))


def test_not_a_number_is_a_float() -> None:
    """A duration that is no number is the business of whoever uses it, and breaks nothing here."""
    row = (1, 0, b"", 0, float("nan"), float("inf"), None)
    message = decode(encode(Completed(rows=(row,)))[0])
    assert isinstance(message, Completed)
    assert message.rows[0][5] == float("inf")


def test_every_annotation_has_a_strategy_here() -> None:
    """A field of a new type is tested too, or this fails."""
    annotations = {str(each.type) for cls in KINDS.values() for each in fields(cls)}
    assert annotations <= OF_TYPE.keys()


def test_empty_messages_of_all_kinds_are_told_apart() -> None:
    """The kind on the wire is the class's own word."""
    samples = (Answer(1), Hello(b""), Command(1, (0,), "clear", (b"",)), RunTasks((), ()))
    for sample in samples:
        header, *frames = encode(sample)
        assert msgpack.unpackb(header)[1] == sample.kind
        assert type(decode(header, frames)) is type(sample)


def test_what_lies_too_deep_in_each_other_is_refused_by_name() -> None:
    """Wherever any value may stand: who walks through it later must not fail."""
    deep: Any = ()
    for _ in range(MAX_DEPTH - 2):
        deep = (deep,)
    for value, is_good in (({"x": deep}, True), ({"x": (deep,)}, False)):
        for message in (
            Results(((1, 0, 0, b"", 0.0, 0.0, value),)),
            Completed(((1, 0, b"", 0, 0.0, 0.0, value),)),
            Output(1, 1, (("display", 0, value),)),
            Answer(1, value),
            Call(1, "query", "status", value),
        ):
            [header] = encode(message)
            if is_good:
                assert decode(header) == message
            else:
                with pytest.raises(InvalidRequest, match=message.kind):
                    decode(header)


def _holding(value: Any) -> list[Message]:
    """Return messages with a value where any may stand."""
    return [
        Results(((1, 0, 0, b"", 0.0, 0.0, {"x": value}),)),
        Answer(1, value),
        Call(1, "query", "status", {"x": value}),
    ]


@pytest.mark.parametrize("one", [(), {}])
def test_too_many_maps_and_lists_are_refused_by_name(one: Any) -> None:
    """Whoever walks through them would be busy for as long; empty ones count."""
    for message in _holding((one,) * MAX_CONTAINERS):
        [header] = encode(message)
        with pytest.raises(InvalidRequest, match=message.kind):
            decode(header)


def test_many_numbers_and_some_lists_are_taken() -> None:
    """As a figure that is displayed may have."""
    for value in ((0.5,) * 500_000, ((1, 2),) * (MAX_CONTAINERS - 3)):
        for message in _holding(value):
            [header] = encode(message)
            assert decode(header) == message


@pytest.mark.parametrize(
    ("one", "most"), [((0, 0), MAX_ITEMS // 3), ((), MAX_ITEMS)]
)
def test_a_header_has_so_many_items(one: Any, most: int) -> None:
    """It is not taken apart any further: what is in it is not told, and may be of any kind."""
    header = msgpack.packb([PROTOCOL_MAJOR, "received", {"requests": [one] * (most + 1)}])
    with pytest.raises(InvalidRequest, match=f"{MAX_ITEMS} items|not msgpack"):
        decode(header)
    header = msgpack.packb([PROTOCOL_MAJOR, "received", {"requests": [(0, 0)] * (MAX_ITEMS // 3 - 9)}])
    assert len(header) > MAX_ITEMS - 30
    assert type(decode(header)) is Received


def test_what_may_be_displayed_has_no_more_maps_and_lists_than_a_field() -> None:
    """They count, the empty ones too, in what an engine keeps."""
    assert size_of_extras([[]] * MAX_CONTAINERS) > OUTPUT_DISPLAY_BYTES
    assert size_of_extras({"x": {}}) > size_of_extras({"x": 1})

"""Failures: errors in transport."""

from __future__ import annotations

from dataclasses import replace

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ctrlhub.wire.errors import EngineError, NoEnginesRegistered
from ctrlhub.wire.failure import (
    MAX_EVALUE_BYTES,
    MAX_FAILURE_BYTES,
    MAX_PICKLED_BYTES,
    MAX_TRACEBACK_BYTES,
    Failure,
    failure_of,
    pack_failure,
    summary_of,
    unpack_failure,
)
from ctrlhub.wire.messages import Status

FULL = Failure("remote", "ValueError", "text", "trace", 3, "apply", b"pickle")


@pytest.mark.parametrize(
    "failure",
    [
        FULL,
        Failure("engine_error", "EngineError", "died"),
        replace(FULL, evalue="", engine_id=0, pickled=b""),
        replace(FULL, evalue="é 日本 \N{SNAKE}"),
    ],
)
def test_round_trip(failure: Failure) -> None:
    """What is packed is unpacked."""
    assert unpack_failure(pack_failure(failure)) == failure


def test_reads_any_buffer() -> None:
    """Frames arrive as memoryviews, some of them writable."""
    packed = pack_failure(FULL)
    assert unpack_failure(memoryview(packed)) == FULL
    assert unpack_failure(bytearray(packed)) == FULL


def test_from_error() -> None:
    """An error of the hub's own says its code, text and engine."""
    failure = Failure.from_error(EngineError("killed", 3), method="apply")
    assert failure == Failure("engine_error", "EngineError", "killed", "", 3, "apply")
    assert Failure.from_error(NoEnginesRegistered("none"), engine_id=4).engine_id == 4


@pytest.mark.parametrize(
    ("field", "limit"), [("evalue", MAX_EVALUE_BYTES), ("traceback", MAX_TRACEBACK_BYTES)]
)
@pytest.mark.parametrize("letter", ["x", "é", "\N{SNAKE}"])
def test_long_text_loses_its_middle(field: str, limit: int, letter: str) -> None:
    """Text is bounded in bytes; its beginning and its end are kept, and the cut is marked."""
    text = f"begin{letter * limit}end"
    cut = getattr(unpack_failure(pack_failure(replace(FULL, **{field: text}))), field)
    assert len(cut.encode()) <= limit
    assert cut.startswith("begin" + letter)
    assert cut.endswith(letter + "end")
    assert "bytes left out" in cut


def test_text_at_its_limit_is_whole() -> None:
    """The limit itself is not over the limit."""
    failure = replace(FULL, evalue="x" * MAX_EVALUE_BYTES)
    assert unpack_failure(pack_failure(failure)) == failure


def test_large_pickle_is_left_out() -> None:
    """An exception with much data arrives as text; one at the limit arrives whole."""
    fits = replace(FULL, pickled=b"x" * MAX_PICKLED_BYTES)
    assert unpack_failure(pack_failure(fits)) == fits
    larger = replace(FULL, pickled=b"x" * (MAX_PICKLED_BYTES + 1))
    assert unpack_failure(pack_failure(larger)) == replace(FULL, pickled=None)


def test_lone_surrogates_are_survived() -> None:
    """Text that is no valid Unicode, as file names can be, is escaped."""
    assert unpack_failure(pack_failure(replace(FULL, evalue="a\udcffb"))).evalue == "a\\udcffb"


def test_everything_at_its_limit_can_be_read() -> None:
    """The bound on reading is above what packing can produce."""
    packed = pack_failure(
        Failure(*["x" * MAX_FAILURE_BYTES] * 4, 2**63, "x" * MAX_FAILURE_BYTES, b"x" * 2**20)
    )
    assert unpack_failure(packed).code.startswith("xxx")


def test_unknown_fields_are_ignored_and_defaults_filled_in() -> None:
    """A newer peer may add fields; an older one may lack those with a default."""
    fields = {"code": "remote", "ename": "E", "evalue": "v", "colour": "red", "more": [1]}
    assert unpack_failure(msgpack.packb(fields)) == Failure("remote", "E", "v")


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xc1",
        b"\x81",
        msgpack.packb([1, 2]),
        msgpack.packb({}),
        msgpack.packb({"code": "remote", "ename": "E"}),
        msgpack.packb({"code": 1, "ename": "E", "evalue": "v"}),
        msgpack.packb({"code": "remote", "ename": "E", "evalue": "v", "engine_id": True}),
        msgpack.packb({"code": "remote", "ename": "E", "evalue": "v", "pickled": "text"}),
        msgpack.packb({1: 2}),
        pack_failure(FULL) + b"more",
        b"\x91" * 5000,
        b"\xd6\xff" + b"\xff" * 4,
        b"x" * (MAX_FAILURE_BYTES + 1),
    ],
)
def test_malformed_is_a_failure(data: bytes) -> None:
    """What cannot be read says so as a failure, and raises nothing."""
    failure = unpack_failure(data)
    assert failure.code == "invalid_reply"
    assert "could not be read" in failure.evalue


@given(st.binary(max_size=200))
def test_any_bytes_are_survived(data: bytes) -> None:
    """Reading never raises."""
    assert isinstance(unpack_failure(data), Failure)


@given(
    st.builds(
        Failure,
        st.text(),
        st.text(),
        st.text(),
        st.text(),
        st.none() | st.integers(0, 2**40),
        st.none() | st.text(),
        st.none() | st.binary(),
    )
)
def test_any_short_failure_round_trips(failure: Failure) -> None:
    """Every valid failure within the limits comes through unchanged."""
    assert unpack_failure(pack_failure(failure)) == failure


def test_a_payload_of_any_kind_is_survived() -> None:
    """In one piece, in several, and where it is not in memory."""
    packed = pack_failure(Failure("remote", "ValueError", "no"))
    pieces = (memoryview(packed[:5]), packed[5:])
    assert failure_of(packed) == failure_of(pieces) == Failure("remote", "ValueError", "no")
    assert summary_of(Status.ERROR, pieces) == "ValueError: no"
    for strange in ((object(),), None, (bytes(MAX_FAILURE_BYTES), b"more")):
        assert failure_of(strange).code == "invalid_reply"
        assert "could not be read" in summary_of(Status.ERROR, strange)

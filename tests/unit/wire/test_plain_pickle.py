from __future__ import annotations

import pickle
import struct
import tracemalloc
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ctrlhub.wire import plain_pickle
from ctrlhub.wire.encoded import open_plainly
from ctrlhub.wire.errors import SerializationError
from ctrlhub.wire.plain_pickle import OfAClass, TooLarge, read_plain

ATOMS = (
    st.none() | st.booleans() | st.integers() | st.text() | st.binary() | st.floats(allow_nan=False)
    | st.integers(-(2**40), 2**40).map(lambda n: bytearray(str(n).encode()))
)  # fmt: skip
KEYS = st.text() | st.binary() | st.integers(-(2**63), 2**64 - 1) | st.booleans()
PLAIN = st.recursive(
    ATOMS | st.sets(KEYS, max_size=4) | st.frozensets(KEYS | st.tuples(KEYS, KEYS), max_size=4),
    lambda each: st.lists(each, max_size=4) | st.dictionaries(KEYS, each, max_size=4) | st.tuples(each, each),
    max_leaves=8,
)
MEBIBYTE = 1 << 20

BYTEARRAY = b"\x8c\x08builtins\x8c\x09bytearray\x93"
TEXT = b"\x8c\x01a"


@given(PLAIN, st.sampled_from([4, 5]))
def test_plain_data_are_read_as_pickle_reads_them(value: Any, protocol: int) -> None:
    """Of whatever kinds, and of both protocols that Python takes by itself; the kinds are the same."""
    read = open_plainly(pickle.dumps(value, protocol))
    assert read == value
    assert type(read) is type(value)


def test_what_stands_in_it_twice_is_read_once() -> None:
    """Also a list that holds itself."""
    value: list[Any] = [["x"] * 3, 2**70, -1.5]
    value += [value[0], value]
    read = read_plain(pickle.dumps(value, 5))
    assert read[0] is read[3]
    assert read[4] is read


def test_long_lists_and_dicts_come_whole() -> None:
    """Python writes them in batches."""
    value = {"numbers": list(range(300_000)), **{str(n): n for n in range(5000)}}
    assert read_plain(pickle.dumps(value, 5)) == value


HUNGRY = {
    "a bytearray of a number": BYTEARRAY + b"J\x00\xca\x9a\x3b\x85R.",
    "a bytearray of numbers": BYTEARRAY + b"(J\x00\xca\x9a\x3be\x85R.",
    "a place in the memo": b"Nr\xff\xff\xff\x7f.",
    "bytes that are not there": b"\x8e" + struct.pack("<Q", 1 << 33) + b".",
    "a bytearray that is not there": b"\x96" + struct.pack("<Q", 1 << 33) + b".",
    "bytes beyond all numbers": b"\x8e" + b"\xff" * 8 + b".",
    "a text that is not there": b"\x8d" + struct.pack("<Q", 1 << 33) + b".",
    "a number that is not there": b"\x8b\xff\xff\xff\x7f.",
    "a frame that is not there": b"\x95" + struct.pack("<Q", 1 << 40) + b"N.",
    "a text too long": b"X" + struct.pack("<I", plain_pickle.MOST_TEXT + 1) + b"x" * 20 + b".",
}


@pytest.mark.parametrize("body", HUNGRY.values(), ids=HUNGRY.keys())
def test_a_few_bytes_take_no_room(body: bytes) -> None:
    """What a pickle says of sizes is not believed: with each of these, `pickle` takes gigabytes, or tries to."""
    tracemalloc.start()
    try:
        with suppress(SerializationError):
            assert open_plainly(b"\x80\x05" + body) is None  # if it is one: None, in a place far away
        assert tracemalloc.get_traced_memory()[1] < MEBIBYTE
    finally:
        tracemalloc.stop()


def test_only_bytes_become_a_bytearray() -> None:
    """A number, a list, or nothing that is bytes is refused, and the error says so."""
    for what in (b"K\x05", b"]", TEXT, b"N"):
        with pytest.raises(SerializationError, match="made of bytes"):
            open_plainly(b"\x80\x05" + BYTEARRAY + what + b"\x85R.")


@pytest.fixture
def few_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the reader take a thousand steps at most."""
    monkeypatch.setattr(plain_pickle, "MOST_STEPS", 1000)


@pytest.mark.parametrize(
    "body",
    [
        b"(" + b"N" * 1001 + b"t.",
        b"(" + b"\x8f" * 300 + b"t.",
        # A copy is made of the same bytes again and again,
        b"(" + BYTEARRAY + b"\x94B" + struct.pack("<I", 9000) + b"x" * 9000 + b"\x85\x94" + b"h\x00h\x01R" * 90 + b"t.",
        # and two long texts are compared.
        b"\x8f(" + (b"X" + struct.pack("<I", 9000) + b"x" * 9000 + b"\x94") * 2 + b"h\x01" * 90 + b"\x90.",
    ],
    ids=["parts", "sets", "copies", "comparisons"],
)
@pytest.mark.usefixtures("few_steps")
def test_what_is_made_is_bounded_by_steps(body: bytes) -> None:
    """Parts are counted, and so is what is copied or compared."""
    with pytest.raises(TooLarge, match="run the function by name"):
        open_plainly(b"\x80\x05" + body)


def test_keys_are_such_as_take_no_time() -> None:
    """Numbers that all have one hash, tuples that double at each step or lead deep down are no keys."""
    same = [n * (2**61 - 1) for n in range(100)]
    with pytest.raises(TooLarge, match="64 bits"):
        read_plain(pickle.dumps(dict.fromkeys(same), 5))
    makes_deep = b")" + b"\x85" * 200_000
    makes_wide = TEXT + b"\x85" + b"\x94h\x00\x86" + b"".join(b"\x94h%c\x86" % n for n in range(1, 60))
    assert len(read_plain(b"\x80\x05" + makes_wide + b".")) == 2
    for making in (makes_deep, makes_wide):
        with pytest.raises(SerializationError, match="as a key"):
            read_plain(b"\x80\x05\x8f(" + making + b"\x90.")
        with pytest.raises(SerializationError, match="as a key"):
            read_plain(b"\x80\x05}" + making + b"Ns.")


def test_deep_nesting_is_read_and_let_go() -> None:
    """Nobody goes into it, so its depth is no matter."""
    read = read_plain(b"\x80\x05" + b"]" * 200_000 + b"a" * 199_999 + b".")
    depth = 0
    while read:
        [read] = read
        depth += 1
    assert depth == 199_999


@pytest.mark.parametrize(
    "body",
    [
        b"", b".", b"NN.", b"(N.", b"N", b"h\x07.", b"\x97.", b"K\x01K\x02s.", b"Na.", b"}(K\x01u.", b"\x85.",
        b"Nt.", b"K\x01)R.", b"N\x85R.", b"\x80\x09N.", b"I1\n.", b"S'x'\n.", b"(lp0\n.", b"b", b"\x82\x01.",
        b"csys", b"\x8c\xff.", b"K\x01\x98.", b"K\x01K\x02\x93.", b"N0.", b"N2.",
    ],
)  # fmt: skip
def test_words_without_sense_are_refused(body: bytes) -> None:
    """And words that plain data are not written with."""
    with pytest.raises(SerializationError):
        read_plain(b"\x80\x05" + body)


@pytest.mark.parametrize("body", [b"cos\nsystem\n.", b"\x8c\x02os\x8c\x06system\x93.", b"Po\n.", b"NQ."])
def test_what_names_anything_is_of_a_class(body: bytes) -> None:
    """Functions, classes, and things outside."""
    with pytest.raises(OfAClass):
        open_plainly(b"\x80\x05" + body)


@given(st.lists(st.sampled_from([bytes((n,)) for n in plain_pickle._WORDS] + [b"\x01", b"\x00", TEXT, BYTEARRAY])))
def test_any_words_are_read_or_refused(words: list[bytes]) -> None:
    """In any order, and with whatever behind them."""
    with suppress(SerializationError):
        open_plainly(b"\x80\x05" + b"".join(words) + b".")

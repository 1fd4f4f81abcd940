from __future__ import annotations

import os
import pickle
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ctrlhub.wire.encoded import JSON, MOST_PICKLE, OCTETS, Encoded, open_plainly
from ctrlhub.wire.errors import SerializationError
from ctrlhub.wire.plain_pickle import OfAClass, TooLarge
from ctrlhub.wire.serialize import dumps
from ctrlhub.wire.unread import Unread

PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text() | st.binary() | st.floats(allow_nan=False),
    lambda each: st.lists(each) | st.dictionaries(st.text(), each) | st.tuples(each, each),
    max_leaves=20,
)


@given(PLAIN)
def test_plain_data_are_opened(value: Any) -> None:
    """What needs no class comes as it was."""
    assert open_plainly(dumps(value)) == value


@pytest.mark.parametrize("size", [0, 10, 1_000_000])
def test_an_encoded_value_arrives_and_a_large_one_beside_its_pickle(size: int) -> None:
    """Its bytes are the same, of whatever size."""
    data = os.urandom(size)
    payload = dumps(Encoded(OCTETS, data))
    assert isinstance(payload, tuple) == (size >= 1_000_000)
    opened = open_plainly(payload)
    assert (opened.media_type, bytes(opened.data)) == (OCTETS, data)


class Evil:
    def __reduce__(self) -> Any:
        return os.system, ("echo called > /tmp/never",)


@pytest.mark.parametrize("value", [Evil(), os.system, [Evil()], Encoded(JSON, b""), complex(1)])
def test_nothing_is_imported_or_called(value: Any) -> None:
    """A value that names any class but one is not opened, and the error names it."""
    data = pickle.dumps(value, 4 if isinstance(value, complex) else 5)
    if isinstance(value, Encoded):
        assert open_plainly(data).media_type == JSON
        return
    with pytest.raises(OfAClass, match=r"system|complex"):
        open_plainly(data)


@given(st.binary(max_size=200))
def test_any_bytes_are_opened_or_refused(data: bytes) -> None:
    """Spoilt bytes are an error of serialization, and nothing else."""
    with suppress(SerializationError):
        open_plainly(data)


class Elsewhere(Unread):
    """Bytes of which it is known how many were read."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self.nbytes = len(data)
        self.taken = 0

    def read(self, start: int, nbytes: int) -> bytes:
        """Return some, and count them."""
        self.taken += nbytes
        return self._data[start : start + nbytes]


def test_what_is_elsewhere_stays_there() -> None:
    """A value is given as what can be read of it, a part at a time."""
    pickled, data = dumps(Encoded(JSON, b"12345" * 100_000))
    away = Elsewhere(bytes(data))
    opened = open_plainly((pickled, away))
    assert (opened.media_type, opened.nbytes, away.taken) == (JSON, 500_000, 0)
    assert opened.part(499_998, 100) == b"45"
    assert away.taken == 2


@pytest.mark.parametrize("protocol", [3, 4, 5])
def test_bytes_alone_are_not_read_to_be_opened(protocol: int) -> None:
    """Their pickle is their length and they."""
    data = os.urandom(300_000)
    away = Elsewhere(pickle.dumps(data, protocol))
    opened = open_plainly((away,))
    assert away.taken < 100
    assert (opened.media_type, opened.part(0, 400_000)) == (OCTETS, data)


@pytest.mark.parametrize("value", ["text" * 100_000, [bytes(300_000)], {"a": list(range(90_000))}])
def test_other_pickles_that_are_elsewhere_are_read(value: Any) -> None:
    """As those that are at hand; a gigantic one is not."""
    away = Elsewhere(pickle.dumps(value))
    assert open_plainly((away,)) == value
    away.nbytes = MOST_PICKLE + 1
    with pytest.raises(TooLarge):
        open_plainly((away,))

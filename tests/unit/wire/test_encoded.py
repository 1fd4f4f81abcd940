from __future__ import annotations

import os
import pickle
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ctrlhub.wire.encoded import JSON, OCTETS, Encoded, open_plainly
from ctrlhub.wire.errors import SerializationError
from ctrlhub.wire.plain_pickle import OfAClass
from ctrlhub.wire.serialize import dumps

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

"""Objects for messages of one's own."""

from __future__ import annotations

import threading

import pytest

from ctrlhub import SerializationError, serialize
from ctrlhub.serialize import PrePickled, deserialize_object, serialize_object


def test_an_object_comes_back() -> None:
    """From a pickle, and from buffers that were left out of it; functions by value."""
    np = pytest.importorskip("numpy")
    assert serialize.serialize_object is serialize_object
    for obj in (7, {"a": [1]}):
        assert deserialize_object(serialize_object(obj)) == (obj, [])
    array = np.arange(100_000)
    buffers = [bytes(buffer) for buffer in serialize_object({"a": array}, buffer_threshold=1024)]
    assert len(buffers) == 2
    assert np.array_equal(deserialize_object(buffers)[0]["a"], array)
    [data] = serialize_object(lambda: 7)
    assert deserialize_object([data], {})[0]() == 7
    assert deserialize_object(serialize_object(PrePickled([1])))[0] == [1]
    with pytest.raises(SerializationError):
        serialize_object(threading.Lock())

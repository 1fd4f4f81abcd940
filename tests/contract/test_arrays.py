"""Arrays and other large things."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from ctrlhub import Client
from tests.contract.conftest import ENGINES

WAIT = 60.0

SIZES = [0, 1, 12_500, 2_500_000]
"""Items of 8 bytes: nothing, inside a message, 100 kB in a frame of its own, 20 MB."""


@pytest.fixture(params=["one engine", "task"])
def call(client: Client, request: pytest.FixtureRequest) -> Callable[..., Any]:
    """A command and a task."""
    view = client[0] if request.param == "one engine" else client.load_balanced_view()
    return view.apply_sync


@pytest.mark.parametrize("size", SIZES)
def test_an_array_arrives_equal_and_writable(call: Callable[..., Any], size: int) -> None:
    """On the engine, and back here; neither shares memory with the one that was sent."""

    def write(array: Any) -> Any:
        array += 1
        return array

    sent = np.arange(size, dtype=float)
    got = call(write, sent)

    np.testing.assert_array_equal(got, np.arange(size) + 1.0)
    assert got.dtype == sent.dtype
    got[...] = -1
    np.testing.assert_array_equal(sent, np.arange(size))


def test_pushed_arrays_are_each_engine_s_own(client: Client) -> None:
    """Writing on one engine changes nothing on another."""
    view = client[:]
    view.push({"a": np.zeros(12_500)}, block=True)
    client[0].execute("a += 1", block=True)

    assert view.pull("float(a.sum())", block=True) == [12_500.0] + [0.0] * (ENGINES - 1)
    view["a"][1][0] = 5  # what was pulled is ours


@pytest.mark.parametrize(
    "array",
    [
        np.zeros((0, 3)),
        np.zeros((3, 0)),
        np.float64(7),
        np.array(7),
        np.arange(30_000).reshape(100, 300)[::2, ::3],
        np.asfortranarray(np.arange(30_000).reshape(100, 300)),
        np.arange(20_000)[::-1],
        np.zeros(10_000, dtype=[("a", "i4"), ("b", "f8")]),
        np.array(["text", None, [1]], dtype=object),
        np.full(10_000, "x" * 10),
        np.array("2020-01-01", dtype="datetime64[D]"),
    ],
    ids=lambda a: f"{a.dtype.str}{a.shape}",
)
def test_arrays_of_every_kind(client: Client, array: Any) -> None:
    """Shape, type and values are kept."""
    got = client[0].apply_sync(lambda a: a, array)

    assert (got.dtype, got.shape) == (array.dtype, array.shape)
    assert np.array_equal(got, array)


def test_other_buffers(call: Callable[..., Any]) -> None:
    """Bytes, writable ones, and several arrays in one structure."""
    blob = bytes(range(256)) * 1000
    arrays = {"a": [np.ones(20_000), np.zeros(3)], "b": (np.arange(50_000),)}

    assert call(lambda b: (type(b), len(b), b[:3]), blob) == (bytes, 256_000, b"\0\1\2")
    assert call(lambda b: b + b"x", bytearray(blob)) == bytearray(blob + b"x")
    got = call(lambda tree: tree, arrays)
    assert got["a"][0].sum() == 20_000
    assert got["b"][0][-1] == 49_999


def test_many_arrays_at_once(client: Client) -> None:
    """Each comes back to its own call."""
    view = client.load_balanced_view()
    results = [view.apply_async(lambda a: a * 2, np.full(20_000, n)) for n in range(40)]

    for n, result in enumerate(results):
        got = result.get(WAIT)
        assert got.shape == (20_000,)
        assert (got == 2 * n).all()


def test_a_long_text(call: Callable[..., Any]) -> None:
    """Longer than any header may be."""
    text = "täxt" * 1_000_000

    assert call(lambda t: t[::-1], text) == text[::-1]

"""Functions by hash: kept while needed, and a little longer."""

from __future__ import annotations

import gc

import pytest

from ctrlhub.controller.core import functions
from ctrlhub.controller.core.functions import Function, FunctionTable, function_rows
from ctrlhub.wire.codec import FrameList
from ctrlhub.wire.limits import INLINE_BYTES


def test_learning_and_getting() -> None:
    """What a client sent is found by digest, inline or in frames; the first copy stays."""
    table = FunctionTable()
    table.learn([(b"a", b"code"), (b"b", (0, 2))], [b"one", b"two"])
    first, second = table.get(b"a"), table.get(b"b")
    assert first is not None
    assert second is not None
    assert (first.blob, second.blob) == (b"code", (b"one", b"two"))
    table.learn([(b"a", b"other")], [])
    assert table.get(b"a") is first
    assert table.get(b"c") is None


def test_recent_functions_stay_and_old_ones_go(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a request that needs it, only a recent function is kept."""
    monkeypatch.setattr(functions, "RECENT_FUNCTIONS", 2)
    table = FunctionTable()
    table.learn([(b"needed", b""), (b"old", b"")], [])
    needed = table.get(b"needed")
    table.learn([(b"x", b""), (b"y", b"")], [])
    gc.collect()
    assert table.get(b"old") is None
    assert table.get(b"needed") is needed


def test_recent_functions_are_bounded_in_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Old ones go; those that came last stay, however large they are."""
    monkeypatch.setattr(functions, "RECENT_BYTES", 100)
    table = FunctionTable()
    table.learn([(b"old", bytes(60))], [])
    table.learn([(b"new", bytes(60))], [])
    gc.collect()
    assert table.get(b"old") is None
    table.learn([(b"a", bytes(90)), (b"b", bytes(90))], [])
    gc.collect()
    assert table.get(b"new") is None
    assert None not in (table.get(b"a"), table.get(b"b"))


def test_an_engine_is_sent_a_function_once() -> None:
    """Unless it is assumed to have forgotten it."""
    table = FunctionTable()
    f = Function(b"f", b"")
    assert table.unknown_to(0, [f]) == [f]
    assert table.unknown_to(0, [f]) == []
    assert table.unknown_to(1, [f]) == [f]
    table.forget_engine(0)
    assert table.unknown_to(0, [f]) == [f]


def test_what_engines_know_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond a number of digests the hub begins anew; engines ignore what they have."""
    monkeypatch.setattr(functions, "KNOWN_PER_ENGINE", 3)
    table = FunctionTable()
    for n in range(100):
        table.unknown_to(0, [Function(b"%d" % n, b"")])
    assert len(table._known[0]) <= 4


def test_an_engine_that_is_gone_is_not_remembered() -> None:
    """Nothing is kept for an id that nobody has."""
    table = FunctionTable()
    table.unknown_to(0, [Function(b"f", b"")])
    table.forget_engine(0)
    table.forget_engine(0)
    assert len(table._known) == 0


def test_duration_is_a_moving_average() -> None:
    """The first report counts whole, later ones half."""
    f = Function(b"f", b"")
    f.took(4.0, 1)
    assert (f.duration, f.runs) == (4.0, 1)
    f.took(2.0, 3)
    assert (f.duration, f.runs) == (3.0, 4)


def test_rows_put_large_functions_into_frames() -> None:
    """As for every payload."""
    frames = FrameList()
    large = bytes(INLINE_BYTES + 1)
    rows = function_rows([Function(b"s", b"small"), Function(b"l", large)], frames)
    assert rows == ((b"s", b"small"), (b"l", (0, 1)))
    assert frames.frames == [large]

"""Functions by hash, at the engine."""

from __future__ import annotations

import sys
import types
from collections.abc import Callable
from typing import Any

import pytest

from ctrlhub.wire.errors import SerializationError
from ctrlhub.wire.function_table import FunctionTable
from ctrlhub.wire.functions import digest_of, encode

Script = Callable[[str], dict[str, Any]]


def test_added_and_called() -> None:
    """What was added is found by its digest."""
    table = FunctionTable()
    digest, blob = encode(lambda x: x + 1)
    assert digest not in table
    table.add(digest, blob)
    assert digest in table
    assert table.get(digest)(1) == 2


def test_frames_are_taken_as_they_come() -> None:
    """A large function arrives as a memoryview of a frame."""
    table = FunctionTable()
    digest, blob = encode(len)
    table.add(digest, memoryview(blob))  # type: ignore[arg-type]
    assert table.get(digest) is len


def test_unknown_digest() -> None:
    """A function that was never sent is a KeyError: the engine asks for it."""
    with pytest.raises(KeyError):
        FunctionTable().get(b"x" * 16)


def test_wrong_digest_is_refused() -> None:
    """Nobody can put a function under another's name."""
    table = FunctionTable()
    digest, _ = encode(len)
    _, blob = encode(max)
    with pytest.raises(SerializationError, match="digest"):
        table.add(digest, blob)
    assert digest not in table


def test_loaded_once(script: Script) -> None:
    """Each function is loaded once, and keeps its state from call to call."""
    table = FunctionTable()
    digest, blob = encode(script("calls = []\ndef f(): calls.append(1); return len(calls)")["f"])
    table.add(digest, blob)
    assert [table.get(digest)() for _ in range(3)] == [1, 2, 3]
    table.add(digest, blob)
    assert table.get(digest)() == 4


def test_globals_are_a_functions_own(script: Script) -> None:
    """Two versions of a function live side by side, each with the globals it came with."""
    table = FunctionTable()
    names = script("k = 1\ndef f(): return k")
    digests = []
    for k in (1, 2):
        names["k"] = k
        digest, blob = encode(names["f"])
        table.add(digest, blob)
        digests.append(digest)
    assert [table.get(digest)() for digest in digests * 2] == [1, 2, 1, 2]


def test_least_recently_used_is_forgotten(script: Script) -> None:
    """At the limit the one that was not used for longest goes; using and adding both count."""
    table = FunctionTable(max_functions=3)
    encoded = [encode(script(f"def f(): return {i}")["f"]) for i in range(5)]
    for digest, blob in encoded[:3]:
        table.add(digest, blob)
    table.get(encoded[0][0])
    table.add(*encoded[1])
    table.add(*encoded[3])
    assert [digest in table for digest, _ in encoded] == [True, True, False, True, False]
    table.add(*encoded[4])
    assert [digest in table for digest, _ in encoded] == [False, True, False, True, True]
    assert len(table) == 3


def test_forgotten_can_come_back() -> None:
    """A forgotten function works when it is sent again."""
    table = FunctionTable(max_functions=1)
    first, second = encode(lambda: 1), encode(lambda: 2)
    table.add(*first)
    table.get(first[0])
    table.add(*second)
    with pytest.raises(KeyError):
        table.get(first[0])
    table.add(*first)
    assert table.get(first[0])() == 1


class TestMissingModule:
    """A function whose module the engine does not have."""

    def test_shows_when_called(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Adding succeeds; getting says what is missing and what to do, and may succeed later."""
        module = types.ModuleType("only_at_the_client")
        exec("def f(): return 1", vars(module))
        module.f.__module__ = "only_at_the_client"
        monkeypatch.setitem(sys.modules, "only_at_the_client", module)
        digest, blob = encode(module.f)
        monkeypatch.delitem(sys.modules, "only_at_the_client")
        table = FunctionTable()
        table.add(digest, blob)
        for _ in range(2):
            with pytest.raises(ModuleNotFoundError, match="install it there") as error:
                table.get(digest)
            assert error.value.name == "only_at_the_client"
            assert "on the engine" in str(error.value)
        monkeypatch.setitem(sys.modules, "only_at_the_client", module)
        assert table.get(digest)() == 1

    def test_damaged_function(self) -> None:
        """A blob that is no pickle is an error of serialization, with its own digest."""
        table = FunctionTable()
        table.add(digest_of(b"junk"), b"junk")
        with pytest.raises(SerializationError, match="on the engine"):
            table.get(digest_of(b"junk"))

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from enum import Enum
from pathlib import PurePosixPath
from types import ModuleType
from typing import Any

import numpy
import pytest

from ctrlhub.engine.by_name import NoSuchFunction, NotJSON, call_by_name, encoded, found
from ctrlhub.engine.pieces import (
    PIECES,
    begin_reading,
    end_reading,
    end_writing,
    piece_of,
    take_piece,
)
from ctrlhub.wire.encoded import JSON, OCTETS


class Colour(Enum):
    RED = "red"


@dataclass
class Point:
    x: int
    y: list[float]


@pytest.fixture
def namespace(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """The namespace of an engine: that of a module named ``__main__``."""
    module = ModuleType("__main__")
    monkeypatch.setitem(sys.modules, "__main__", module)
    return vars(module)


def said(value: Any) -> Any:
    """Return what the JSON of a value says."""
    made = encoded(value, "it")
    assert made.media_type == JSON
    return json.loads(bytes(made.data))


@pytest.mark.parametrize(
    ("value", "json_value"),
    [
        ((1, 2.5, None, True, "ü"), [1, 2.5, None, True, "ü"]),
        (numpy.arange(6).reshape(2, 3), [[0, 1, 2], [3, 4, 5]]),
        (numpy.float32(1.5), 1.5),
        (numpy.array(["2026-01-31"], "datetime64[D]"), ["2026-01-31"]),
        ({"p": Point(1, [2.0])}, {"p": {"x": 1, "y": [2.0]}}),
        (Colour.RED, "red"),
        (datetime(2026, 1, 31, 12, tzinfo=UTC), "2026-01-31T12:00:00+00:00"),
        (date(2026, 1, 31), "2026-01-31"),
        (timedelta(seconds=1.5), 1.5),
        (Decimal("1.10"), "1.10"),
        (PurePosixPath("/a/b"), "/a/b"),
        ({3}, [3]),
        ({1: "a"}, {"1": "a"}),
        ("\ud800", "\ud800"),
    ],
)
def test_values_have_the_documented_form_in_json(value: Any, json_value: Any) -> None:
    """Arrays, dataclasses, times and the like are said as the table in the module says."""
    assert said(value) == json_value


@pytest.mark.parametrize("data", [b"\x00\xff", bytearray(b"ab"), memoryview(b"abcd")[::1]])
def test_bytes_alone_stay_bytes(data: Any) -> None:
    """What is bytes as a whole is no JSON: it is the body as it is."""
    made = encoded(data, "it")
    assert (made.media_type, bytes(made.data)) == (OCTETS, bytes(data))


@pytest.mark.parametrize(
    ("value", "named"),
    [
        (object(), "builtins.object"),
        ([1, {"a": b"x"}], "builtins.bytes"),
        (1j, "builtins.complex"),
        (float("nan"), "float values"),
        ({(1, 2): 3}, "tuple"),
    ],
)
def test_what_cannot_be_said_in_json_is_named(value: Any, named: str) -> None:
    """The error names the type of the part that has no form in JSON."""
    with pytest.raises(NotJSON, match=named):
        encoded(value, "what f returned")


def test_a_value_that_holds_itself_is_refused() -> None:
    """A list within itself is an error, and no endless loop."""
    value: list[Any] = []
    value.append(value)
    with pytest.raises(NotJSON, match="Circular"):
        encoded(value, "it")


def test_names_are_looked_up_in_the_namespace_then_among_builtins_then_in_modules(
    namespace: dict[str, Any],
) -> None:
    """A name of the namespace hides a builtin, and that a module; ``module:name`` is the module's."""
    assert found("abs") is abs
    namespace["abs"] = max
    assert found("abs") is max
    assert found("math.sqrt") is found("math:sqrt")
    namespace["math"] = Point
    assert found("math:sqrt") is not None
    with pytest.raises(NoSuchFunction, match=r"math\.sqrt"):
        found("math.sqrt")


def test_names_may_have_parts_behind_dots(namespace: dict[str, Any]) -> None:
    """Methods and submodules are reached."""
    namespace["text"] = "abc"
    assert found("text.upper")() == "ABC"
    assert found("os.path.join")("a", "b").startswith("a")
    assert found("json:decoder.JSONDecoder")() is not None


@pytest.mark.parametrize("name", ["nothing", "math:nothing", "math.nothing", "no_module_x.f", "os:sep"])
def test_a_function_that_is_not_there_is_a_lookup_error(name: str) -> None:
    """What is missing, or cannot be called, is told by its name."""
    with pytest.raises(NoSuchFunction, match=name.replace(".", r"\.")):
        found(name)


def test_a_module_that_lacks_another_says_so(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """That a module cannot be imported is not told as if it were not there."""
    (tmp_path / "broken_by_name.py").write_text("import no_such_module_at_all\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(ModuleNotFoundError, match="no_such_module_at_all"):
        found("broken_by_name.f")


def test_a_call_takes_arguments_by_place_and_by_name() -> None:
    """``args`` and ``kwargs`` arrive as they were said."""
    made = call_by_name("builtins:sorted", b'[[[3,1,2]],{"reverse":true}]')
    assert json.loads(bytes(made.data)) == [3, 2, 1]


def test_a_large_value_leaves_in_pieces(namespace: dict[str, Any]) -> None:
    """It is told how large it is, and each piece is a part of it; afterwards it is not kept."""
    namespace["data"] = bytes(range(256)) * 4
    begun = begin_reading("t", "data", 100)
    assert begun.media_type == PIECES
    size = json.loads(bytes(begun.data))["bytes"]
    parts = [bytes(piece_of("t", start, 300).data) for start in range(0, size, 300)]
    assert b"".join(parts) == namespace["data"]
    end_reading("t")
    with pytest.raises(KeyError):
        piece_of("t", 0, 1)


def test_a_value_comes_in_pieces_and_one_that_comes_twice_does_no_harm(
    namespace: dict[str, Any],
) -> None:
    """The name is set once all is there, to the bytes or to what the JSON says."""
    take_piece("u", 0, b"[1,")
    take_piece("u", 3, b"2]")
    take_piece("u", 3, b"2]")
    end_writing("u", "x", JSON, 5)
    assert namespace["x"] == [1, 2]
    end_writing("v", "y", OCTETS, 0)
    assert namespace["y"] == b""


def test_a_value_of_which_a_piece_is_missing_is_refused(namespace: dict[str, Any]) -> None:
    """Nothing is set."""
    with pytest.raises(LookupError):
        take_piece("w", 3, b"x")
    take_piece("w", 0, b"abc")
    with pytest.raises(LookupError):
        end_writing("w", "x", OCTETS, 4)
    assert "x" not in namespace

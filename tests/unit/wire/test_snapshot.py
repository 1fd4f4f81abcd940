"""What a function depends on, remembered. How changes show is shown in test_functions.py."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from ctrlhub.wire.snapshot import MAX_FUNCTIONS, MAX_ITEMS, cells_of, snapshot_of

Script = Callable[[str], dict[str, Any]]


@pytest.mark.parametrize(
    "value",
    [
        "[]",
        "{}",
        "set()",
        "([],)",
        "bytearray()",
        "object()",
        "type('Number', (int,), {})(1)",
        "type('Text', (str,), {})('a')",
        "[].append",
        "iter(())",
        "type('Local', (), {})",
        "type(__import__('sys'))('module')",
        "tuple(range(1001))",
        "list[type('Local', (), {})]",
        "(lambda: 1).__get__(1)",
        "(lambda x=[]: x)",
    ],
)
def test_in_doubt_there_is_none(script: Script, value: str) -> None:
    """Whatever may change inside, subclasses of immutable types included, is not remembered."""
    assert snapshot_of(script(f"k = {value}\ndef f(): return k")["f"]) is None
    assert snapshot_of(script(f"def f(x={value}): return x")["f"]) is None
    assert snapshot_of(script(f"def m(k):\n  return lambda: k\nf = m({value})")["f"]) is None
    assert snapshot_of(script(f"def f(): pass\nf.k = {value}")["f"]) is None
    assert snapshot_of(script(f"def f(x: ({value})): pass")["f"]) is None


def test_too_many_functions(script: Script) -> None:
    """A function that leads to very many others is not worth it."""
    source = "\n".join(f"def f{i}(): return f{i + 1}()" for i in range(MAX_FUNCTIONS + 10))
    names = script(source)
    assert snapshot_of(names["f0"]) is None
    assert snapshot_of(names[f"f{MAX_FUNCTIONS}"]) is not None


def test_too_many_globals(script: Script) -> None:
    """Nor is one with very many globals."""
    used = ", ".join(f"k{i}" for i in range(MAX_ITEMS + 1))
    assert snapshot_of(script(f"def f(): return [{used}]")["f"]) is None


def test_deep_tuple_is_followed(script: Script) -> None:
    """Tuples are immutable if all in them is, however deep."""
    assert snapshot_of(script("k = ((((1,),),),)\ndef f(): return k")["f"]) is not None
    assert snapshot_of(script("k = (((([],),),),)\ndef f(): return k")["f"]) is None


def test_holds_for_an_equal_function(script: Script) -> None:
    """A snapshot is of what a function is made of: another of the same parts is as good."""
    make = script("def make(k):\n  def f(x=1):\n    return k\n  return f")["make"]
    snapshot = snapshot_of(make("a"))
    assert snapshot is not None
    assert snapshot.holds_for(make("a"))
    assert not snapshot.holds_for(make("b"))


def test_runs_no_code_of_the_users(script: Script) -> None:
    """Values are compared by identity: an ``__eq__`` is never called."""
    names = script(
        """
class Hostile:
    def __eq__(self, other): raise RuntimeError
    __hash__ = None
k = 1
def f(x=1): return k
"""
    )
    snapshot = snapshot_of(names["f"])
    assert snapshot is not None
    for place in (names, names["f"].__dict__, names["f"].__annotations__):
        place["k"] = names["Hostile"]()
        assert not snapshot.holds_for(names["f"])
        place["k"] = 1
    names["f"].__dict__.clear()
    names["f"].__annotations__.clear()
    assert snapshot.holds_for(names["f"])


def test_empty_cell_contains_itself() -> None:
    """A variable without a value yet is told from one with any value."""

    def f() -> object:
        return later

    (empty,) = cells_of(f)
    later = 1
    assert cells_of(f) == (1,)
    assert empty != 1
